"""Samples -> buckets: the kernel that folds every bucket's samples into one row, and its quantile sketch.

A bucket of width w that ends at e holds the samples with e - w < time <= e, as the windows of PromQL do: a window whose
ends are multiples of w is then made of whole buckets. The sketch is that of DDSketch (Masson, Rim, Lee; VLDB 2019):
bin k of the positive values holds those in (g^(k-1), g^k] with g = (1 + error) / (1 - error), answered by 2 g^k / (g +
1), which is at most `error` of the value away. Its code is k + 40,000, negated for negative values, 0 for zero, and
±90,000 for infinity: codes ascend with the values.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from numba import njit

from workbench.schema import ROLLUPS, SKETCH_ERROR, STALE_NAN_BITS, TIME

GAMMA = (1 + SKETCH_ERROR) / (1 - SKETCH_ERROR)
_SCALE = 1 / math.log(GAMMA)
_SHIFT = 40_000
# A minute holds so few samples that their sketch takes more room than they did.
SKETCHED_US = 3_600_000_000
_INFINITE = 90_000
_NO_TIME = np.iinfo(np.int64).min
_STALE = np.uint64(STALE_NAN_BITS)


def fold(ids: np.ndarray, offsets: np.ndarray, times_us: np.ndarray, values: np.ndarray, width_us: int) -> pa.Table:
    """Buckets of series, a row each, sorted by series and time, with the columns of `schema.ROLLUPS`.

    ids: int64[n]; samples of `ids[i]` are `[offsets[i]:offsets[i + 1]]` of times (int64 us) and values (float64), times
    ascending and unique; staleness markers are told by their bits. The width is in microseconds.
    """
    values = np.ascontiguousarray(values, np.float64)
    found = _fold(offsets, times_us, values, values.view(np.uint64), np.int64(width_us))
    rows, numbers, whole, (starts, codes, counts) = found
    none = whole[:, 0] == 0
    columns = {
        "series": pa.array(ids[rows]),
        "time": _times(whole[:, 3]),
        "count": pa.array(whole[:, 0]),
        **{name: pa.array(numbers[:, i]) for i, name in enumerate(("sum", "min", "max", "first", "last"))},
        "lost_to_resets": pa.array(numbers[:, 5]),
        "resets": pa.array(whole[:, 1]),
        "changes": pa.array(whole[:, 2]),
        "first_time": _times(whole[:, 4], none),
        "last_time": _times(whole[:, 5], none),
        "stale_time": _times(whole[:, 6], whole[:, 6] == _NO_TIME),
        "sketch_codes": pa.ListArray.from_arrays(pa.array(starts), pa.array(codes)),
        "sketch_counts": pa.ListArray.from_arrays(pa.array(starts), pa.array(counts)),
    }
    schema = ROLLUPS["rollup_1m"].schema
    if width_us < SKETCHED_US:
        columns |= {name: pa.nulls(len(rows), schema.field(name).type) for name in ("sketch_codes", "sketch_counts")}
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _times(times_us: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    return pa.array(times_us, pa.int64(), mask=missing).cast(TIME)


@njit(cache=True, nogil=True)
def _end(time, width):  # type: ignore[no-untyped-def]
    return -((-time) // width) * width


@njit(cache=True, nogil=True)
def _code(value):  # type: ignore[no-untyped-def]
    size = abs(value)
    if size < 1e-300:
        return np.int32(0)
    code = _INFINITE if np.isinf(size) else math.ceil(math.log(size) * _SCALE) + _SHIFT
    return np.int32(code if value > 0 else -code)


@njit(cache=True, nogil=True)
def _sketch(part, codes, counts, at):  # type: ignore[no-untyped-def]
    """Sort the codes of one bucket and write its bins from `at` on; where the next bucket's begin."""
    part.sort()
    for i in range(len(part)):
        if i and part[i] == part[i - 1]:
            counts[at - 1] += 1
        else:
            codes[at] = part[i]
            counts[at] = 1
            at += 1
    return at


@njit(cache=True, nogil=True)
def _count_buckets(offsets, times, width):  # type: ignore[no-untyped-def]
    found = 0
    for s in range(len(offsets) - 1):
        for i in range(offsets[s], offsets[s + 1]):
            if i == offsets[s] or _end(times[i], width) != _end(times[i - 1], width):
                found += 1
    return found


@njit(cache=True, nogil=True)
def _fold(offsets, times, values, bits, width):  # type: ignore[no-untyped-def]
    """Rows of series; float and integer columns of every bucket; starts, codes and counts of the sketches."""
    k = _count_buckets(offsets, times, width)
    rows = np.empty(k, np.int64)
    numbers = np.empty((k, 6), np.float64)  # sum, min, max, first, last, lost to resets
    whole = np.empty((k, 7), np.int64)  # count, resets, changes, end, first time, last time, stale time
    starts = np.zeros(k + 1, np.int32)
    codes = np.empty(len(times), np.int32)
    counts = np.empty(len(times), np.int64)
    scratch = np.empty(len(times), np.int32)
    bucket = at = 0
    for s in range(len(offsets) - 1):
        low, stop = offsets[s], offsets[s + 1]
        while low < stop:
            end = _end(times[low], width)
            high = low
            while high < stop and times[high] <= end:
                high += 1
            rows[bucket] = s
            whole[bucket, 3] = end
            binned = _bucket(times, values, bits, low, high, numbers[bucket], whole[bucket], scratch)
            at = _sketch(scratch[:binned], codes, counts, at)
            bucket += 1
            starts[bucket] = at
            low = high
    return rows, numbers, whole, (starts, codes[:at].copy(), counts[:at].copy())


@njit(cache=True, nogil=True)
def _bucket(times, values, bits, low, high, number, whole, scratch):  # type: ignore[no-untyped-def]
    """Fold the samples low..high into one bucket; how many of them have a code, which lie in `scratch`."""
    count = resets = changes = binned = 0
    total = lost = fallen = 0.0
    least = most = before = first = np.nan
    first_time = last_time = stale_time = _NO_TIME
    for i in range(low, high):
        if bits[i] == _STALE:
            stale_time = times[i]
            continue
        v = values[i]
        if count == 0:
            first, first_time = v, times[i]
        else:
            if v < before:
                resets += 1
                fallen += before
            if v != before and not (np.isnan(v) and np.isnan(before)):
                changes += 1
        # Neumaier's compensated sum; once it is infinite the compensation would only make it NaN.
        new = total + v
        if np.isinf(new):
            lost = 0.0
        elif abs(total) >= abs(v):
            lost += (total - new) + v
        else:
            lost += (v - new) + total
        total = new
        if np.isnan(least) or v < least:
            least = v
        if np.isnan(most) or v > most:
            most = v
        if not np.isnan(v):
            scratch[binned] = _code(v)
            binned += 1
        count += 1
        before, last_time, stale_time = v, times[i], _NO_TIME
    number[0], number[1], number[2] = total + lost, least, most
    number[3], number[4], number[5] = first, before, fallen
    whole[0], whole[1], whole[2] = count, resets, changes
    whole[4], whole[5], whole[6] = first_time, last_time, stale_time
    return binned
