"""Exponential histograms and summaries of OTLP, decoded one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1 import metrics_pb2

from workbench.ingest.otlp import scan
from workbench.ingest.otlp.context import MetricContext
from workbench.ingest.otlp.histogram import summary_members
from workbench.ingest.otlp.values import attribute_pairs, exemplar_dict
from workbench.ingest.points import OddPoint
from workbench.ingest.refusals import Refusal
from workbench.schema import MAX_SCHEMA, MIN_SCHEMA, RESET_UNKNOWN

_MAX_OFFSET = 2**30

MAX_POINT_BYTES = 2**18
"""Of one such point; SDKs stop at 160 buckets."""


def odd_point(number: int, message: bytes, context: MetricContext | Refusal) -> tuple[OddPoint, int]:
    """(point, its time in µs) of an ExponentialHistogramDataPoint or SummaryDataPoint."""
    if isinstance(context, Refusal):
        return OddPoint(number, context, []), 0
    if len(message) > MAX_POINT_BYTES:
        return OddPoint(number, Refusal("bad_histogram", where=f"{context.name}: {len(message)} bytes"), []), 0
    decode = _exponential if context.kind == scan.EXPONENTIAL else _summary
    try:
        return decode(number, message, context)
    except DecodeError:
        return OddPoint(number, Refusal("malformed", where=f"a point of {context.name}"), []), 0


def _exponential(number: int, message: bytes, context: MetricContext) -> tuple[OddPoint, int]:
    point = metrics_pb2.ExponentialHistogramDataPoint.FromString(message)
    stale = bool(point.flags & 1)
    members: Any = [context.member(attribute_pairs(point.attributes))]
    if point.scale < MIN_SCHEMA:
        members = Refusal("unsupported_histogram", where=f"scale {point.scale} of {context.name}")
    elif max(abs(side.offset) for side in (point.positive, point.negative)) > _MAX_OFFSET:
        members = Refusal("bad_histogram", where=f"offset of {context.name}")
    value = None if stale else {
        "schema": min(point.scale, MAX_SCHEMA),
        "reset_hint": RESET_UNKNOWN,
        "count": float(point.count),
        "sum": point.sum if point.HasField("sum") else None,
        "zero_threshold": point.zero_threshold,
        "zero_count": float(point.zero_count),
        **_side("positive", point.positive, max(point.scale - MAX_SCHEMA, 0)),
        **_side("negative", point.negative, max(point.scale - MAX_SCHEMA, 0)),
        "custom_bounds": [],
    }  # fmt: skip
    exemplar = exemplar_dict(point.exemplars[-1]) if point.exemplars else None
    odd = OddPoint(number, members, [value], point.start_time_unix_nano // 1000, stale, exemplar)
    return odd, point.time_unix_nano // 1000


def _side(name: str, buckets: Any, coarser: int) -> dict[str, Any]:
    """Populated buckets; OpenTelemetry's bucket i ends where that of the schema's i + 1 does."""
    counts = np.array(buckets.bucket_counts, np.float64)
    populated = np.flatnonzero(counts)
    indexes, place = np.unique((buckets.offset + populated >> min(coarser, 31)) + 1, return_inverse=True)
    merged = np.bincount(place, counts[populated], len(indexes))
    return {f"{name}_indexes": indexes.tolist(), f"{name}_counts": merged.tolist()}


def _summary(number: int, message: bytes, context: MetricContext) -> tuple[OddPoint, int]:
    point = metrics_pb2.SummaryDataPoint.FromString(message)
    members = summary_members(context, attribute_pairs(point.attributes), [q.quantile for q in point.quantile_values])
    numbers = [*(q.value for q in point.quantile_values), float(point.count), point.sum]
    values: list[Any] = list(np.array(numbers, np.float64).view(np.uint64))
    odd = OddPoint(number, members, values, point.start_time_unix_nano // 1000, bool(point.flags & 1))
    return odd, point.time_unix_nano // 1000
