"""Chunks -> samples: kernels that run without the GIL, check every blob and read nothing outside of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from workbench.store.index.layout import (
    CONSTANT,
    DECIMAL_STEPS,
    MINI,
    PCO,
    RAW,
    REGULAR,
    TIME_GRID,
    TIME_STEPS,
)  # fmt: skip

FINE = -1
"""What the kernels return where no chunk was damaged; else the row of the first that was."""


@njit(cache=True, nogil=True)
def count(records, words, rows, start_us, end_us, out):  # type: ignore[no-untyped-def]
    """How many samples of each chunk lie in start <= time <= end; rows int64[k], a row below 0 is no chunk."""
    scratch = np.empty(0, np.int64)
    for k in range(len(rows)):
        out[k] = 0
        if rows[k] < 0:
            continue
        record = records[rows[k]]
        if record.last_us < start_us or record.first_us > end_us:
            continue
        if record.first_us >= start_us and record.last_us <= end_us:
            out[k] = record.n
        elif record.time_mode == REGULAR:
            a, b = _regular_range(record, start_us, end_us)
            out[k] = b - a
        else:
            if not whole(record, words):
                return rows[k]
            if len(scratch) < record.n:
                scratch = np.empty(record.n, np.int64)
            if not _times(record, words, scratch, 0):
                return rows[k]
            times = scratch[: record.n]
            out[k] = np.searchsorted(times, end_us, side="right") - np.searchsorted(times, start_us)
    return FINE


@njit(cache=True, nogil=True)
def decode(records, words, rows, start_us, end_us, places, times, values):  # type: ignore[no-untyped-def]
    """Write the samples of chunks that lie in start <= time <= end to times and values, from `places[k]` on.

    Values of pco chunks are left for `pco_rows`. Rows below 0 are no chunks.
    """
    scratch_t, scratch_v = np.empty(0, np.int64), np.empty(0, np.float64)
    for k in range(len(rows)):
        if rows[k] < 0:
            continue
        record = records[rows[k]]
        if record.last_us < start_us or record.first_us > end_us:
            continue
        if not whole(record, words):
            return rows[k]
        to = places[k]
        if record.first_us >= start_us and record.last_us <= end_us:
            if not _times(record, words, times, to) or not _values(record, words, 0, np.int64(record.n), values, to):
                return rows[k]
            continue
        if len(scratch_t) < record.n:
            scratch_t, scratch_v = np.empty(record.n, np.int64), np.empty(record.n, np.float64)
        if record.time_mode == REGULAR:
            a, b = _regular_range(record, start_us, end_us)
            for i in range(a, b):
                times[to + i - a] = record.first_us + i * record.step_us
        else:
            if not _times(record, words, scratch_t, 0):
                return rows[k]
            a = np.searchsorted(scratch_t[: record.n], start_us)
            b = np.searchsorted(scratch_t[: record.n], end_us, side="right")
            times[to : to + b - a] = scratch_t[a:b]
        if not _values(record, words, a, b, scratch_v, 0):
            return rows[k]
        if record.value_mode != PCO:
            values[to : to + b - a] = scratch_v[a:b]
    return FINE


@njit(cache=True, nogil=True)
def whole(record: Any, words: np.ndarray) -> bool:
    """Whether a blob lies within the file and is what its checksum says."""
    end = record.offset + record.time_words + (record.value_bytes + 7) // 8
    if record.offset < 0 or end > len(words):
        return False
    h = np.uint64(0x9E3779B97F4A7C15)
    for i in range(record.offset, end):
        h = (h ^ words[i]) * np.uint64(0xD6E8FEB86659FD93)
        h ^= h >> np.uint64(32)
    return np.uint32(h ^ (h >> np.uint64(29))) == record.check


@njit(cache=True, nogil=True)
def first_place(records: np.ndarray, words: np.ndarray, row: int, start_us: int) -> np.int64:
    """How many samples of a chunk, which `decode` found whole, lie before a time."""
    scratch = np.empty(records[row].n, np.int64)
    _times(records[row], words, scratch, 0)
    return np.searchsorted(scratch, start_us)


@njit(cache=True, nogil=True)
def _regular_range(record: Any, start_us: int, end_us: int) -> tuple[int, int]:
    """Numbers of the first sample from the start on, and of the one behind the last up to the end."""
    if record.step_us == 0:
        return (0, 1) if start_us <= record.first_us <= end_us else (0, 0)
    a = max(0, (start_us - record.first_us + record.step_us - 1) // record.step_us)
    b = min(np.int64(record.n), (end_us - record.first_us) // record.step_us + 1)
    return a, max(a, b)


@njit(cache=True, nogil=True)
def _times(record: Any, words: np.ndarray, out: np.ndarray, to: int) -> bool:
    n, first, step, unit = np.int64(record.n), record.first_us, record.step_us, record.unit_us
    if record.time_mode == REGULAR:
        for i in range(n):
            out[to + i] = first + i * step
        return True
    end = record.offset + record.time_words
    if record.time_mode == TIME_GRID:
        if not _unpack(words, record.offset, end, n, 0, 0, n, out, to):
            return False
        for i in range(n):
            out[to + i] = first + i * step + out[to + i] * unit
        return True
    if record.time_mode != TIME_STEPS or not _unpack(words, record.offset, end, n, 1, 0, n, out, to):
        return False
    for i in range(n):
        out[to + i] = first + out[to + i] * unit
    return True


@njit(cache=True, nogil=True)
def _values(record: Any, words: np.ndarray, a: int, b: int, out: np.ndarray, to: int) -> bool:
    """Write values a to b, b excluded, to out[to + a : to + b]; what comes out around them means nothing."""
    n, mode = np.int64(record.n), record.value_mode
    at = record.offset + record.time_words
    end = at + (record.value_bytes + 7) // 8
    if mode == CONSTANT:
        out[to + a : to + b] = record.first
        return True
    if mode == PCO:
        return True
    bits = out.view(np.uint64)
    if mode == RAW:
        if end - at != n:
            return False
        bits[to + a : to + b] = words[at + a : at + b]
        return True
    exceptions = np.int64(record.exceptions)
    stream_end = end - 2 * exceptions
    if mode > DECIMAL_STEPS or stream_end < at:
        return False
    whole_ = out.view(np.int64)
    if not _unpack(words, at, stream_end, n, 1 if mode == DECIMAL_STEPS else 0, a, b, whole_, to):
        return False
    power = 10.0**record.digits
    if power == 1.0:
        for i in range(to + a, to + b):
            out[i] = whole_[i]
    else:
        for i in range(to + a, to + b):
            out[i] = whole_[i] / power
    for e in range(stream_end, end, 2):
        if words[e] >= np.uint64(n):
            return False
        place = np.int64(words[e])
        if a <= place < b:
            bits[to + place] = words[e + 1]
    return True


@njit(cache=True, nogil=True)
def _unpack(words, at, end, n, order, first, stop, out, to):  # type: ignore[no-untyped-def]
    """The integers of a stream in words[at:end], or False where they do not fit in there.

    Those from `first` up to `stop` are sure to be written: of running sums all before them are needed, of others none.
    """
    minis = (n - order + MINI - 1) // MINI
    widths = at + 1 + order
    body = widths + (minis + 7) // 8
    if body > end:
        return False
    base = np.int64(words[at])
    sum_ = np.int64(0)
    if order:
        sum_ = np.int64(words[at + 1])
        out[to] = sum_
    for mini in range(minis):
        a = to + order + mini * MINI
        b = min(a + MINI, to + n)
        if a >= to + stop:
            break
        width = np.int64((words[widths + (mini >> 3)] >> np.uint64(8 * (mini & 7))) & np.uint64(0xFF))
        size = (width * (b - a) + 63) >> 6
        if width > 63 or body + size > end:
            return False
        if not order and b <= to + first:
            body += size
            continue
        if width == 0:
            for i in range(a, b):
                sum_ = sum_ + base if order else base
                out[i] = sum_
            continue
        mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
        bit = np.int64(0)
        for i in range(a, b):
            word, shift = body + (bit >> 6), bit & 63
            v = words[word] >> np.uint64(shift)
            if shift + width > 64:
                v |= words[word + 1] << np.uint64(64 - shift)
            sum_ = (sum_ if order else 0) + np.int64(v & mask) + base
            out[i] = sum_
            bit += width
        body += size
    return True
