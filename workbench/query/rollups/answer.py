"""Pieces -> what a function of range vectors says of every window that is made of them.

Sums, counts, lowest, highest, first and last sample, and everything that `rate` and its kin need, are those of the
samples themselves; sums are added in another order, hence the same to about 1e-15 of what was added. Quantiles come
from the sketch: at most `schema.SKETCH_ERROR` beside the value that they stand for.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.evaluate import reductions, windows
from workbench.query.rollups.pieces import MERGED, Pieces

_OVER_TIME = {
    "sum_over_time": ("sum", reductions.SUM),
    "count_over_time": ("count", reductions.SUM),
    "min_over_time": ("min", reductions.MIN),
    "max_over_time": ("max", reductions.MAX),
    "first_over_time": ("first", reductions.FIRST),
    "last_over_time": ("last", reductions.LAST),
    "present_over_time": ("count", reductions.PRESENT),
}


def merged(function: str, pieces: Pieces, ends_us: np.ndarray, width_us: int) -> tuple[np.ndarray, np.ndarray]:
    """A function of MERGED over the windows (end - width, end]: values float64[n, k], present bool[n, k]."""
    lo, hi = windows.bounds(pieces.times_us, pieces.offsets, ends_us, width_us)
    if function in _OVER_TIME:
        name, operation = _OVER_TIME[function]
        found: tuple[np.ndarray, np.ndarray] = reductions.over_time(
            operation, pieces.column(name).astype(np.float64), lo, hi
        )
        return found
    if function == "avg_over_time":
        sums, counts = pieces.column("sum"), pieces.column("count")
        return _means(sums, counts, lo, hi), hi > lo
    if function in ("resets", "changes"):
        first, last, inside = (pieces.column(name) for name in ("first", "last", function))
        return _steps(first, last, inside, lo, hi, function == "resets"), hi > lo
    columns = [pieces.column(name) for name in MERGED[function]]
    counter, per_second = function != "delta", function == "rate"
    return _extrapolated(*columns, lo, hi, ends_us, width_us, counter, per_second)


@njit(cache=True, nogil=True)
def _means(sums, counts, lo, hi):  # type: ignore[no-untyped-def]
    n, k = lo.shape
    out = np.zeros((n, k))
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if a == b:
                continue
            count = 0
            for i in range(a, b):
                count += counts[i]
            summed = reductions.total(sums, a, b)
            out[s, t] = summed / count
            if np.isinf(summed):  # it overflowed, or a value is infinite: divide before adding
                out[s, t] = 0.0
                for i in range(a, b):
                    out[s, t] += sums[i] / count
    return out


@njit(cache=True, nogil=True)
def _steps(first, last, inside, lo, hi, falls):  # type: ignore[no-untyped-def]
    n, k = lo.shape
    out = np.zeros((n, k))
    for s in range(n):
        for t in range(k):
            found = 0
            for i in range(lo[s, t], hi[s, t]):
                found += inside[i]
                if i > lo[s, t]:
                    before, after = last[i - 1], first[i]
                    if falls:
                        found += after < before
                    elif before != after and not (np.isnan(before) and np.isnan(after)):
                        found += 1
            out[s, t] = found
    return out


@njit(cache=True, nogil=True)
def _extrapolated(  # type: ignore[no-untyped-def]
    count, first_time, first, last_time, last, lost, lo, hi, ends, width, counter, per_second
):
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t] - 1
            if b < a:
                continue
            samples = 0
            change = last[b] - first[a]
            for i in range(a, b + 1):
                samples += count[i]
                if counter:
                    change += lost[i]
                    if i > a and first[i] < last[i - 1]:
                        change += last[i - 1]
            if samples < 2:
                continue
            out[s, t] = windows.extrapolate(
                change, samples, first[a], first_time[a], last_time[b], ends[t], width, counter, per_second
            )
            present[s, t] = True
    return out, present
