"""Prometheus remote write 2.0 as 1.0: symbols put back in the place of references, everything else copied as it is.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/, io/prometheus/write/v2/types.proto. Samples and
histograms have the fields of 1.0 (start times beside them are not kept); metadata of series is left out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.errors import InputError, TooLarge
from workbench.ingest.wire import (
    BYTES,
    MALFORMED,
    MAX_ITEMS,
    OK,
    STATUS,
    TOO_MANY,
    UNUSUAL,
    VARINT,
    Int,
    copy_bytes,
    fail,
    raise_for,
    read_field,
    read_varint,
)

_SYMBOL, _SERIES = 4, 5
_LABELS, _SAMPLE, _HISTOGRAM, _EXEMPLAR = 1, 2, 3, 4


def as_first(message: bytes, max_bytes: int) -> bytes:
    """An io.prometheus.write.v2.Request as a prometheus.WriteRequest of at most that size.

    Raises InputError that names the byte where the message breaks, TooLarge where references make too much of it.
    """
    source = np.frombuffer(message, np.uint8)
    state = np.zeros(8, np.int64)
    symbols = _symbols(source, state)
    nothing = np.empty(0, np.uint8)
    size = _request(source, symbols, state, nothing, False, max_bytes) if state[STATUS] == OK else 0
    if state[STATUS] == UNUSUAL:
        raise InputError("the remote-write 2.0 message has a form that is not readable")
    if size > max_bytes:
        raise TooLarge(f"the labels expand to over {max_bytes} bytes", hint="Send fewer series per request.")
    raise_for(state, "remote-write 2.0 message")
    out = np.empty(size, np.uint8)
    _request(source, symbols, state, out, True, max_bytes)
    return out.tobytes()


@njit(cache=True, nogil=True)
def _symbols(body: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Where each symbol begins and ends: int64[n, 2]."""
    found = np.empty((64, 2), np.int64)
    at, end, n = 0, len(body), 0
    while at < end:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            break
        if field == _SYMBOL and wire == BYTES:
            if n == MAX_ITEMS:
                state[STATUS] = TOO_MANY
                break
            if n == len(found):
                grown = np.empty((2 * n, 2), np.int64)
                grown[:n] = found
                found = grown
            found[n, 0], found[n, 1] = start, at
            n += 1
    return found[:n].copy()


@njit(cache=True, nogil=True)
def _number_size(value: Int) -> Int:
    size = 1
    while value >= 128:
        value >>= 7
        size += 1
    return size


@njit(cache=True, nogil=True)
def _put_header(out: np.ndarray, at: Int, field: Int, size: Int, write: Int) -> Int:
    """The tag and length of a BYTES field; returns the position after them."""
    if not write:
        return at + 1 + _number_size(size)
    out[at] = np.uint8(field << 3 | 2)
    at += 1
    while size >= 128:
        out[at] = np.uint8(size & 127 | 128)
        size >>= 7
        at += 1
    out[at] = np.uint8(size)
    return at + 1


@njit(cache=True, nogil=True)
def _put(body: np.ndarray, start: Int, end: Int, out: np.ndarray, at: Int, field: Int, write: Int) -> Int:
    """A BYTES field with a copy of body[start:end]."""
    at = _put_header(out, at, field, end - start, write)
    return copy_bytes(body, start, end, out, at) if write else at + end - start


@njit(cache=True, nogil=True)
def _put_labels(
    body: np.ndarray, at: Int, end: Int, symbols: np.ndarray, state: np.ndarray, out: np.ndarray, to: Int, write: Int
) -> Int:
    """Label messages for packed pairs of references; -1 where one refers to nothing."""
    while at < end:
        opened = at
        name, at = read_varint(body, at, end)
        value, after = read_varint(body, at, end) if at >= 0 else (np.uint64(0), -1)
        if after < 0 or name >= np.uint64(len(symbols)) or value >= np.uint64(len(symbols)):
            fail(state, MALFORMED, opened)
            return -1
        at = after
        a, b = symbols[np.int64(name), 0], symbols[np.int64(name), 1]
        c, d = symbols[np.int64(value), 0], symbols[np.int64(value), 1]
        inner = 2 + _number_size(b - a) + (b - a) + _number_size(d - c) + (d - c)
        to = _put_header(out, to, 1, inner, write)
        to = _put(body, a, b, out, to, 1, write)
        to = _put(body, c, d, out, to, 2, write)
    return to


@njit(cache=True, nogil=True)
def _put_exemplar(
    body: np.ndarray, at: Int, end: Int, symbols: np.ndarray, state: np.ndarray, out: np.ndarray, to: Int, write: Int
) -> Int:
    """The fields of an exemplar: its labels anew, value and time as they are; -1 on trouble."""
    while at < end:
        opened = at
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return -1
        if field == _LABELS and wire == BYTES:
            to = _put_labels(body, start, at, symbols, state, out, to, write)
            if to < 0:
                return -1
        elif field in (2, 3):
            to = copy_bytes(body, opened, at, out, to) if write else to + at - opened
    return to


@njit(cache=True, nogil=True)
def _put_series(
    body: np.ndarray, at: Int, end: Int, symbols: np.ndarray, state: np.ndarray, out: np.ndarray, to: Int, write: Int
) -> Int:
    """The fields of a series in the numbers of 1.0; -1 on trouble."""
    while at < end:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return -1
        if field == _LABELS and wire == VARINT:
            fail(state, UNUSUAL, start)
            return -1
        if wire != BYTES:
            continue
        if field == _LABELS:
            to = _put_labels(body, start, at, symbols, state, out, to, write)
        elif field == _SAMPLE:
            to = _put(body, start, at, out, to, 2, write)
        elif field == _HISTOGRAM:
            to = _put(body, start, at, out, to, 4, write)
        elif field == _EXEMPLAR:
            size = _put_exemplar(body, start, at, symbols, state, out, 0, False)
            if size < 0:
                return -1
            to = _put_header(out, to, 3, size, write)
            to = _put_exemplar(body, start, at, symbols, state, out, to, write) if write else to + size
        if to < 0:
            return -1
    return to


@njit(cache=True, nogil=True)
def _request(
    body: np.ndarray, symbols: np.ndarray, state: np.ndarray, out: np.ndarray, write: Int, max_bytes: Int
) -> Int:
    """The whole request; how many bytes it has. Ends early where these are too many."""
    at, end, to = 0, len(body), 0
    while at < end and to <= max_bytes:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return 0
        if field == _SERIES and wire == BYTES:
            size = _put_series(body, start, at, symbols, state, out, 0, False)
            if size < 0:
                return 0
            to = _put_header(out, to, 1, size, write)
            to = _put_series(body, start, at, symbols, state, out, to, write) if write else to + size
    return to
