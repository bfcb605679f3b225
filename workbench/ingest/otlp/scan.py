"""The columns of an OTLP metrics export request: keys and numbers, without a Python object per data point.

Source: opentelemetry/proto/metrics/v1/metrics.proto 1.x. Gauges, sums and explicit-bucket histograms become columns
here; of exponential histograms and summaries only the place of each point is noted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.ingest.wire import (
    AT,
    BYTES,
    FIXED64,
    MALFORMED,
    MAX_ITEMS,
    OK,
    STATUS,
    TOO_MANY,
    UNUSUAL,
    VARINT,
    Int,
    copy_bytes,
    padded,
    raise_for,
    read_field,
    read_fixed64,
)

GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY = 5, 7, 9, 10, 11
"""Kinds of metrics: the numbers of their fields in `Metric`."""

# Columns of `OtlpColumns.metrics`. Pairs are start and end of bytes in the body.
RESOURCE, KIND, TEMPORALITY, MONOTONIC, NAME, UNIT, DESCRIPTION, SCOPE = 0, 1, 2, 3, 4, 6, 8, 10
_METRIC_COLUMNS = 12

# Columns of `OtlpColumns.points`. FORM says what VALUE's bits are; BOUNDS of a point that is decoded one by one is its
# whole message; EXEMPLAR goes from the first exemplar's tag to the end of the last one.
METRIC, TIME, START, VALUE, FORM, FLAGS, COUNT, TOTAL, HAS_TOTAL, BOUNDS, BUCKETS, EXEMPLAR = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13,
)  # fmt: skip
_POINT_COLUMNS = 15
NO_VALUE, DOUBLE, INTEGER = 0, 1, 2

POINT_KEY_WORDS = 4
"""Words before the bytes of a point's key: length, reference of its metric, HAS_TOTAL, length of its attributes."""
METRIC_KEY_WORDS = 4
"""Words before the bytes of a metric's key: length, reference of its resource, kind and flags, length of its name."""

# Counters in `state`.
_RESOURCES, _RESOURCE_WORDS, _METRICS, _METRIC_WORDS, _POINTS, _POINT_WORDS = 2, 3, 4, 5, 6, 7


class Keys(NamedTuple):
    """Keys of a `ByteTable`: key k is words[starts[k]:starts[k + 1]]."""

    words: np.ndarray
    starts: np.ndarray


class OtlpColumns(NamedTuple):
    """A request as columns: int64[n, …] with the columns named above, and the keys of resources, metrics and points.

    The second word of a metric's and a point's key is left 0 for the reference of what it belongs to.
    """

    resource_keys: Keys
    metric_keys: Keys
    point_keys: Keys
    metrics: np.ndarray
    points: np.ndarray


class _Out(NamedTuple):
    resource_words: np.ndarray
    resource_bytes: np.ndarray
    resource_starts: np.ndarray
    metric_words: np.ndarray
    metric_bytes: np.ndarray
    metric_starts: np.ndarray
    point_words: np.ndarray
    point_bytes: np.ndarray
    point_starts: np.ndarray
    metrics: np.ndarray
    points: np.ndarray


