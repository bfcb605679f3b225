"""OTLP metrics: an ExportMetricsServiceRequest as points, its resources and metrics known from one request to the next.

Source: https://opentelemetry.io/docs/specs/otlp/ and the metrics data model. Cumulative sums, gauges and explicit
histograms are columns (`scan`); exponential histograms and summaries are decoded one by one (`odd`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from workbench.errors import InputError, TooLarge
from workbench.ingest.byte_table import MISSING, ByteTable
from workbench.ingest.otlp import scan
from workbench.ingest.otlp.context import MetricContext
from workbench.ingest.otlp.histogram import histogram_members
from workbench.ingest.otlp.odd import odd_point
from workbench.ingest.otlp.values import Pairs, attribute_pairs, exemplar_dict, scope_text
from workbench.ingest.points import MAX_KEY_BYTES, Decoded, Member, Rows
from workbench.ingest.refusals import Refusal
from workbench.ingest.wire import MAX_PARSED_BYTES

CUMULATIVE, DELTA = 2, 1
NO_RECORDED_VALUE = 1
"""Bit of a point's flags: the series ended, or was not measured; kept as a staleness marker."""

MAX_CONTEXTS = 2**17
MAX_CONTEXT_BYTES = 64 * 2**20

MAX_EXEMPLAR_BYTES = 2**16
"""Of all exemplars of a point; more are left out, and the point is kept."""

_TYPES = {
    scan.GAUGE: "gauge",
    scan.HISTOGRAM: "histogram",
    scan.EXPONENTIAL: "exponential_histogram",
    scan.SUMMARY: "summary",
}


class OtlpDecoder:
    """Decodes requests; remembers resources and metrics by their bytes (bounded), so that only new ones are parsed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resources = ByteTable(max_keys=MAX_CONTEXTS, max_bytes=MAX_CONTEXT_BYTES)
        self._metrics = ByteTable(max_keys=MAX_CONTEXTS, max_bytes=MAX_CONTEXT_BYTES)
        self._resource_pairs: dict[int, Pairs | Refusal] = {}
        self._contexts: dict[int, MetricContext | Refusal] = {}
        # References are never used twice: a point's key that holds a forgotten one can match nothing.
        self._references = itertools.count(1)

    def decode(self, body: bytes) -> Decoded:
        """The points of a request. Raises InputError that names the byte where the message breaks."""
        columns = scan.scan_otlp(body)
        if columns is None:
            body = _canonical(body)
            columns = scan.scan_otlp(body)
            if columns is None:
                raise InputError("the OTLP message has a form that is not readable")
        with self._lock:
            references, contexts = self._refer(body, columns)
        return _decoded(body, columns, references, contexts)

    def _refer(self, body: bytes, columns: scan.OtlpColumns) -> tuple[np.ndarray, dict[int, MetricContext | Refusal]]:
        """Reference of each metric, and what the references mean."""
        if self._resources.crowded or self._metrics.crowded:
            self._resources.clear()
            self._metrics.clear()
            self._resource_pairs, self._contexts = {}, {}
        resources = self._resources.find(*columns.resource_keys)
        for number, key in _unknown(columns.resource_keys, resources):
            reference = resources[number] = next(self._references)
            self._resource_pairs[reference] = _resource(key)
            self._resources.put(key, reference)
        keys, metrics = columns.metric_keys, columns.metrics
        keys.words[keys.starts[:-1] + 1] = resources[metrics[:, scan.RESOURCE]].view(np.uint64)
        references = self._metrics.find(*keys)
        for number, key in _unknown(keys, references):
            resource = self._resource_pairs[int(resources[metrics[number, scan.RESOURCE]])]
            reference = references[number] = next(self._references)
            self._contexts[reference] = _context(body, metrics[number], resource)
            self._metrics.put(key, reference)
        return references, self._contexts


def _unknown(keys: scan.Keys, found: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Number and key of each that was not found; one that comes again gets what its first got in `found`."""
    seen: dict[bytes, int] = {}
    for number in np.flatnonzero(found == MISSING).tolist():
        key = keys.words[keys.starts[number] : keys.starts[number + 1]]
        first = seen.setdefault(key.tobytes(), number)
        if first == number:
            yield number, key
        else:
            found[number] = found[first]


