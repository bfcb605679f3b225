"""The columns of a Prometheus remote-write 1.0 request: label bytes and samples, without a Python object per sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.errors import InputError
from workbench.ingest.wire import (
    AT,
    BYTES,
    FIXED64,
    MALFORMED,
    OK,
    STATUS,
    UNUSUAL,
    VARINT,
    Int,
    copy_bytes,
    padded,
    read_field,
)  # fmt: skip

_SERIES, _WORDS, _SAMPLES, _HISTOGRAMS = 2, 3, 4, 5  # counters in `state`


class WriteColumns(NamedTuple):
    """A request as columns.

    `words` and `key_starts` (int64[n + 1]): for each of n series the bytes of its labels, as a key of `ByteTable`.
    `series` (int64[m]): which of the n series a sample belongs to; `times_ms` (int64[m]) since 1970; `bits` (uint64[m])
    of its double. `histograms`: how many native histograms the request holds besides.
    """

    words: np.ndarray
    key_starts: np.ndarray
    series: np.ndarray
    times_ms: np.ndarray
    bits: np.ndarray
    histograms: int


def scan_write(body: bytes) -> WriteColumns | None:
    """Read a whole WriteRequest; None where it must be rewritten in canonical form first.

    Raises InputError that names the byte where the message breaks.
    """
    source = np.frombuffer(body, np.uint8)
    state = np.zeros(8, np.int64)
    none = np.zeros(0, np.int64)
    _scan_request(source, False, state, none.view(np.uint8), none, none, none, none.view(np.uint64))
    if state[STATUS] == MALFORMED:
        raise InputError("the remote-write message breaks off or is malformed", where=f"byte {state[AT]}")
    if state[STATUS] == UNUSUAL:
        return None
    series, words, samples, histograms = (int(n) for n in state[_SERIES : _HISTOGRAMS + 1])
    columns = WriteColumns(
        np.zeros(words, np.uint64), np.zeros(series + 1, np.int64), np.empty(samples, np.int64),
        np.empty(samples, np.int64), np.empty(samples, np.uint64), histograms,
    )  # fmt: skip
    state[:] = 0
    _scan_request(
        source, True, state, columns.words.view(np.uint8), columns.key_starts, columns.series, columns.times_ms,
        columns.bits,
    )  # fmt: skip
    return columns


@njit(cache=True, nogil=True)
def _scan_request(
    body: np.ndarray,
    fill: bool,
    state: np.ndarray,
    keys: np.ndarray,
    key_starts: np.ndarray,
    series: np.ndarray,
    times_ms: np.ndarray,
    bits: np.ndarray,
) -> None:
    at, end = 0, len(body)
    while at < end:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if field == 1 and wire == BYTES:
            _scan_series(body, start, at, fill, state, keys, key_starts, series, times_ms, bits)
            if state[STATUS] != OK:
                return


@njit(cache=True, nogil=True)
def _scan_series(
    body: np.ndarray,
    at: Int,
    end: Int,
    fill: bool,
    state: np.ndarray,
    keys: np.ndarray,
    key_starts: np.ndarray,
    series: np.ndarray,
    times_ms: np.ndarray,
    bits: np.ndarray,
) -> None:
    number, first_word = state[_SERIES], state[_WORDS]
    key = 8 * (first_word + 1)
    size = 0
    while at < end:
        opened = at
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if wire != BYTES:
            continue
        if field == 1:
            if fill:
                copy_bytes(body, opened, at, keys, key + size)
            size += at - opened
        elif field == 2:
            _scan_sample(body, start, at, fill, state, number, series, times_ms, bits)
            if state[STATUS] != OK:
                return
        elif field == 4:
            state[_HISTOGRAMS] += 1
    if fill:
        for i in range(8):
            keys[8 * first_word + i] = (size >> (8 * i)) & 0xFF
        key_starts[number + 1] = first_word + 1 + padded(size) // 8
    state[_SERIES] += 1
    state[_WORDS] += 1 + padded(size) // 8


@njit(cache=True, nogil=True)
def _scan_sample(
    body: np.ndarray,
    at: Int,
    end: Int,
    fill: bool,
    state: np.ndarray,
    number: Int,
    series: np.ndarray,
    times_ms: np.ndarray,
    bits: np.ndarray,
) -> None:
    value, time = np.uint64(0), np.uint64(0)
    while at < end:
        field, wire, number_bits, _, at = read_field(body, at, end, state)
        if at < 0:
            return
        if field == 1 and wire == FIXED64:
            value = number_bits
        elif field == 2 and wire == VARINT:
            time = number_bits
    if fill:
        place = state[_SAMPLES]
        series[place] = number
        times_ms[place] = np.int64(time)
        bits[place] = value
    state[_SAMPLES] += 1