def scan_otlp(body: bytes) -> OtlpColumns | None:
    """Read a whole ExportMetricsServiceRequest; None where it must be rewritten in canonical form first.

    Raises InputError that names the byte where the message breaks, TooLarge over MAX_ITEMS metrics or points.
    """
    source = np.frombuffer(body, np.uint8)
    state = np.zeros(8, np.int64)
    _scan_request(source, False, _allocate(state, 0), state)
    if state[STATUS] == OK:
        out = _allocate(state, len(body) // 8)
        state[:] = 0
        _scan_request(source, True, out, state)
    if state[STATUS] == UNUSUAL:
        return None
    raise_for(state, "OTLP message")
    return OtlpColumns(
        Keys(out.resource_words[: state[_RESOURCE_WORDS]], out.resource_starts),
        Keys(out.metric_words[: state[_METRIC_WORDS]], out.metric_starts),
        Keys(out.point_words[: state[_POINT_WORDS]], out.point_starts),
        out.metrics,
        out.points,
    )


def _allocate(state: np.ndarray, body_words: int) -> _Out:
    """Room for what was counted. Of the words only an upper bound is known; pages that stay untouched cost nothing."""
    resources, metrics, points = (int(state[n]) for n in (_RESOURCES, _METRICS, _POINTS))
    resource_words = np.zeros(body_words + 2 * resources, np.uint64)
    metric_words = np.zeros(body_words + (METRIC_KEY_WORDS + 1) * metrics, np.uint64)
    point_words = np.zeros(body_words + (POINT_KEY_WORDS + 1) * points, np.uint64)
    return _Out(
        resource_words,
        resource_words.view(np.uint8),
        np.zeros(resources + 1, np.int64),
        metric_words,
        metric_words.view(np.uint8),
        np.zeros(metrics + 1, np.int64),
        point_words,
        point_words.view(np.uint8),
        np.zeros(points + 1, np.int64),
        np.zeros((metrics, _METRIC_COLUMNS), np.int64),
        np.zeros((points, _POINT_COLUMNS), np.int64),
    )


@njit(cache=True, nogil=True)
def _too_many(state: np.ndarray) -> bool:
    if max(state[_RESOURCES], state[_METRICS], state[_POINTS]) <= MAX_ITEMS:
        return False
    state[STATUS] = TOO_MANY
    return True


@njit(cache=True, nogil=True)
def _scan_request(body: np.ndarray, fill: bool, out: _Out, state: np.ndarray) -> None:
    at, end = 0, len(body)
    while at < end:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if field == 1 and wire == BYTES:
            _scan_resource_metrics(body, start, at, fill, out, state)
            if state[STATUS] != OK:
                return


@njit(cache=True, nogil=True)
def _only_field(body: np.ndarray, at: Int, end: Int, wanted: Int, state: np.ndarray) -> tuple[Int, Int]:
    """Start and end of the one BYTES field numbered `wanted`; UNUSUAL if it was sent twice, an empty span if never."""
    found_start, found_end, seen = 0, 0, False
    while at < end:
        opened = at
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return found_start, found_end
        if field == wanted and wire == BYTES:
            if seen:
                state[STATUS], state[AT] = UNUSUAL, opened
                return found_start, found_end
            found_start, found_end, seen = start, at, True
    return found_start, found_end


@njit(cache=True, nogil=True)
def _scan_resource_metrics(body: np.ndarray, at: Int, end: Int, fill: bool, out: _Out, state: np.ndarray) -> None:
    resource_start, resource_end = _only_field(body, at, end, 1, state)
    if state[STATUS] != OK:
        return
    size = resource_end - resource_start
    if fill:
        word = state[_RESOURCE_WORDS]
        out.resource_words[word] = size
        copy_bytes(body, resource_start, resource_end, out.resource_bytes, 8 * (word + 1))
        state[_RESOURCE_WORDS] += 1 + padded(size) // 8
        out.resource_starts[state[_RESOURCES] + 1] = state[_RESOURCE_WORDS]
    while at < end:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if field == 2 and wire == BYTES:
            _scan_scope_metrics(body, start, at, fill, out, state)
            if state[STATUS] != OK:
                return
    state[_RESOURCES] += 1
    _too_many(state)


@njit(cache=True, nogil=True)
def _scan_scope_metrics(body: np.ndarray, at: Int, end: Int, fill: bool, out: _Out, state: np.ndarray) -> None:
    scope_start, scope_end = _only_field(body, at, end, 1, state)
    if state[STATUS] != OK:
        return
    while at < end:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if field == 2 and wire == BYTES:
            number = state[_METRICS]
            if fill:
                out.metrics[number, SCOPE] = scope_start
                out.metrics[number, SCOPE + 1] = scope_end
            _scan_metric(body, start, at, fill, out, state)
            if state[STATUS] != OK or _too_many(state):
                return


@njit(cache=True, nogil=True)
def _scan_metric(body: np.ndarray, at: Int, end: Int, fill: bool, out: _Out, state: np.ndarray) -> None:
    name_start = name_end = unit_start = unit_end = about_start = about_end = 0
    kind = data_start = data_end = 0
    while at < end:
        opened = at
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if wire != BYTES:
            continue
        if field == 1:
            name_start, name_end = start, at
        elif field == 2:
            about_start, about_end = start, at
        elif field == 3:
            unit_start, unit_end = start, at
        elif field in (GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY):
            if kind != 0:
                state[STATUS], state[AT] = UNUSUAL, opened
                return
            kind, data_start, data_end = field, start, at
    temporality, monotonic = _scan_data(body, data_start, data_end, kind, fill, out, state)
    if state[STATUS] != OK:
        return
    if fill:
        number, word = state[_METRICS], state[_METRIC_WORDS]
        size = name_end - name_start + unit_end - unit_start
        state[_METRIC_WORDS] += METRIC_KEY_WORDS + padded(size) // 8
        row = out.metrics[number]
        row[RESOURCE], row[KIND], row[TEMPORALITY], row[MONOTONIC] = state[_RESOURCES], kind, temporality, monotonic
        row[NAME], row[NAME + 1], row[UNIT], row[UNIT + 1] = name_start, name_end, unit_start, unit_end
        row[DESCRIPTION], row[DESCRIPTION + 1] = about_start, about_end
        out.metric_words[word] = size
        out.metric_words[word + 2] = (kind << 40) | (monotonic << 32) | (temporality & 0xFFFFFFFF)
        out.metric_words[word + 3] = name_end - name_start
        place = copy_bytes(body, name_start, name_end, out.metric_bytes, 8 * (word + METRIC_KEY_WORDS))
        copy_bytes(body, unit_start, unit_end, out.metric_bytes, place)
        out.metric_starts[number + 1] = state[_METRIC_WORDS]
    state[_METRICS] += 1


@njit(cache=True, nogil=True)
def _scan_data(
    body: np.ndarray, at: Int, end: Int, kind: Int, fill: bool, out: _Out, state: np.ndarray
) -> tuple[Int, Int]:
    """The points of a Gauge, Sum, Histogram, ExponentialHistogram or Summary -> (temporality, monotonic)."""
    temporality, monotonic = np.int64(0), np.int64(0)
    while at < end:
        field, wire, value, start, at = read_field(body, at, end, state)
        if at < 0:
            return temporality, monotonic
        if field == 1 and wire == BYTES:
            if fill:
                _scan_point(body, start, at, kind, out, state)
                if state[STATUS] != OK:
                    return temporality, monotonic
            state[_POINTS] += 1
            if state[_POINTS] > MAX_ITEMS:
                state[STATUS] = TOO_MANY
                return temporality, monotonic
        elif field == 2 and wire == VARINT and kind in (SUM, HISTOGRAM, EXPONENTIAL):
            temporality = np.int64(value)
        elif field == 3 and wire == VARINT and kind == SUM:
            monotonic = np.int64(value != 0)
    return temporality, monotonic


@njit(cache=True, nogil=True)
def _scan_point(body: np.ndarray, at: Int, end: Int, kind: Int, out: _Out, state: np.ndarray) -> None:
    number, word = state[_POINTS], state[_POINT_WORDS]
    row = out.points[number]
    row[METRIC] = state[_METRICS]
    size = attributes = np.int64(0)
    base = 8 * (word + POINT_KEY_WORDS)
    if kind in (EXPONENTIAL, SUMMARY):
        row[BOUNDS], row[BOUNDS + 1] = at, end
    elif kind == HISTOGRAM:
        attributes = _scan_histogram_point(body, at, end, out.point_bytes, base, row, state)
        size = attributes + row[BOUNDS + 1] - row[BOUNDS]
        copy_bytes(body, row[BOUNDS], row[BOUNDS + 1], out.point_bytes, base + attributes)
    else:
        size = attributes = _scan_number_point(body, at, end, out.point_bytes, base, row, state)
    state[_POINT_WORDS] += POINT_KEY_WORDS + padded(size) // 8
    out.point_words[word] = size
    out.point_words[word + 2] = row[HAS_TOTAL]
    out.point_words[word + 3] = attributes
    out.point_starts[number + 1] = state[_POINT_WORDS]


@njit(cache=True, nogil=True)
def _scan_number_point(
    body: np.ndarray, at: Int, end: Int, keys: np.ndarray, base: Int, row: np.ndarray, state: np.ndarray
) -> Int:
    """NumberDataPoint into `row`; its attributes, tags included, into `keys`. Returns how many bytes they have."""
    size = np.int64(0)
    while at < end:
        opened = at
        field, wire, value, _, at = read_field(body, at, end, state)
        if at < 0:
            return size
        if wire == FIXED64:
            if field == 2:
                row[START] = np.int64(value)
            elif field == 3:
                row[TIME] = np.int64(value)
            elif field == 4:
                row[VALUE], row[FORM] = np.int64(value), DOUBLE
            elif field == 6:
                row[VALUE], row[FORM] = np.int64(value), INTEGER
        elif wire == BYTES:
            if field == 7:
                copy_bytes(body, opened, at, keys, base + size)
                size += at - opened
            elif field == 5:
                if row[EXEMPLAR + 1] == 0:
                    row[EXEMPLAR] = opened
                row[EXEMPLAR + 1] = at
        elif field == 8 and wire == VARINT:
            row[FLAGS] = np.int64(value & np.uint64(0xFFFFFFFF))
    return size


@njit(cache=True, nogil=True)
def _scan_histogram_point(
    body: np.ndarray, at: Int, end: Int, keys: np.ndarray, base: Int, row: np.ndarray, state: np.ndarray
) -> Int:
    """HistogramDataPoint into `row`; its attributes, tags included, into `keys`. Returns how many bytes they have."""
    size = np.int64(0)
    while at < end:
        opened = at
        field, wire, value, start, at = read_field(body, at, end, state)
        if at < 0:
            return size
        if field in (6, 7):  # packed numbers; unpacked or in several pieces is legal, and never seen
            span = BUCKETS if field == 6 else BOUNDS
            if wire == FIXED64 or (wire == BYTES and row[span + 1] > row[span] and at > start):
                state[STATUS], state[AT] = UNUSUAL, opened
                return size
            if wire == BYTES and at > start:
                if (at - start) % 8:
                    state[STATUS], state[AT] = MALFORMED, start
                    return size
                row[span], row[span + 1] = start, at
        elif wire == FIXED64:
            if field == 2:
                row[START] = np.int64(value)
            elif field == 3:
                row[TIME] = np.int64(value)
            elif field == 4:
                row[COUNT] = np.int64(value)
            elif field == 5:
                row[TOTAL], row[HAS_TOTAL] = np.int64(value), 1
        elif wire == BYTES:
            if field == 9:
                copy_bytes(body, opened, at, keys, base + size)
                size += at - opened
            elif field == 8:
                if row[EXEMPLAR + 1] == 0:
                    row[EXEMPLAR] = opened
                row[EXEMPLAR + 1] = at
        elif field == 10 and wire == VARINT:
            row[FLAGS] = np.int64(value & np.uint64(0xFFFFFFFF))
    return size


@njit(cache=True, nogil=True)
def explode(
    body: np.ndarray,
    points: np.ndarray,
    kinds: np.ndarray,
    groups: np.ndarray,
    members: np.ndarray,
    first: np.ndarray,
    row_starts: np.ndarray,
    series: np.ndarray,
    bits: np.ndarray,
) -> None:
    """Rows of the accepted points: one for a number, cumulative buckets, count and sum for a histogram.

    `groups[k]` is the number of an accepted point, `first[k]` where its series begin in `members`, `row_starts`
    (int64[n + 1]) where its rows go. Fills `series` and the values' `bits`.
    """
    scratch = np.zeros(1, np.float64)
    as_bits = scratch.view(np.uint64)
    for k in range(len(groups)):
        row = points[groups[k]]
        at, rows = row_starts[k], row_starts[k + 1] - row_starts[k]
        for i in range(rows):
            series[at + i] = members[first[k] + i]
        if kinds[k] != HISTOGRAM:
            if row[FORM] == INTEGER:
                scratch[0] = np.float64(row[VALUE])
                bits[at] = as_bits[0]
            else:
                bits[at] = np.uint64(row[VALUE])
            continue
        buckets = rows - 1 - row[HAS_TOTAL]
        running = np.uint64(0)
        for i in range(buckets):
            if row[BUCKETS + 1] > row[BUCKETS]:
                running += read_fixed64(body, row[BUCKETS] + 8 * i)
            else:
                running = np.uint64(row[COUNT])
            scratch[0] = np.float64(running)
            bits[at + i] = as_bits[0]
        scratch[0] = np.float64(np.uint64(row[COUNT]))
        bits[at + buckets] = as_bits[0]
        if row[HAS_TOTAL]:
            bits[at + buckets + 1] = np.uint64(row[TOTAL])
