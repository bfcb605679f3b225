"""Prometheus remote read: a snappy block with a ReadRequest in, one with a ReadResponse of samples out.

Source: prometheus/prompb/remote.proto and types.proto. Answers come as whole samples (response type SAMPLES), also to
who would rather have streamed chunks: every client takes both. Native histograms come with fractional counts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from workbench.errors import InputError, QuerySyntaxError
from workbench.query.endpoints.histogram_message import histogram_messages
from workbench.query.endpoints.wire import encoded, field, fields, varint
from workbench.query.index import label_index
from workbench.query.promql import Matcher
from workbench.query.promql.matcher import check_pattern
from workbench.query.samples import Budget, Loaded, read

if TYPE_CHECKING:
    from workbench.query.names import Labels
    from workbench.store import View

MAX_REQUEST_BYTES = 2**20
_OPERATORS = ("=", "!=", "=~", "!~")
# Milliseconds in this range, from 1971 to 2109, take six bytes as a varint.
_SIX_BYTES = (2**35, 2**42)


def remote_read(view: View, body: bytes, budget: Budget) -> bytes:
    """The answer to a ReadRequest. Raises InputError where it is none, QueryLimit."""
    results = []
    for start_ms, end_ms, matchers in _queries(_unsnapped(body)):
        index = label_index(view)
        rows = [index.rows[number] for number in index.select(matchers)]
        found = read(view, rows, start_ms * 1000, end_ms * 1000, budget)
        sizes = np.diff(found.offsets) + (0 if found.native is None else np.diff(found.native.offsets))
        there = sorted(np.flatnonzero(sizes).tolist(), key=lambda place: found.labels[place])
        series = [_series(found, place) for place in there]
        results.append(field(1, b"".join(field(1, one) for one in series)))
    return pa.compress(b"".join(results), codec="snappy", asbytes=True)


def _unsnapped(body: bytes) -> bytes:
    size, _ = varint(body, 0)
    if size > MAX_REQUEST_BYTES:
        raise InputError(f"the request expands to {size} bytes, over {MAX_REQUEST_BYTES}", where="body")
    try:
        return bytes(pa.decompress(body, decompressed_size=size, codec="snappy", asbytes=True)) if size else b""
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("not a snappy block", where="body", hint="Remote read uses the block format.") from error


def _queries(message: bytes) -> Iterator[tuple[int, int, list[Matcher]]]:
    """Start and end (milliseconds, both included) and matchers of every query of a request."""
    for number, query in fields(message):
        if number != 1 or not isinstance(query, bytes):
            continue
        times = [0, 0]
        matchers = []
        for part, value in fields(query):
            if part in (1, 2) and isinstance(value, int):
                times[part - 1] = max(-(2**52), min(value, 2**52))
            elif part == 3 and isinstance(value, bytes):
                matchers.append(_matcher(value))
        yield times[0], times[1], matchers


def _matcher(message: bytes) -> Matcher:
    parts: dict[int, int | bytes] = dict(fields(message))
    operator, label, value = parts.get(1, 0), parts.get(2, b""), parts.get(3, b"")
    if not isinstance(operator, int) or operator >= len(_OPERATORS) or isinstance(label, int) or isinstance(value, int):
        raise InputError("a label matcher has an unknown form", where="matchers")
    try:
        found = Matcher(label.decode(), _OPERATORS[operator], value.decode())
        if operator >= 2:
            check_pattern(found.value)
    except (UnicodeDecodeError, QuerySyntaxError) as error:
        raise InputError(f"a label matcher cannot be read: {error}", where="matchers") from error
    return found


def _series(found: Loaded, place: int) -> bytes:
    """A TimeSeries: labels, samples, native histograms."""
    part = slice(found.offsets[place], found.offsets[place + 1])
    floats = _labels(found.labels[place]) + _samples(found.times_us[part] // 1000, found.values[part])
    if found.native is None:
        return floats
    return floats + b"".join(field(4, one) for one in histogram_messages(found.native, place))


def _labels(labels: Labels) -> bytes:
    return b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in labels)


def _samples(times_ms: np.ndarray, values: np.ndarray) -> bytes:
    """Sample fields of a TimeSeries; all at once for the times of our century, where each takes the same bytes."""
    if not len(times_ms):
        return b""
    if times_ms.min() < _SIX_BYTES[0] or times_ms.max() >= _SIX_BYTES[1]:
        pairs = zip(times_ms.tolist(), values.tolist(), strict=True)
        return b"".join(field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + encoded(t)) for t, v in pairs)
    out = np.empty((len(times_ms), 18), np.uint8)
    out[:, 0], out[:, 1], out[:, 2], out[:, 11] = 0x12, 0x10, 0x09, 0x10
    out[:, 3:11] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    for place in range(6):
        out[:, 12 + place] = (times_ms >> (7 * place)) & 0x7F | (0x80 if place < 5 else 0)
    return out.tobytes()