def _canonical(body: bytes) -> bytes:
    if len(body) > MAX_PARSED_BYTES:
        raise TooLarge(f"over {MAX_PARSED_BYTES} bytes in an unusual form of protobuf", hint="Send less per request.")
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise InputError("the OTLP message is malformed") from error
    request.DiscardUnknownFields()
    return request.SerializeToString()


def _resource(key: np.ndarray) -> Pairs | Refusal:
    if key[0] > MAX_KEY_BYTES:
        return Refusal("label_too_long", where="resource")
    try:
        return attribute_pairs(Resource.FromString(key[1:].tobytes()[: int(key[0])]).attributes)
    except DecodeError:
        return Refusal("malformed", where="resource")


def _context(body: bytes, metric: np.ndarray, resource: Pairs | Refusal) -> MetricContext | Refusal:
    def span(column: int) -> bytes:
        return body[metric[column] : metric[column + 1]]

    if isinstance(resource, Refusal):
        return resource
    if metric[scan.SCOPE + 1] - metric[scan.SCOPE] > MAX_KEY_BYTES:
        return Refusal("label_too_long", where="scope")
    try:
        name, unit, description = (span(c).decode() for c in (scan.NAME, scan.UNIT, scan.DESCRIPTION))
        scope = scope_text(InstrumentationScope.FromString(span(scan.SCOPE)))
    except (UnicodeDecodeError, DecodeError):
        return Refusal("malformed", where="name, unit, description or scope of a metric")
    kind = int(metric[scan.KIND])
    type_ = _TYPES.get(kind, "unknown")
    if kind == scan.SUM:
        type_ = "counter" if metric[scan.MONOTONIC] else "updowncounter"
    temporality = "cumulative" if kind in (scan.SUM, scan.HISTOGRAM, scan.EXPONENTIAL) else ""
    return MetricContext(kind, name, type_, unit, temporality, resource, description, scope)


def _decoded(
    body: bytes, columns: scan.OtlpColumns, references: np.ndarray, contexts: dict[int, MetricContext | Refusal]
) -> Decoded:
    points, metrics, keys = columns.points, columns.metrics, columns.point_keys
    of_metric = points[:, scan.METRIC]
    keys.words[keys.starts[:-1] + 1] = references[of_metric].view(np.uint64)
    kinds = metrics[of_metric, scan.KIND]
    stale = (points[:, scan.FLAGS] & NO_RECORDED_VALUE).astype(bool)
    columnar = np.isin(kinds, (scan.GAUGE, scan.SUM, scan.HISTOGRAM))
    times_us, starts_us = (_microseconds(points[:, c]) for c in (scan.TIME, scan.START))

    def context_of(point: int) -> MetricContext | Refusal:
        return contexts[int(references[of_metric[point]])]

    odd = []
    for number in np.flatnonzero(~columnar).tolist():
        span = points[number, scan.BOUNDS : scan.BOUNDS + 2]
        point, times_us[number] = odd_point(number, body[span[0] : span[1]], context_of(number))
        odd.append(point)

    def members(group: int) -> list[Member] | Refusal:
        context = context_of(group)
        if isinstance(context, Refusal):
            return context
        key = keys.words[keys.starts[group] : keys.starts[group + 1]]
        return _members(context, key)

    def describe(point: int) -> str:
        context = context_of(point)
        return context.where if isinstance(context, Refusal) else f"metric {context.name[:200]}"

    def rows(accepted: np.ndarray, first: np.ndarray, ids: np.ndarray) -> Rows:
        return _rows(body, columns, kinds, accepted, first, ids, times_us, starts_us, stale)

    return Decoded(
        words=keys.words,
        starts=keys.starts,
        groups=np.where(columnar, np.arange(len(points)), -1),
        times_us=times_us,
        refused=_refused(points, metrics, kinds, stale),
        members=members,
        rows=rows,
        describe=describe,
        odd=odd,
    )


