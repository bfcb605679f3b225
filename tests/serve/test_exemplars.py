"""Exemplars from the door to the answer, beside a real Prometheus that was sent the same."""

from __future__ import annotations

import functools
import shutil
import time

import pytest
from conftest import need
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from serve.served import Served
from tests.ingest.messages import snap
from tests.query.prometheus import Prometheus
from workbench.ingest import Caller, Receiver
from workbench.ingest.prometheus.prompb import WriteRequest
from workbench.ingest.receiver import PROTOBUF


@functools.cache
def now_ms() -> int:
    """When the first test asked: in a run of all, the file was read many minutes before."""
    return int(time.time()) * 1000


TOKEN = Caller("token:1", False)


def remote_write() -> bytes:
    """Counters with exemplars as Prometheus sends them: samples and exemplars as series of their own."""
    request = WriteRequest()
    for job in ("api", "web"):
        for sample in (True, False):
            series = request.timeseries.add()
            for name, value in (("__name__", "requests_total"), ("job", job)):
                series.labels.add(name=name, value=value)
            if sample:
                series.samples.add(value=5.0, timestamp=now_ms())
                continue
            for seconds, trace in ((30, "a1"), (20, "b2"), (5, "c3")):
                exemplar = series.exemplars.add(value=seconds / 4, timestamp=now_ms() - seconds * 1000)
                exemplar.labels.add(name="traceID" if job == "web" else "trace_id", value=trace + job)
    return snap(request.SerializeToString())


def otlp() -> bytes:
    """A histogram with an exemplar in each of two buckets."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="latency", unit="s")
    metric.histogram.aggregation_temporality = 2
    point = metric.histogram.data_points.add(
        time_unix_nano=now_ms() * 10**6, count=3, sum=2.0, bucket_counts=[1, 2, 0], explicit_bounds=[0.5, 1.0]
    )
    for value, trace in ((0.4, b"\x01" * 16), (0.9, b"\x02" * 16)):
        exemplar = point.exemplars.add(as_double=value, time_unix_nano=(now_ms() - 2000) * 10**6, trace_id=trace)
        exemplar.filtered_attributes.add(key="user.id").value.string_value = "u"
    return request.SerializeToString()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("served") / "home")
    receiver = Receiver(made.writer, made.settings)
    assert receiver.remote_write(remote_write(), PROTOBUF, "snappy", TOKEN).rejected == 0
    outcome = receiver.otlp_metrics(otlp(), PROTOBUF, "", TOKEN)
    assert outcome.rejected == 0
    outcome.future.result(30)
    made.view.refresh()
    yield made
    receiver.close()
    made.close()


def asked(query: str, start_seconds: float = 60, end_seconds: float = 0) -> dict[str, object]:
    now_s = now_ms() / 1000
    return {"query": query, "start": now_s - start_seconds, "end": now_s - end_seconds}


def test_remote_write_answers_what_prometheus_answers(served, tmp_path):
    need(shutil.which("prometheus"), "prometheus (Debian package)")
    real = Prometheus(tmp_path)
    try:
        real.send(remote_write())
        for question in (
            asked("requests_total"),
            asked('rate(requests_total{job=~"w.*"}[5m]) > 0 or sum(nothing)'),
            asked("requests_total", 21, 4),
            asked("requests_total", 19, 6),
        ):
            theirs, ours = real.ask("query_exemplars", **question), served.get("/api/v1/query_exemplars", **question)
            assert sorted(theirs["data"] or [], key=str) == sorted(ours.json()["data"], key=str), question
        broken = asked("requests_total{")
        assert real.ask("query_exemplars", **broken)["errorType"] == "bad_data"
        answer = served.get("/api/v1/query_exemplars", **broken)
        assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
    finally:
        real.close()
    assert served.data("/api/v1/query_exemplars", **asked("1 + 1")) == []


def test_each_bucket_of_otlp_bears_its_exemplar_sealed_or_not(served):
    def found() -> list:
        return served.data("/api/v1/query_exemplars", **asked("latency_seconds_bucket"))

    before = found()
    assert [(one["seriesLabels"]["le"], one["exemplars"][0]["value"]) for one in before] == [
        ("0.5", "0.4"), ("1", "0.9"),
    ]  # fmt: skip
    assert before[1]["exemplars"][0]["labels"] == {"trace_id": "02" * 16, "user_id": "u"}
    assert before[1]["exemplars"][0]["timestamp"] == now_ms() / 1000 - 2
    version = served.writer.seal()
    served.view.refresh()
    assert found() == before
    named = served.data("/api/v1/query_exemplars", **asked("latency_seconds_bucket"), version=version)
    assert named == before
    # An exemplar alone is no sample.
    assert served.data("/api/v1/query", query="count_over_time(requests_total[5m])", time=now_ms() / 1000)[
        "result"
    ] == [{"metric": {"job": job}, "value": [now_ms() / 1000, "1"]} for job in ("api", "web")]
