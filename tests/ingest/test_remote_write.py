"""Remote write 1.0: the snappy block and native histograms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.conftest import TOKEN
from tests.ingest.messages import now_ms, snap
from workbench.errors import InputError, TooLarge
from workbench.ingest.prometheus.prompb import Histogram, WriteRequest
from workbench.ingest.prometheus.scan import scan_write
from workbench.ingest.prometheus.write import MAX_BUCKETS, native_histogram, unsnap
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
        "scale": 3, "count": 10, "sum": 12.5, "zero_threshold": 1e-128, "zero_count": 1,
        "positive_offset": -3, "positive_counts": [3, 2, 0, 4], "negative_offset": 0, "negative_counts": [],
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


@pytest.mark.parametrize(
    "histogram",
    [
        a_histogram(schema=-53),
        a_histogram(schema=9),
        a_histogram(count_float=1.5),
        a_histogram(count_int=2**64 - 1),
        spans((0, 2)),
        spans((0, 2), (MAX_BUCKETS, 1)),
        spans((0, 2), (-1, 1)),
        spans((-(2**31), 3)),
    ],
)
def test_native_histograms_of_other_forms_are_refused_by_name(receiver, writer, histogram):
    assert native_histogram(histogram) is None
    outcome = receiver.remote_write(request_with(histogram), PROTOBUF, "snappy", TOKEN)
    assert (outcome.accepted, outcome.rejected) == (0, 1)
    assert writer.rows("dead_letter")[0]["reason"] == "unsupported_histogram"
