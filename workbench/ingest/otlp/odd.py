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

_MAX_COUNT = 2**63 - 1

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
    counts = [point.count, point.zero_count, *point.positive.bucket_counts, *point.negative.bucket_counts]
    members: Any = [context.member(attribute_pairs(point.attributes))]
    if max(counts) > _MAX_COUNT:
        members = Refusal("bad_histogram", where=f"counts of {context.name}")
    value = None if stale else {
        "scale": point.scale,
        "count": point.count,
        "sum": point.sum if point.HasField("sum") else None,
        "zero_threshold": point.zero_threshold,
        "zero_count": point.zero_count,
        "positive_offset": point.positive.offset,
        "positive_counts": list(point.positive.bucket_counts),
        "negative_offset": point.negative.offset,
        "negative_counts": list(point.negative.bucket_counts),
    }  # fmt: skip
    exemplar = exemplar_dict(point.exemplars[-1]) if point.exemplars else None
    odd = OddPoint(number, members, [value], point.start_time_unix_nano // 1000, stale, exemplar)
    return odd, point.time_unix_nano // 1000


def _summary(number: int, message: bytes, context: MetricContext) -> tuple[OddPoint, int]:
    point = metrics_pb2.SummaryDataPoint.FromString(message)
    members = summary_members(context, attribute_pairs(point.attributes), [q.quantile for q in point.quantile_values])
    numbers = [*(q.value for q in point.quantile_values), float(point.count), point.sum]
    values: list[Any] = list(np.array(numbers, np.float64).view(np.uint64))
    odd = OddPoint(number, members, values, point.start_time_unix_nano // 1000, bool(point.flags & 1))
    return odd, point.time_unix_nano // 1000
