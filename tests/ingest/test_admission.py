"""What is accepted from whom: times, names, quotas, owners; and what is left of the refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from tests.ingest.conftest import NOBODY, TOKEN
from tests.ingest.messages import add_attributes, now_ms, otlp_request, snap, write_request
from workbench.ingest import Caller, Receiver
from workbench.ingest.receiver import MAX_MALFORMED_PER_SECOND, PROTOBUF
from workbench.ingest.refusals import REASONS
from workbench.schema import STALE_NAN_BITS

HOUR_MS = 3_600_000


def write(receiver, series, caller=TOKEN):
    return receiver.remote_write(snap(write_request(series)), PROTOBUF, "snappy", caller)


def otlp(receiver, points, caller=TOKEN, resource=None):
    """Gauges of (name, attributes, time in ms, value)."""
    request, metrics = otlp_request(resource)
    for name, attributes, time_ms, value in points:
        point = metrics.add(name=name).gauge.data_points.add(time_unix_nano=time_ms * 10**6, as_double=value)
        add_attributes(point, **attributes)
    return receiver.otlp_metrics(request.SerializeToString(), PROTOBUF, "", caller)


def counted(door: str, outcome: str, reason: str) -> float:
    labels = {"door": door, "outcome": outcome, "reason": reason}
    return REGISTRY.get_sample_value("workbench_ingest_samples_total", labels) or 0.0


@pytest.mark.parametrize(
    ("offset_ms", "reason"),
    [(0, None), (-23 * HOUR_MS, None), (-25 * HOUR_MS, "too_old"), (9 * 60_000, None), (11 * 60_000, "too_new")],
)
def test_the_window_of_times(receiver, writer, offset_ms, reason):
    before = counted("remote_write", "rejected", reason or "")
    outcome = write(receiver, [({"__name__": "up"}, [(now_ms() + offset_ms, 1.0)])])
    assert (outcome.accepted, outcome.rejected) == ((1, 0) if reason is None else (0, 1))
    assert [row["reason"] for row in writer.rows("dead_letter")] == ([] if reason is None else [reason])
    assert counted("remote_write", "rejected", reason or "") - before == (reason is not None)


def test_the_ends_of_time_are_refused_not_wrapped(receiver):
    outcome = write(receiver, [({"__name__": "up"}, [(2**63 - 1, 1.0), (-(2**63), 1.0), (0, 1.0)])])
    assert (outcome.accepted, outcome.rejected) == (0, 3)


def test_out_of_order_duplicates_and_special_values_are_kept(receiver, writer):
    t = now_ms()
    stale = float(np.uint64(STALE_NAN_BITS).view(np.float64))
    sent = [(t, 1.0), (t - 5, 2.0), (t, 1.0), (t + 1, math.inf), (t + 2, -math.inf), (t + 3, math.nan), (t + 4, stale)]
    assert write(receiver, [({"__name__": "up"}, sent)]).accepted == 7
    batch = writer.batches[0]["samples"]
    assert batch["time"].view("int64").to_pylist() == [time * 1000 for time, _ in sent]
    kept = batch["value"].to_numpy().view(np.uint64)
    assert kept.tolist() == np.array([value for _, value in sent]).view(np.uint64).tolist()
    assert kept[-1] == STALE_NAN_BITS
    assert batch["stale"].to_pylist() == [False] * 6 + [True]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"job": "a"}, "no_name"),
        ({"__name__": ""}, "no_name"),
        ({"__name__": "up", "": "x"}, "bad_label"),
        ({"__name__": "up", "x": "v" * 2**20}, "label_too_long"),
        ({"__name__": "up", "x": "ü" * 9000}, "label_too_long"),
        ({"__name__": "up", "x" * 20_000: "v"}, "label_too_long"),
        ({"__name__": "u" * 20_000}, "label_too_long"),
        ({"__name__": "up", **{f"l{i}": "v" for i in range(200)}}, "too_many_labels"),
    ],
)
def test_bad_labels_are_refused_and_the_others_kept(receiver, writer, labels, reason):
    good = ({"__name__": "good"}, [(now_ms(), 1.0)])
    for _ in range(2):  # seen for the first time, and again
        outcome = write(receiver, [(labels, [(now_ms(), 1.0)] * 3), good])
        assert (outcome.accepted, outcome.rejected) == (1, 3)
    dead = writer.rows("dead_letter")
    assert [(row["reason"], row["count"], row["source"], row["door"]) for row in dead] == [
        (reason, 3, "token:1", "remote_write")
    ] * 2
    assert len(dead[0]["payload"].encode()) <= 4096
    assert len(writer.found()["good{}"]) == 2


def test_labels_that_are_not_utf8_are_refused(receiver):
    body = write_request([({"__name__": "up", "x": "abc"}, [(now_ms(), 1.0)])]).replace(b"abc", b"\xff\xfe\xfd")
    assert receiver.remote_write(snap(body), PROTOBUF, "snappy", TOKEN).rejected == 1


def test_an_empty_value_is_no_label_in_prometheus(receiver, writer):
    write(receiver, [({"__name__": "up", "a": ""}, [(now_ms(), 1.0)]), ({"__name__": "up"}, [(now_ms() + 1, 1.0)])])
    assert list(writer.found()) == ["up{}"]


@pytest.mark.parametrize("key", ["__x", "workbench_simulated", "workbench.simulated", "--x"])
def test_reserved_labels_need_a_token(receiver, writer, key):
    t = now_ms()
    outcome = otlp(receiver, [("g", {key: "x"}, t, 1.0), ("g", {"fine": "x"}, t, 2.0)], NOBODY)
    assert (outcome.accepted, outcome.rejected) == (1, 1)
    assert writer.rows("dead_letter")[0]["reason"] == "reserved_label"
    assert otlp(receiver, [("h", {}, t, 1.0)], NOBODY, {key: "x"}).rejected == 1
    assert otlp(receiver, [("g", {key: "x"}, t, 1.0)], TOKEN).accepted == 1


def test_anonymous_callers_have_a_quota_of_their_own(writer, settings):
    tight = replace(settings, ingest=replace(settings.ingest, max_anonymous_series=3))
    receiver = Receiver(writer, tight)
    points = [("g", {"n": str(n)}, now_ms(), 1.0) for n in range(5)]
    outcome = otlp(receiver, points, NOBODY)
    assert (outcome.accepted, outcome.rejected) == (3, 2)
    assert "max_anonymous_series" in outcome.message
    assert otlp(receiver, points[:3], NOBODY).accepted == 3
    assert otlp(receiver, points, TOKEN).accepted == 5
    receiver.close()


def test_over_the_limit_known_series_go_on(writer, settings):
    receiver = Receiver(writer, replace(settings, ingest=replace(settings.ingest, max_series=2)))
    outcome = otlp(receiver, [("g", {"n": str(n)}, now_ms(), 1.0) for n in range(3)])
    assert (outcome.accepted, outcome.rejected) == (2, 1)
    assert writer.rows("dead_letter")[0]["reason"] == "series_limit"
    receiver.close()


def test_new_series_in_one_request_are_bounded(receiver, writer, monkeypatch):
    monkeypatch.setattr("workbench.ingest.series_book.MAX_NEW_GROUPS", 3)
    points = [("g", {"n": str(n)}, now_ms(), 1.0) for n in range(5)]
    outcome = otlp(receiver, points)
    assert (outcome.accepted, outcome.rejected) == (3, 2)
    assert writer.rows("dead_letter")[0]["reason"] == "too_many_new_series"
    assert otlp(receiver, points).accepted == 5  # only two are new now


def test_anonymous_callers_cannot_write_to_what_a_token_owns(receiver, writer):
    point = ("g", {"a": "b"}, now_ms(), 1.0)
    assert otlp(receiver, [point], NOBODY).accepted == 1
    assert otlp(receiver, [point], NOBODY).accepted == 1
    assert otlp(receiver, [point], TOKEN).accepted == 1  # takes the series over
    outcome = otlp(receiver, [point], NOBODY)
    assert (outcome.accepted, outcome.rejected) == (0, 1)
    assert writer.rows("dead_letter")[0]["reason"] == "owned_series"
    assert otlp(receiver, [point], Caller("token:2", False)).accepted == 1


def test_a_series_taken_over_elsewhere_is_closed_to_anonymous_callers(receiver, writer):
    point = ("g", {"a": "b"}, now_ms(), 1.0)
    assert otlp(receiver, [point], NOBODY).accepted == 1
    identity = writer.view.registry.get(1).identity
    writer.register([(identity, "", "")], "import:x")
    assert otlp(receiver, [point], NOBODY).rejected == 1


def test_one_dead_letter_per_request_and_reason(receiver, writer):
    t = now_ms()
    series = [
        ({"__name__": "a"}, [(1, 1.0)] * 5),
        ({"__name__": "b"}, [(2, 1.0), (t + HOUR_MS, 1.0)]),
        ({}, [(t, 1.0)]),
    ]
    outcome = write(receiver, series)
    assert outcome.rejected == 8
    dead = {row["reason"]: row["count"] for row in writer.rows("dead_letter")}
    assert dead == {"too_old": 6, "too_new": 1, "no_name": 1}
    assert writer.rows("dead_letter")[0]["where"] == "a{}"


def test_bodies_that_cannot_be_read_leave_a_bounded_trace(receiver, writer):
    before = counted("otlp", "rejected", "malformed")
    for _ in range(100):
        with pytest.raises(Exception, match="malformed"):
            receiver.otlp_metrics(b"\x0a\xff", PROTOBUF, "", NOBODY)
    assert counted("otlp", "rejected", "malformed") - before == 100
    rows = writer.rows("dead_letter")
    assert 1 <= len(rows) <= 3 * MAX_MALFORMED_PER_SECOND
    assert rows[0]["payload"] == "0aff"


def test_series_are_found_again_whatever_the_order_of_attributes(receiver, writer):
    t = now_ms()
    otlp(receiver, [("g", {"a": "1", "b": "2"}, t, 1.0), ("g", {"b": "2", "a": "1"}, t + 1, 2.0)])
    assert [value for _, value in writer.found()["g{a=1,b=2}"]] == [1.0, 2.0]


def test_the_cache_forgets_and_finds_again(writer, settings, monkeypatch):
    monkeypatch.setattr("workbench.ingest.series_book.MAX_KEYS", 8)
    small = Receiver(writer, settings)
    for round_ in range(3):
        points = [("g", {"n": str(n)}, now_ms() + round_, float(n)) for n in range(30)]
        assert otlp(small, points).accepted == 30
    found = writer.found()
    assert len(found) == 30
    assert all([value for _, value in samples] == [float(name[4:-1])] * 3 for name, samples in found.items())
    small.close()


def test_every_reason_is_in_the_docs():
    page = (Path(__file__).resolve().parents[2] / "docs" / "ingest.md").read_text()
    assert [reason for reason in REASONS if f"`{reason}`" not in page] == []
