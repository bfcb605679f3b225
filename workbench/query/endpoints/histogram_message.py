"""Native histograms as messages of remote read, with fractional counts, as all that PromQL makes has them.

Source: prometheus/prompb/types.proto, message Histogram: spans of consecutive buckets, each counted from the end of the
one before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from workbench.query.endpoints.wire import double, field, integer, zigzag
from workbench.schema import GAUGE, STALE_NAN_BITS
from workbench.store import HistogramSamples, histogram_values

_STALE_NAN = float(np.uint64(STALE_NAN_BITS).view(np.float64))


def histogram_messages(samples: HistogramSamples, place: int) -> Iterator[bytes]:
    """The message of each histogram of the series at a place; a staleness marker has it in its sum."""
    part = np.arange(samples.offsets[place], samples.offsets[place + 1])
    values = histogram_values(samples.histograms.take(part))
    for value, stale, time_us in zip(values, samples.stale[part], samples.times_us[part].tolist(), strict=True):
        if stale:
            yield double(2, 0.0) + double(3, _STALE_NAN) + integer(15, time_us // 1000)
        else:
            yield _message(value) + integer(15, time_us // 1000)


def _message(value: dict[str, Any]) -> bytes:
    found = double(2, value["count"]) + double(3, value["sum"]) + zigzag(4, value["schema"])
    found += double(5, value["zero_threshold"]) + double(7, value["zero_count"])
    for side, spans, counts in (("negative", 8, 10), ("positive", 11, 13)):
        found += b"".join(field(spans, one) for one in _spans(value[f"{side}_indexes"]))
        found += _doubles(counts, value[f"{side}_counts"])
    # Of a counter the reader finds out itself whether it was reset: he may have samples in between.
    found += integer(14, GAUGE if value["reset_hint"] == GAUGE else 0)
    return found + _doubles(16, value["custom_bounds"])


def _spans(indexes: Sequence[int]) -> Iterator[bytes]:
    """BucketSpan messages: how far from the end of the span before, how many buckets."""
    end, at = 0, 0
    while at < len(indexes):
        first, begun = indexes[at], at
        while at < len(indexes) and indexes[at] == first + at - begun:
            at += 1
        yield zigzag(1, first - end) + integer(2, at - begun)
        end = first + at - begun


def _doubles(number: int, values: Sequence[float]) -> bytes:
    return field(number, struct.pack(f"<{len(values)}d", *values)) if values else b""
