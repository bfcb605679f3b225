"""The columns of a Prometheus remote-write 1.0 request: label bytes and samples, without a Python object per sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.ingest.wire import (
    BYTES,
    FIXED64,
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
)

_SERIES, _WORDS, _SAMPLES, _ODD, _TELLS = 2, 3, 4, 5, 6  # counters in `state`


class WriteColumns(NamedTuple):
    """A request as columns.

    `words` and `key_starts` (int64[n + 1]): for each of n series the bytes of its labels, as a key of `ByteTable`.
    `series` (int64[m]): which of the n series a sample belongs to; `times_ms` (int64[m]) since 1970; `bits` (uint64[m])
    of its double. `odd` (int64[k, 2]): start and end in the body of each TimeSeries that holds native histograms or
    exemplars. `tells`: whether there are metadata beside.
    """

    words: np.ndarray
    key_starts: np.ndarray
    series: np.ndarray
    times_ms: np.ndarray
    bits: np.ndarray
    odd: np.ndarray
    tells: bool


def scan_write(body: bytes) -> WriteColumns | None:
    """Read a whole WriteRequest; None where it must be rewritten in canonical form first.

    Raises InputError that names the byte where the message breaks, TooLarge over MAX_ITEMS series or samples.
    """
    source = np.frombuffer(body, np.uint8)
    state = np.zeros(8, np.int64)
    count = _count_series(source, state)
    most = min(len(body) // 2, MAX_ITEMS)  # of samples; what is not written to costs nothing
    words = np.zeros(len(body) // 8 + 2 * count, np.uint64)
    columns = WriteColumns(
        words,
        np.zeros(count + 1, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.uint64),
        np.empty((count, 2), np.int64),
        False,
    )
    if state[STATUS] == OK:
        _scan_request(source, state, words.view(np.uint8), *columns[:-1])
    if state[STATUS] == UNUSUAL:
        return None
    raise_for(state, "remote-write message")
    series, used, samples, odd = (int(n) for n in state[_SERIES : _ODD + 1])
    return WriteColumns(
        words[:used],
        columns.key_starts[: series + 1],
        columns.series[:samples],
        columns.times_ms[:samples],
        columns.bits[:samples],
        columns.odd[:odd],
        bool(state[_TELLS]),
    )


@njit(cache=True, nogil=True)
def _count_series(body: np.ndarray, state: np.ndarray) -> Int:
    at, end, count = 0, len(body), 0
    while at < end:
        field, wire, _, _, at = read_field(body, at, end, state)
        if at < 0:
            return 0
        if field == 1 and wire == BYTES:
            if count == MAX_ITEMS:
                state[STATUS] = TOO_MANY
                return 0
            count += 1
        elif field == 3 and wire == BYTES:
            state[_TELLS] = 1
    return count


@njit(cache=True, nogil=True)
def _scan_request(
    body: np.ndarray,
    state: np.ndarray,
    keys: np.ndarray,
    words: np.ndarray,
    key_starts: np.ndarray,
    series: np.ndarray,
    times_ms: np.ndarray,
    bits: np.ndarray,
    odd: np.ndarray,
) -> None:
    at, end = 0, len(body)
    while at < end:
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if field == 1 and wire == BYTES:
            _scan_series(body, start, at, state, keys, words, key_starts, series, times_ms, bits, odd)
            if state[STATUS] != OK:
                return


@njit(cache=True, nogil=True)
def _scan_series(
    body: np.ndarray,
    at: Int,
    end: Int,
    state: np.ndarray,
    keys: np.ndarray,
    words: np.ndarray,
    key_starts: np.ndarray,
    series: np.ndarray,
    times_ms: np.ndarray,
    bits: np.ndarray,
    odd: np.ndarray,
) -> None:
    number, first_word, message = state[_SERIES], state[_WORDS], at
    key = 8 * (first_word + 1)
    size = 0
    run_start = run_end = at  # labels that stand side by side are copied at once
    odd_ones = False
    while at < end:
        opened = at
        field, wire, _, start, at = read_field(body, at, end, state)
        if at < 0:
            return
        if wire != BYTES:
            continue
        if field == 1:
            if opened != run_end:
                copy_bytes(body, run_start, run_end, keys, key + size)
                size += run_end - run_start
                run_start = opened
            run_end = at
        elif field == 2:
            if state[_SAMPLES] == MAX_ITEMS:
                state[STATUS] = TOO_MANY
                return
            _scan_sample(body, start, at, state, number, series, times_ms, bits)
            if state[STATUS] != OK:
                return
        elif field in (3, 4):
            odd_ones = True
    copy_bytes(body, run_start, run_end, keys, key + size)
    size += run_end - run_start
    words[first_word] = size
    state[_SERIES] += 1
    state[_WORDS] += 1 + padded(size) // 8
    key_starts[number + 1] = state[_WORDS]
    if odd_ones:
        odd[state[_ODD], 0] = message
        odd[state[_ODD], 1] = end
        state[_ODD] += 1


@njit(cache=True, nogil=True)
def _scan_sample(
    body: np.ndarray,
    at: Int,
    end: Int,
    state: np.ndarray,
    number: Int,
    series: np.ndarray,
    times_ms: np.ndarray,
    bits: np.ndarray,
) -> None:
    value, time = np.uint64(0), np.uint64(0)
    while at < end:
        field, wire, found, _, at = read_field(body, at, end, state)
        if at < 0:
            return
        if field == 1 and wire == FIXED64:
            value = found
        elif field == 2 and wire == VARINT:
            time = found
    place = state[_SAMPLES]
    series[place] = number
    times_ms[place] = np.int64(time)
    bits[place] = value
    state[_SAMPLES] += 1
