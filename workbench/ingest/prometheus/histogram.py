"""A Histogram message of remote write as the schema's native histogram.

Source: prompb/types.proto, and https://prometheus.io/docs/specs/native_histograms/: spans of consecutive buckets, each
counted from the end of the one before; whole counts as deltas between buckets, fractional ones as they are.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from workbench.ingest.refusals import Refusal
from workbench.schema import CUSTOM_SCHEMA, GAUGE, MAX_SCHEMA, MIN_SCHEMA

MAX_BUCKETS = 4096
"""Of one side of a native histogram."""

FINEST_SCHEMA = 52
"""What Prometheus knows of; finer than `MAX_SCHEMA` is scaled down to it."""


def native_histogram(histogram: Any) -> dict[str, Any] | Refusal:
    """A prompb Histogram (1.0 or 2.0) as a value of `schema.NATIVE_HISTOGRAM`, or why it is not one."""
    schema = histogram.schema
    custom = schema == CUSTOM_SCHEMA
    if not custom and not MIN_SCHEMA <= schema <= FINEST_SCHEMA:
        return Refusal("unsupported_histogram", where=f"schema {schema}")
    floats = histogram.WhichOneof("count") == "count_float"
    count = histogram.count_float if floats else float(histogram.count_int)
    zero_count = histogram.zero_count_float if floats else float(histogram.zero_count_int)
    coarser = 0 if custom else max(schema - MAX_SCHEMA, 0)
    positive = _side(histogram.positive_spans, histogram, "positive", floats, coarser)
    negative = _side(histogram.negative_spans, histogram, "negative", floats, coarser)
    if positive is None or negative is None:
        return Refusal("bad_histogram", where=f"spans and buckets of schema {schema}")
    bounds = list(histogram.custom_values)
    fault = _custom_fault(bounds, positive[0], histogram, zero_count) if custom else ""
    if not custom and bounds:
        fault = "custom bounds in an exponential histogram"
    total = sum(positive[1]) + sum(negative[1]) + zero_count
    if min(count, zero_count, histogram.zero_threshold) < 0:
        fault = "a negative count"
    elif not floats and (total > count if math.isnan(histogram.sum) else total != count):
        fault = f"a count of {count:g} over buckets that hold {total:g}"
    if fault:
        return Refusal("bad_histogram", where=fault)
    return {
        "schema": schema - coarser,
        "reset_hint": histogram.reset_hint if 0 <= histogram.reset_hint <= GAUGE else 0,
        "count": count,
        "sum": histogram.sum,
        "zero_threshold": histogram.zero_threshold,
        "zero_count": zero_count,
        "positive_indexes": positive[0],
        "positive_counts": positive[1],
        "negative_indexes": negative[0],
        "negative_counts": negative[1],
        "custom_bounds": bounds,
    }


def _custom_fault(bounds: list[float], indexes: list[int], histogram: Any, zero_count: float) -> str:
    """What is wrong with a histogram of own bounds; empty where nothing is."""
    ascending = all(low < high for low, high in itertools.pairwise(bounds))
    if not ascending or not all(map(math.isfinite, bounds)):
        return "bounds that do not ascend, or are not finite"
    if indexes and not 0 <= indexes[0] <= indexes[-1] <= len(bounds):
        return f"a bucket beyond its {len(bounds)} bounds"
    if zero_count or histogram.zero_threshold or histogram.negative_spans:
        return "a zero bucket or negative buckets beside bounds of its own"
    return ""


def _side(spans: Any, histogram: Any, side: str, floats: bool, coarser: int) -> tuple[list[int], list[float]] | None:
    """(indexes, counts) of the populated buckets; None if spans and buckets do not fit or reach too far."""
    counts = np.array(getattr(histogram, f"{side}_{'counts' if floats else 'deltas'}"), np.float64)
    if not floats:
        counts = np.cumsum(counts)
    lengths = np.array([span.length for span in spans], np.int64)
    offsets = np.array([span.offset for span in spans], np.int64)
    if lengths.sum() != len(counts) or len(counts) > MAX_BUCKETS or (offsets[1:] < 0).any() or (counts < 0).any():
        return None
    before = np.cumsum(lengths) - lengths
    firsts = np.cumsum(offsets) + before
    indexes = np.repeat(firsts - before, lengths) + np.arange(len(counts))
    if len(indexes) and max(abs(int(indexes[0])), abs(int(indexes[-1]))) >= 2**31:
        return None
    populated = counts != 0
    merged, place = np.unique((indexes[populated] - 1 >> coarser) + 1, return_inverse=True)
    return merged.tolist(), np.bincount(place, counts[populated], len(merged)).tolist()
