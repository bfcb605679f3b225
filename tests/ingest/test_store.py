"""The receiver in front of the real store: what was acknowledged is found, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orjson

from tests.ingest.conftest import NOBODY, TOKEN
from tests.ingest.messages import add_attributes, now_ms, otlp_request, snap, write_request
from tests.ingest.test_events import event
from workbench.ingest import Receiver
from workbench.ingest.events import SINGLE
from workbench.ingest.receiver import PROTOBUF
from workbench.store import open_view, open_writer


def test_all_doors_lead_into_the_store(settings):
    t = now_ms()
    with open_writer(settings) as writer:
        receiver = Receiver(writer, settings)
        body = snap(write_request([({"__name__": "up", "job": "a"}, [(t, 1.0), (t + 1, 2.0), (5, 3.0)])]))
        outcome = receiver.remote_write(body, PROTOBUF, "snappy", TOKEN)
        outcome.future.result(30)
        assert (outcome.accepted, outcome.rejected) == (2, 1)
        request, metrics = otlp_request()
        histogram = metrics.add(name="h").exponential_histogram
        histogram.aggregation_temporality = 2
        histogram.data_points.add(time_unix_nano=t * 10**6, count=3, scale=1).positive.bucket_counts.append(3)
        add_attributes(metrics.add(name="g").gauge.data_points.add(time_unix_nano=t * 10**6, as_int=7), a="b")
        receiver.otlp_metrics(request.SerializeToString(), PROTOBUF, "", NOBODY).future.result(30)
        receiver.events(orjson.dumps(event()), SINGLE, "", TOKEN).future.result(30)
        receiver.close()
    view = open_view(settings)
    by_name = {series.identity.name: series for series in view.registry.since(0)}
    assert {name: series.source for name, series in by_name.items()} == {
        "up": "token:1", "g": "anonymous", "h": "anonymous",
    }  # fmt: skip
    samples = view.samples(np.array([by_name["up"].id]), 0, 2**60)
    assert list(zip(samples.times_us.tolist(), samples.values.tolist(), strict=True)) == [
        (t * 1000, 1.0), ((t + 1) * 1000, 2.0),
    ]  # fmt: skip
    assert view.table("events")["id"].to_pylist() == ["01J"]
    assert view.table("dead_letter")["reason"].to_pylist() == ["too_old"]
    kept = [row for row in view.table("samples").to_pylist() if row["type"] == 1]
    assert [(row["series"], row["histogram"]["count"]) for row in kept] == [(by_name["h"].id, 3)]


def test_many_clients_at_once_share_series_and_lose_nothing(settings):
    clients, rounds, series = 8, 20, 50
    t = now_ms()

    def client(receiver: Receiver, number: int) -> int:
        accepted = 0
        for round_ in range(rounds):
            time_ms = t + number * rounds + round_
            labels = [({"__name__": "load", "n": str(n)}, [(time_ms, float(number))]) for n in range(series)]
            outcome = receiver.remote_write(snap(write_request(labels)), PROTOBUF, "snappy", TOKEN)
            outcome.future.result(60)
            accepted += outcome.accepted
        return accepted

    with open_writer(settings) as writer:
        receiver = Receiver(writer, settings)
        with ThreadPoolExecutor(clients) as pool:
            accepted = sum(pool.map(lambda number: client(receiver, number), range(clients)))
        receiver.close()
        assert len(writer.view.registry) == series
        ids = np.array([one.id for one in writer.view.registry.since(0)], np.int64)
        samples = writer.view.samples(ids, 0, 2**60)
        assert len(samples.values) == accepted == clients * rounds * series
