"""Remote write 1.0: the snappy block and native histograms."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.conftest import TOKEN
from tests.ingest.messages import now_ms, second_request, snap
from workbench.errors import InputError, TooLarge
from workbench.ingest.prometheus.histogram import MAX_BUCKETS
from workbench.ingest.prometheus.prompb import Histogram, WriteRequest
from workbench.ingest.prometheus.scan import scan_write
from workbench.ingest.prometheus.second import as_first
from workbench.ingest.prometheus.write import unsnap
from workbench.ingest.receiver import PROTOBUF
from workbench.schema import STALE_NAN_BITS


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000))
def test_snappy_round_trip(content):
    assert unsnap(snap(content), 2000) == content


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_expand_or_are_refused(body):
    try:
        content = unsnap(body, 1000)
    except InputError:
        return
    assert len(content) <= 1000
    assert unsnap(snap(content), 1000) == content


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InputError),
        (b"\xff\xff\xff\xff\x0f", TooLarge),
        (b"\xff\xff\xff\xff\xff", InputError),
        (snap(bytes(1001)), TooLarge),
        (snap(b"abcdefgh" * 50)[:-3], InputError),
        (b"\x64" + snap(b"a" * 10)[1:], InputError),
        (b"\x05" + snap(b"a" * 10)[1:], InputError),
    ],
)
def test_blocks_that_lie_are_refused(body, error):
    with pytest.raises(error):
        unsnap(body, 1000)


def test_a_crowd_of_empty_items_is_refused_before_it_takes_memory():
    for body in (b"\x0a\x00" * (2**20 + 1), b"\x0a\x82\x80\x80\x01" + b"\x12\x00" * (2**20 + 1)):
        with pytest.raises(TooLarge):
            scan_write(body)


def request_with(histogram) -> bytes:
    request = WriteRequest()
    series = request.timeseries.add()
    series.labels.add(name="__name__", value="latency")
    series.histograms.add().CopyFrom(histogram)
    return snap(request.SerializeToString())


def a_histogram(**fields):
    made = Histogram(timestamp=now_ms(), schema=3, count_int=10, sum=12.5, zero_count_int=1, zero_threshold=1e-128)
    made.positive_spans.add(offset=-2, length=2)
    made.positive_spans.add(offset=1, length=1)
    made.positive_deltas.extend([3, -1, 2])
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_native_histograms_are_kept(receiver, writer):
    outcome = receiver.remote_write(request_with(a_histogram()), PROTOBUF, "snappy", TOKEN)
    assert (outcome.accepted, outcome.rejected) == (1, 0)
    row = writer.rows("samples")[0]
    assert (row["type"], row["value"]) == (1, None)
    assert row["histogram"] == {
        "schema": 3, "reset_hint": 0, "count": 10, "sum": 12.5, "zero_threshold": 1e-128, "zero_count": 1,
        "positive_indexes": [-2, -1, 1], "positive_counts": [3, 2, 4], "negative_indexes": [], "negative_counts": [],
        "custom_bounds": [],
    }  # fmt: skip


def test_a_stale_native_histogram_is_a_marker(receiver, writer):
    stale = a_histogram(sum=float(np.uint64(STALE_NAN_BITS).view(np.float64)))
    assert receiver.remote_write(request_with(stale), PROTOBUF, "snappy", TOKEN).accepted == 1
    row = writer.rows("samples")[0]
    assert (row["type"], row["stale"], row["histogram"]) == (1, True, None)


def spans(*pairs):
    made = a_histogram()
    del made.positive_spans[:]
    for offset, length in pairs:
        made.positive_spans.add(offset=offset, length=length)
    return made


def custom(bounds, counts, **fields):
    made = Histogram(timestamp=now_ms(), schema=-53, count_float=sum(counts), sum=3.5, custom_values=bounds, **fields)
    made.positive_spans.add(offset=0, length=len(counts))
    made.positive_counts.extend(counts)
    return made


def kept(receiver, writer, histogram):
    outcome = receiver.remote_write(request_with(histogram), PROTOBUF, "snappy", TOKEN)
    assert (outcome.accepted, outcome.rejected) == (1, 0), outcome.message
    return writer.rows("samples")[0]["histogram"]


def test_fractional_counts_and_own_bounds_are_kept(receiver, writer):
    found = kept(receiver, writer, custom([0.5, 2.0], [1.5, 0.0, 2.0], reset_hint=3))
    assert (found["schema"], found["reset_hint"], found["count"], found["custom_bounds"]) == (-53, 3, 3.5, [0.5, 2.0])
    assert (found["positive_indexes"], found["positive_counts"]) == ([0, 2], [1.5, 2.0])


def test_what_is_finer_than_can_be_asked_for_is_scaled_down(receiver, writer):
    found = kept(receiver, writer, a_histogram(schema=9))
    assert (found["schema"], found["positive_indexes"], found["positive_counts"]) == (8, [-1, 0, 1], [3, 2, 4])


def test_spans_may_skip_any_distance(receiver, writer):
    assert kept(receiver, writer, spans((0, 2), (1_000_000, 1)))["positive_indexes"] == [0, 1, 1_000_002]


@pytest.mark.parametrize(
    ("histogram", "reason"),
    [
        (a_histogram(schema=-5), "unsupported_histogram"),
        (a_histogram(schema=53), "unsupported_histogram"),
        (a_histogram(count_float=1.5), "bad_histogram"),
        (a_histogram(count_int=2**64 - 1), "bad_histogram"),
        (a_histogram(count_int=3), "bad_histogram"),
        (spans((0, 2)), "bad_histogram"),
        (spans((0, 2), (-1, 1)), "bad_histogram"),
        (spans((-(2**31), 3)), "bad_histogram"),
        (custom([2.0, 1.0], [1.0]), "bad_histogram"),
        (custom([1.0, float("inf")], [1.0]), "bad_histogram"),
        (custom([1.0], [1.0, 1.0, 1.0]), "bad_histogram"),
        (custom([1.0], [1.0], zero_count_float=1.0), "bad_histogram"),
        (custom([1.0], [1.0] * (MAX_BUCKETS + 1)), "bad_histogram"),
    ],
)
def test_what_is_no_histogram_is_refused_by_name(receiver, writer, histogram, reason):
    outcome = receiver.remote_write(request_with(histogram), PROTOBUF, "snappy", TOKEN)
    assert (outcome.accepted, outcome.rejected) == (0, 1)
    assert writer.rows("dead_letter")[0]["reason"] == reason


def test_a_request_of_2_says_the_same_as_one_of_1():
    request = WriteRequest.FromString(as_first(second_request(1000), 2**20))
    first, second = request.timeseries
    assert [(label.name, label.value) for label in first.labels] == [("__name__", "up"), ("job", "a")]
    assert [(sample.timestamp, sample.value) for sample in first.samples] == [(1000, 1.0), (1001, 2.0)]
    assert second.labels[0].value == "h"
    assert second.histograms[0].count_int == 2


def test_references_that_lead_nowhere_or_make_too_much_are_refused():
    with pytest.raises(InputError, match="malformed"):
        as_first(second_request(1000).replace(b"\x0a\x04\x01\x02\x03\x04", b"\x0a\x04\x01\x02\x03\x44"), 2**20)
    with pytest.raises(TooLarge):
        as_first(second_request(1000), 64)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 120))
def test_random_bytes_of_2_are_read_or_refused(noise, place):
    good = second_request(1000)
    with contextlib.suppress(InputError, TooLarge):
        as_first(good[:place] + noise + good[place + len(noise) :], 4096)