def _microseconds(nanoseconds: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(nanoseconds).view(np.uint64) // np.uint64(1000)).astype(np.int64)


def _refused(points: np.ndarray, metrics: np.ndarray, kinds: np.ndarray, stale: np.ndarray) -> dict[str, np.ndarray]:
    temporality = metrics[points[:, scan.METRIC], scan.TEMPORALITY]
    accumulates = np.isin(kinds, (scan.SUM, scan.HISTOGRAM, scan.EXPONENTIAL))
    buckets = (points[:, scan.BUCKETS + 1] - points[:, scan.BUCKETS]) // 8
    bounds = (points[:, scan.BOUNDS + 1] - points[:, scan.BOUNDS]) // 8
    whole = (buckets == bounds + 1) | ((buckets == 0) & (bounds == 0))
    return {
        "delta_temporality": accumulates & (temporality == DELTA),
        "no_temporality": accumulates & (temporality != CUMULATIVE) & (temporality != DELTA),
        "no_value": np.isin(kinds, (scan.GAUGE, scan.SUM)) & (points[:, scan.FORM] == scan.NO_VALUE) & ~stale,
        "bad_histogram": (kinds == scan.HISTOGRAM) & ~whole,
    }


def _members(context: MetricContext, key: np.ndarray) -> list[Member] | Refusal:
    if key[0] > MAX_KEY_BYTES:
        return Refusal("label_too_long", where=context.name[:200])
    content = key[scan.POINT_KEY_WORDS :].tobytes()[: int(key[0])]
    size = int(key[3])
    message = metrics_pb2.HistogramDataPoint if context.kind == scan.HISTOGRAM else metrics_pb2.NumberDataPoint
    try:
        attributes = attribute_pairs(message.FromString(content[:size]).attributes)
    except DecodeError:
        return Refusal("malformed", where=f"attributes of {context.name[:200]}")
    if context.kind != scan.HISTOGRAM:
        return [context.member(attributes)]
    return histogram_members(context, attributes, np.frombuffer(content[size:], "<f8"), has_sum=bool(key[2]))


def _rows(
    body: bytes,
    columns: scan.OtlpColumns,
    kinds: np.ndarray,
    accepted: np.ndarray,
    first: np.ndarray,
    ids: np.ndarray,
    times_us: np.ndarray,
    starts_us: np.ndarray,
    stale: np.ndarray,
) -> Rows:
    points = columns.points
    bounds = (points[accepted, scan.BOUNDS + 1] - points[accepted, scan.BOUNDS]) // 8
    sizes = np.where(kinds[accepted] == scan.HISTOGRAM, bounds + 2 + points[accepted, scan.HAS_TOTAL], 1)
    row_starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    series, bits = np.empty(row_starts[-1], np.int64), np.empty(row_starts[-1], np.uint64)
    scan.explode(np.frombuffer(body, np.uint8), points, kinds[accepted], accepted, ids, first, row_starts, series, bits)
    of_row = np.repeat(accepted, sizes)
    rows = Rows(series, times_us[of_row], bits, starts_us[of_row], stale[of_row])
    for k in np.flatnonzero(points[accepted, scan.EXEMPLAR + 1] > 0).tolist():
        in_buckets = kinds[accepted[k]] == scan.HISTOGRAM
        span = points[accepted[k], scan.BOUNDS : scan.BOUNDS + 2]
        for exemplar in _exemplars(body, points[accepted[k]], in_buckets=in_buckets):
            # The bucket that an exemplar fell into carries it; of several for one row, the last.
            bucket = np.searchsorted(np.frombuffer(body[span[0] : span[1]], "<f8"), exemplar["value"])
            rows.exemplars[int(row_starts[k] + (bucket if in_buckets else 0))] = exemplar
    return rows


def _exemplars(body: bytes, point: np.ndarray, *, in_buckets: bool) -> list[dict[str, Any]]:
    """The exemplars of a point; none where they are too many bytes, or not readable."""
    start, end = point[scan.EXEMPLAR : scan.EXEMPLAR + 2]
    if end - start > MAX_EXEMPLAR_BYTES:
        return []
    message = metrics_pb2.HistogramDataPoint if in_buckets else metrics_pb2.NumberDataPoint
    try:
        return [exemplar_dict(one) for one in message.FromString(body[start:end]).exemplars]
    except DecodeError:
        return []
