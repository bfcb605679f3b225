"""Protocol Buffers wire format, bounded: every read is checked against the end of what encloses it.

Source: https://protobuf.dev/programming-guides/encoding/. Field numbers, wire types and lengths come from the sender
and are believed only as far as the bytes reach. A scanner that meets a form which is legal but which no encoder in use
writes (a singular message sent twice, numbers not packed, groups) says UNUSUAL; its caller then lets the generated
classes rewrite the message in canonical form and scans again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from workbench.errors import InputError, TooLarge

Int = Any
"""An integer inside compiled code: a Python int, int64 or uint64 to the type checker."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

OK, MALFORMED, UNUSUAL, TOO_MANY = 0, 1, 2, 3
"""What became of a scan; kept in `state[STATUS]`, with the byte where it stopped in `state[AT]`."""

STATUS, AT = 0, 1
"""Places in the `state` array (int64) that every scanner shares; its counters follow from place 2 on."""

MAX_FIELD = 2**29 - 1

MAX_ITEMS = 2**20
"""Of each sort (series, samples, metrics, points) in one request. An empty one takes two bytes on the wire and fifty
times that in memory; senders in use stop at some ten thousand."""

MAX_PARSED_BYTES = 8 * 2**20
"""Of what is handed to the generated classes at once, for the same reason."""


@njit(cache=True, nogil=True)
def read_varint(body: np.ndarray, at: Int, end: Int) -> tuple[Int, Int]:
    """One base-128 varint of at most ten bytes in body[at:end] -> (value, position after it; -1 if it is cut)."""
    value = np.uint64(0)
    shift = np.uint64(0)
    limit = min(end, at + 10)
    while at < limit:
        byte = np.uint64(body[np.uint64(at)])
        value |= (byte & np.uint64(0x7F)) << shift
        at += 1
        if byte < np.uint64(0x80):
            return value, at
        shift += np.uint64(7)
    return value, -1


@njit(cache=True, nogil=True)
def read_fixed64(body: np.ndarray, at: Int) -> Int:
    """Eight bytes, little-endian, at body[at:]; the caller has checked that they are there."""
    value = np.uint64(0)
    for i in range(8):
        value |= np.uint64(body[np.uint64(at + i)]) << np.uint64(8 * i)
    return value


@njit(cache=True, nogil=True)
def read_field(body: np.ndarray, at: Int, end: Int, state: np.ndarray) -> tuple[Int, Int, Int, Int, Int]:
    """One field of the message body[at:end] -> (field, wire type, value, start of the payload, position after it).

    The payload of a BYTES field is body[start:after]; `value` holds a number's bits. Never reads at or past `end`. On
    trouble `after` is -1 and `state` says what and where.
    """
    start = at
    tag, at = read_varint(body, at, end)
    field = np.int64(tag >> np.uint64(3))
    wire = np.int64(tag & np.uint64(7))
    value = np.uint64(0)
    if at < 0 or field < 1 or field > MAX_FIELD:
        return fail(state, MALFORMED, start)
    if wire == VARINT:
        value, after = read_varint(body, at, end)
        if after < 0:
            return fail(state, MALFORMED, at)
        return field, wire, value, at, after
    if wire == FIXED64:
        if end - at < 8:
            return fail(state, MALFORMED, at)
        return field, wire, read_fixed64(body, at), at, at + 8
    if wire == BYTES:
        size, after = read_varint(body, at, end)
        if after < 0 or size > np.uint64(end - after):
            return fail(state, MALFORMED, at)
        return field, wire, value, after, after + np.int64(size)
    if wire == FIXED32:
        if end - at < 4:
            return fail(state, MALFORMED, at)
        return field, wire, value, at, at + 4
    return fail(state, UNUSUAL if wire in (3, 4) else MALFORMED, start)


@njit(cache=True, nogil=True)
def fail(state: np.ndarray, status: Int, at: Int) -> tuple[Int, Int, Int, Int, Int]:
    """Record why and where a scan stopped; returns what `read_field` returns then."""
    state[STATUS] = status
    state[AT] = at
    return np.int64(0), np.int64(0), np.uint64(0), np.int64(at), np.int64(-1)


def raise_for(state: np.ndarray, what: str) -> None:
    """Raise InputError or TooLarge for a scan that did not end OK; `what` names the message that was scanned."""
    if state[STATUS] == MALFORMED:
        raise InputError(f"the {what} breaks off or is malformed", where=f"byte {state[AT]}")
    if state[STATUS] == TOO_MANY:
        raise TooLarge(f"the {what} holds over {MAX_ITEMS} items", hint="Send fewer per request.")


@njit(cache=True, nogil=True)
def copy_bytes(source: np.ndarray, start: Int, end: Int, target: np.ndarray, at: Int) -> Int:
    """Copy source[start:end] to target[at:]; returns the position after the copy."""
    for i in range(end - start):
        target[np.uint64(at + i)] = source[np.uint64(start + i)]
    return at + end - start


@njit(cache=True, nogil=True)
def padded(size: Int) -> Int:
    """`size` rounded up to whole 8-byte words."""
    return (size + 7) & ~7
