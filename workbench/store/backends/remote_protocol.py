"""Prometheus' remote write 1.0 and remote read, as bytes.

Format: `prometheus/prompb` (`remote.proto`, `types.proto`), compressed as one snappy block. A sample is written as 18
bytes of fixed places, so that a million of them is a matrix and no loop; answers are read by a kernel with bounds
checks. Times are milliseconds on the wire and microseconds here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numba import njit

from workbench.errors import StoreError
from workbench.store.backends.protocols import LabelledSamples, LabelMatcher, Labels

_OPERATORS = {"=": 0, "!=": 1, "=~": 2, "!~": 3}
_SAMPLE_BYTES = 18  # tag, length; tag and double; tag and a varint of six bytes
# Milliseconds whose varint has six bytes: 1971 to 2109. Others take the slow way.
_FIRST_MS, _LAST_MS = 2**35, 2**42 - 1


def write_request(samples: LabelledSamples) -> bytes:
    """A WriteRequest, compressed."""
    times_ms = samples.times_us // 1000
    encoded = _encode_samples(times_ms, samples.values)
    parts = []
    for at, labels in enumerate(samples.labels):
        lo, hi = samples.offsets[at], samples.offsets[at + 1]
        if lo < hi:
            own = encoded[lo:hi].tobytes() if encoded is not None else _slowly(times_ms[lo:hi], samples.values[lo:hi])
            parts.append(_field(1, _label_bytes(labels) + own))
    return _compressed(b"".join(parts))


def read_request(matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> bytes:
    """A ReadRequest for raw samples, compressed."""
    # Every time between two milliseconds belongs to the one before it, as when it was written.
    query = b"\x08" + _varint(-(-start_us // 1000)) + b"\x10" + _varint(end_us // 1000)
    for label, operator, value in matchers:
        kind = _OPERATORS[operator]
        body = (b"\x08" + _varint(kind) if kind else b"") + _field(2, label.encode()) + _field(3, value.encode())
        query += _field(3, body)
    return _compressed(_field(1, query))


def read_response(body: bytes, where: str) -> LabelledSamples:
    """The samples of a ReadResponse. Raises StoreError for what is none."""
    buffer = np.frombuffer(_expanded(body, where), np.uint8)
    spans = _series_spans(buffer)
    sizes, label_ends = _measured(buffer, spans) if len(spans) else (np.empty(0, np.int64), np.empty(0, np.int64))
    if (len(spans) and spans[-1, 0] < 0) or (sizes < 0).any():
        raise StoreError("the answer to a remote read is malformed", where=where)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    times, bits = np.zeros(offsets[-1], np.int64), np.zeros(offsets[-1], np.uint64)
    _fill(buffer, spans, offsets, times, bits)
    labels = [_labels(buffer[start:end].tobytes(), where) for start, end in zip(spans[:, 0], label_ends, strict=True)]
    return LabelledSamples(labels, offsets, times * 1000, bits.view(np.float64))


def _encode_samples(times_ms: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    if len(times_ms) and not (times_ms.min() >= _FIRST_MS and times_ms.max() <= _LAST_MS):
        return None
    made = np.empty((len(times_ms), _SAMPLE_BYTES), np.uint8)
    made[:, 0], made[:, 1], made[:, 2], made[:, 11] = 0x12, _SAMPLE_BYTES - 2, 0x09, 0x10
    made[:, 3:11] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    left = times_ms.copy()
    for place in range(12, _SAMPLE_BYTES):
        made[:, place] = (left & 0x7F) | (0x80 if place < _SAMPLE_BYTES - 1 else 0)
        left >>= 7
    return made


def _slowly(times_ms: np.ndarray, values: np.ndarray) -> bytes:
    pairs = zip(times_ms.tolist(), values, strict=True)
    return b"".join(
        _field(2, b"\x09" + struct.pack("<Q", value.view(np.uint64)) + b"\x10" + _varint(time)) for time, value in pairs
    )


@lru_cache(maxsize=65_536)
def _label_bytes(labels: Labels) -> bytes:
    return b"".join(_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels)


@lru_cache(maxsize=65_536)
def _labels(body: bytes, where: str) -> Labels:
    """Labels of a series from the fields before its samples."""
    found, at = [], 0
    while at < len(body):
        size, at = _read_varint(body, at + 1)
        pair, inner = {1: "", 2: ""}, at
        at += size
        while inner < at:
            number = body[inner] >> 3
            size, inner = _read_varint(body, inner + 1)
            try:
                pair[number] = body[inner : inner + size].decode()
            except UnicodeDecodeError as error:
                raise StoreError("a label is no UTF-8 text", where=where) from error
            inner += size
        if pair[2]:
            found.append((pair[1], pair[2]))
    return tuple(sorted(found))


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (body[at] & 0x7F) << shift
        at += 1
        if body[at - 1] < 0x80:
            return value, at
        shift += 7


def _varint(number: int) -> bytes:
    number &= 2**64 - 1
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _compressed(body: bytes) -> bytes:
    return bytes(pa.compress(body, codec="snappy", asbytes=True))


def _expanded(body: bytes, where: str) -> bytes:
    if not body:
        return b""
    try:
        size, _ = _read_varint(body, 0)
        return bytes(pa.decompress(body, decompressed_size=size, codec="snappy", asbytes=True)) if size else b""
    except (IndexError, pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"the answer to a remote read is no snappy block: {error}", where=where) from error


@njit(cache=True, nogil=True)
def _number(buffer, at, end):  # type: ignore[no-untyped-def]
    """A varint and the place after it; -1 for the place where it runs over the end."""
    value = np.uint64(0)
    for shift in range(10):
        if at >= end:
            return value, -1
        byte = buffer[at]
        value |= np.uint64(byte & 0x7F) << np.uint64(7 * shift)
        at += 1
        if byte < 0x80:
            return value, at
    return value, -1


@njit(cache=True, nogil=True)
def _next_field(buffer, at, end):  # type: ignore[no-untyped-def]
    """Tag, first byte of the body and the place after a field; -1 for the place where it runs over the end."""
    tag, body = _number(buffer, at, end)
    if body < 0:
        return np.int64(0), body, -1
    wire = tag & np.uint64(7)
    after = -1
    if wire == 0:
        _, after = _number(buffer, body, end)
    elif wire == 1:
        after = body + 8
    elif wire == 2:
        size, body = _number(buffer, body, end)
        if body >= 0 and size <= np.uint64(end - body):
            after = body + np.int64(size)
    elif wire == 5:
        after = body + 4
    if after > end:
        after = -1
    return np.int64(tag), body, after


@njit(cache=True, nogil=True)
def _series_spans(buffer):  # type: ignore[no-untyped-def]
    """Where each series begins and ends: int64[n, 2]. A last one of -1 says that the message is malformed."""
    spans = []
    at, end = 0, len(buffer)
    while at < end:
        tag, inner, after = _next_field(buffer, at, end)
        if after < 0:
            spans.append((-1, -1))
            break
        if tag == 10:
            while inner < after:
                inner_tag, body, inner_after = _next_field(buffer, inner, after)
                if inner_after < 0:
                    spans.append((-1, -1))
                    break
                if inner_tag == 10:
                    spans.append((body, inner_after))
                inner = inner_after
            if spans and spans[-1][0] < 0:
                break
        at = after
    found = np.empty((len(spans), 2), np.int64)
    for row in range(len(spans)):
        found[row, 0], found[row, 1] = spans[row]
    return found


@njit(cache=True, nogil=True)
def _measured(buffer, spans):  # type: ignore[no-untyped-def]
    """Number of samples of each series, and where its labels end; -1 samples where it is malformed."""
    sizes = np.zeros(len(spans), np.int64)
    label_ends = spans[:, 0].copy()
    for row in range(len(spans)):
        at, end = spans[row]
        if at < 0:
            sizes[row] = -1
            continue
        while at < end:
            tag, _, after = _next_field(buffer, at, end)
            # Labels come first in what Prometheus writes; what is said after the samples would be lost.
            if after < 0 or (tag == 10 and label_ends[row] != at):
                sizes[row] = -1
                break
            if tag == 10:
                label_ends[row] = after
            elif tag == 18:
                sizes[row] += 1
            at = after
    return sizes, label_ends


@njit(cache=True, nogil=True)
def _fill(buffer, spans, offsets, times, bits):  # type: ignore[no-untyped-def]
    for row in range(len(spans)):
        at, end = spans[row]
        out = offsets[row]
        while at < end:
            tag, inner, after = _next_field(buffer, at, end)
            if tag == 18:
                while inner < after:
                    inner_tag, body, inner_after = _next_field(buffer, inner, after)
                    if inner_after < 0:
                        break
                    if inner_tag == 9:
                        for place in range(8):
                            bits[out] |= np.uint64(buffer[body + place]) << np.uint64(8 * place)
                    elif inner_tag == 16:
                        number, _ = _number(buffer, body, inner_after)
                        times[out] = np.int64(number)
                    inner = inner_after
                out += 1
            at = after
