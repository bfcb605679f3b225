"""Samples -> chunks: the kernels that pick the smallest of some simple codings for each chunk. `docs/index.md`.

Everything is made of 64-bit words. A *stream* holds integers in mini-blocks of 64: with w bits each, such a block takes
exactly w words, so none straddles another, and a gap or a spike widens one of them alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pcodec
from numba import njit
from pcodec import standalone

from workbench.store.index.layout import (
    CONSTANT,
    DECIMAL,
    DECIMAL_STEPS,
    MINI,
    PCO,
    RAW,
    RECORD,
    REGULAR,
    TIME_GRID,
    TIME_STEPS,
)  # fmt: skip

_MAX_DIGITS = 12
"""Digits after the point that a decimal may have: with more, the integers are as wide as the floats were."""

_LIMIT = float(1 << 51)
_PCO_LEVEL = 8
_WORTH_TRYING = 14
"""Bits a sample from which the general compressor is tried: what packs better than that it does not improve much."""

_CLEARLY_SMALLER = 0.9
"""It decodes at a third of the speed, a call a chunk: that has to buy something."""

Encoded = tuple[np.ndarray, np.ndarray]
"""Records of the chunks (`layout.RECORD`), and the words of their blobs one after the other."""


def encode(offsets: np.ndarray, times: np.ndarray, values: np.ndarray) -> Encoded:
    """Encode a chunk per series; offsets int64[n + 1] into times (us, ascending, unique) and values; none is empty."""
    counts = np.diff(offsets)
    records = np.zeros(len(counts), RECORD)
    # Times take at most 4 + n words and a width per 64, values as much; decimals with exceptions are chosen if smaller.
    words = np.empty(int((3 * counts + 24).sum()), np.uint64)
    longest = int(counts.max(initial=0))
    used = _encode(offsets, times, values.view(np.uint64), values, records, words, np.empty((3, longest), np.int64))
    words = words[:used]
    big = np.flatnonzero(8 * records["value_bytes"] > _WORTH_TRYING * counts)
    if len(big):
        words = _with_pco(offsets, values, records, words, big)
    _checksums(records, words)
    return records, words


def _with_pco(
    offsets: np.ndarray, values: np.ndarray, records: np.ndarray, words: np.ndarray, big: np.ndarray
) -> np.ndarray:
    """The words with the values of some chunks compressed by pco, where that is smaller and gives the same bits."""
    config = pcodec.ChunkConfig(compression_level=_PCO_LEVEL)
    pieces: list[np.ndarray] = []
    kept = 0  # words up to here are in the pieces already
    back = np.empty(int(np.diff(offsets).max()))
    saved = np.zeros(len(records) + 1, np.int64)
    for row in big.tolist():
        mine = np.ascontiguousarray(values[offsets[row] : offsets[row + 1]])
        blob = standalone.simple_compress(mine, config)
        record = records[row]
        begin = int(record["offset"]) + int(record["time_words"])
        end = begin + -(-int(record["value_bytes"]) // 8)
        room = -(-len(blob) // 8)
        if room > _CLEARLY_SMALLER * (end - begin):
            continue
        standalone.simple_decompress_into(blob, back[: len(mine)])
        if not np.array_equal(back[: len(mine)].view(np.uint64), mine.view(np.uint64)):
            continue
        pieces += [words[kept:begin], np.frombuffer(blob.ljust(room * 8, b"\0"), np.uint64)]
        kept = end
        saved[row + 1] = end - begin - room
        record["value_bytes"], record["value_mode"] = len(blob), PCO
    records["offset"] -= np.cumsum(saved)[:-1].astype(np.int64)
    return np.concatenate([*pieces, words[kept:]]) if pieces else words


@njit(cache=True, nogil=True)
def _encode(offsets, times, bits, values, records, words, scratch):  # type: ignore[no-untyped-def]
    at = 0
    for row in range(len(offsets) - 1):
        a, b = offsets[row], offsets[row + 1]
        record = records[row]
        record.n = b - a
        record.offset = at
        record.first_us, record.last_us = times[a], times[b - 1]
        record.first, record.last = values[a], values[b - 1]
        _summarise(record, bits, values, a, b)
        record.time_words = _times(record, times[a:b], words, at, scratch)
        at += record.time_words
        size = _values(record, bits[a:b], values[a:b], words, at, scratch)
        record.value_bytes = 8 * size
        at += size
    return at


@njit(cache=True, nogil=True)
def _summarise(record: Any, bits: np.ndarray, values: np.ndarray, a: int, b: int) -> None:
    """What may be asked of a chunk as a whole; staleness markers count for nothing but their number."""
    low, high, total, lost, fallen = np.nan, np.nan, 0.0, 0.0, 0.0
    stale = nans = 0
    before = np.nan
    for i in range(a, b):
        v = values[i]
        if np.isnan(v):
            if bits[i] == np.uint64(0x7FF0000000000002):
                stale += 1
            else:
                nans += 1
                before = v
            continue
        if not v >= low:
            low = v if np.isnan(low) else min(low, v)
        if not v <= high:
            high = v if np.isnan(high) else max(high, v)
        new = total + v  # Neumaier's sum, as the evaluator's
        if abs(total) >= abs(v):
            lost += (total - new) + v
        else:
            lost += (v - new) + total
        total = new
        if v < before:
            fallen += before
        before = v
    record.low, record.high, record.fallen = low, high, fallen
    record.total = total if np.isinf(total) or np.isnan(total) else total + lost
    record.stale, record.nans = stale, nans


@njit(cache=True, nogil=True)
def _times(record: Any, times: np.ndarray, words: np.ndarray, at: int, scratch: np.ndarray) -> int:
    """Times that follow one another regularly take no words; else distances to a grid, or between them."""
    n = len(times)
    if n == 1:
        record.time_mode, record.step_us = REGULAR, 0
        return 0
    span = times[n - 1] - times[0]
    step = span // (n - 1)
    regular = True
    unit = 0
    for i in range(1, n):
        distance = times[i] - times[i - 1]
        regular &= distance == step
        while distance:  # greatest common divisor
            unit, distance = distance, unit % distance
    if regular:
        record.time_mode, record.step_us = REGULAR, step
        return 0
    # Jitter goes out of the mean distance, once it is a whole number of units; gaps bend it: then steps are smaller.
    step = (2 * span + (n - 1) * unit) // (2 * (n - 1) * unit) * unit
    steps, grid = scratch[0], scratch[1]
    for i in range(n):
        steps[i] = (times[i] - times[0]) // unit
        grid[i] = (times[i] - times[0] - i * step) // unit
    record.unit_us = unit
    plain, stepped = _size(grid[:n], 0), _size(steps[:n], 1)
    if plain <= stepped:
        record.time_mode, record.step_us = TIME_GRID, step
        return _pack(grid[:n], 0, words, at)
    record.time_mode, record.step_us = TIME_STEPS, 0
    return _pack(steps[:n], 1, words, at)


@njit(cache=True, nogil=True)
def _values(record: Any, bits: np.ndarray, values: np.ndarray, words: np.ndarray, at: int, scratch: np.ndarray) -> int:
    n = len(values)
    constant = True
    for i in range(1, n):
        constant &= bits[i] == bits[0]
    if constant:
        record.value_mode = CONSTANT
        return 0
    digits, exceptions = _decimals(bits, values, scratch[0])
    if digits >= 0:
        plain, stepped = _size(scratch[0][:n], 0), _size(scratch[0][:n], 1)
        if min(plain, stepped) + 2 * exceptions + 1 < n:
            record.value_mode = DECIMAL if plain <= stepped else DECIMAL_STEPS
            record.digits, record.exceptions = digits, exceptions
            size = _pack(scratch[0][:n], 0 if plain <= stepped else 1, words, at)
            if exceptions:
                size += _exceptions(bits, values, digits, words, at + size)
            return size
    record.value_mode = RAW
    words[at : at + n] = bits
    return n


@njit(cache=True, nogil=True)
def _decimals(bits: np.ndarray, values: np.ndarray, out: np.ndarray) -> tuple[int, int]:
    """Digits after the point with which nearly all values are integers, those integers, and how many are not."""
    n = len(values)
    digits, power = 0, 1.0
    while digits <= _MAX_DIGITS:
        exceptions = 0
        before = np.int64(0)
        for i in range(n):
            scaled = values[i] * power
            if not abs(scaled) < _LIMIT:
                exceptions += 1
                out[i] = before
                continue
            whole = np.int64(np.rint(scaled))
            # -0.0 is equal to its decimal, but has other bits.
            if whole / power != values[i] or (whole == 0 and bits[i] != 0):
                exceptions += 1
                whole = before
                if exceptions * 8 > n:
                    break
            out[i] = before = whole
        if exceptions * 8 <= n:
            return digits, exceptions
        digits += 1
        power *= 10.0
    return -1, 0


@njit(cache=True, nogil=True)
def _exceptions(bits: np.ndarray, values: np.ndarray, digits: int, words: np.ndarray, at: int) -> int:
    """Place and bits of every value that is no such decimal."""
    power = 10.0**digits
    used = 0
    for i in range(len(values)):
        scaled = values[i] * power
        if abs(scaled) < _LIMIT:
            whole = np.int64(np.rint(scaled))
            if whole / power == values[i] and (whole != 0 or bits[i] == 0):
                continue
        words[at + used], words[at + used + 1] = np.uint64(i), bits[i]
        used += 2
    return used


@njit(cache=True, nogil=True)
def _base(x: np.ndarray, order: int) -> int:
    base = x[order] - x[0] if order else x[0]
    for i in range(order, len(x)):
        base = min(base, x[i] - x[i - 1] if order else x[i])
    return base


@njit(cache=True, nogil=True)
def _width(x: np.ndarray, order: int, base: int, a: int, b: int) -> int:
    every = np.uint64(0)
    for i in range(a, b):
        every |= np.uint64((x[i] - x[i - 1] if order else x[i]) - base)
    width = 0
    while every:
        width += 1
        every >>= np.uint64(1)
    return width


@njit(cache=True, nogil=True)
def _size(x: np.ndarray, order: int) -> int:
    """Words that `_pack` would take."""
    base = _base(x, order)
    minis = (len(x) - order + MINI - 1) // MINI
    size = 1 + order + (minis + 7) // 8
    for mini in range(minis):
        a = order + mini * MINI
        b = min(a + MINI, len(x))
        size += (_width(x, order, base, a, b) * (b - a) + 63) // 64
    return size


@njit(cache=True, nogil=True)
def _pack(x: np.ndarray, order: int, words: np.ndarray, at: int) -> int:
    """Write a stream: base, first integer (order 1 alone), a byte of width per mini-block, mini-blocks; its words."""
    base = _base(x, order)
    minis = (len(x) - order + MINI - 1) // MINI
    words[at] = np.uint64(base)
    if order:
        words[at + 1] = np.uint64(x[0])
    widths = at + 1 + order
    body = widths + (minis + 7) // 8
    for word in range(widths, body):
        words[word] = 0
    for mini in range(minis):
        a = order + mini * MINI
        b = min(a + MINI, len(x))
        width = _width(x, order, base, a, b)
        words[widths + mini // 8] |= np.uint64(width) << np.uint64(8 * (mini % 8))
        size = (width * (b - a) + 63) // 64
        for word in range(body, body + size):
            words[word] = 0
        bit = 0
        for i in range(a, b):
            v = np.uint64((x[i] - x[i - 1] if order else x[i]) - base)
            word, shift = body + (bit >> 6), bit & 63
            words[word] |= v << np.uint64(shift)
            if shift + width > 64:
                words[word + 1] |= v >> np.uint64(64 - shift)
            bit += width
        body += size
    return body - at


@njit(cache=True, nogil=True)
def _checksums(records: np.ndarray, words: np.ndarray) -> None:
    for row in range(len(records)):
        record = records[row]
        end = record.offset + record.time_words + (record.value_bytes + 7) // 8
        record.check = checksum(words, record.offset, end)


@njit(cache=True, nogil=True)
def checksum(words: np.ndarray, begin: int, end: int) -> np.uint32:
    """32 bits that change with any word of the blob: multiply, and fold the high half down, word by word."""
    h = np.uint64(0x9E3779B97F4A7C15)
    for i in range(begin, end):
        h = (h ^ words[i]) * np.uint64(0xD6E8FEB86659FD93)
        h ^= h >> np.uint64(32)
    return np.uint32(h ^ (h >> np.uint64(29)))
