"""Compiled kernels over sliding windows. A window is (end - range, end]: the start is excluded, as in Prometheus 3.

All take samples series after series (times int64 us, values float64) and windows as index ranges lo[n, k] <= hi[n, k].
They return values float64[n, k] and present bool[n, k].
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray
Table = tuple[Array, Array]

SUM, AVG, MIN, MAX, COUNT, LAST, FIRST, PRESENT, STDDEV, STDVAR, CHANGES, RESETS = range(12)


@njit(cache=True, nogil=True)
def bounds(times: Array, offsets: Array, ends: Array, window: int) -> Table:
    """Index ranges of the windows that end at `ends` (not descending) and are `window` us long."""
    n, k = len(offsets) - 1, len(ends)
    lo = np.empty((n, k), np.int64)
    hi = np.empty((n, k), np.int64)
    for s in range(n):
        i = j = offsets[s]
        stop = offsets[s + 1]
        for t in range(k):
            end = ends[t]
            while j < stop and times[j] <= end:
                j += 1
            while i < j and times[i] <= end - window:
                i += 1
            lo[s, t] = i
            hi[s, t] = j
    return lo, hi


@njit(cache=True, nogil=True)
def extrapolated(
    times: Array, values: Array, lo: Array, hi: Array, ends: Array, window: int, counter: bool, per_second: bool
) -> Table:
    """`rate`, `increase` and `delta`, extrapolated to the window's edges (Prometheus 3 `extrapolatedRate`).

    A gap at an edge of 1.1 average intervals or more is filled by half an interval only; a counter is never followed
    back beyond the point where it would have been zero.
    """
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    seconds = window / 1e6
    resets = np.zeros(len(values) + 1, np.int64)
    if counter:
        for i in range(1, len(values)):
            resets[i] = resets[i - 1] + (1 if values[i] < values[i - 1] else 0)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t] - 1
            if b - a < 1:
                continue
            change = values[b] - values[a]
            if counter and resets[b] != resets[a]:
                for i in range(a + 1, b + 1):
                    if values[i] < values[i - 1]:
                        change += values[i - 1]
            to_start = (times[a] - (ends[t] - window)) / 1e6
            to_end = (ends[t] - times[b]) / 1e6
            covered = (times[b] - times[a]) / 1e6
            interval = covered / (b - a)
            if to_start >= interval * 1.1:
                to_start = interval / 2
            if counter and change > 0 and values[a] >= 0:
                to_start = min(to_start, covered * (values[a] / change))
            if to_end >= interval * 1.1:
                to_end = interval / 2
            factor = (covered + to_start + to_end) / covered
            if per_second:
                factor /= seconds
            out[s, t] = change * factor
            present[s, t] = True
    return out, present


@njit(cache=True, nogil=True)
def last_two(times: Array, values: Array, lo: Array, hi: Array, counter: bool) -> Table:
    """`irate` (counter) and `idelta`: from the last two samples of the window."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            b = hi[s, t] - 1
            if b - lo[s, t] < 1:
                continue
            change = values[b] - values[b - 1]
            if counter:
                if values[b] < values[b - 1]:
                    change = values[b]
                change /= (times[b] - times[b - 1]) / 1e6
            out[s, t] = change
            present[s, t] = True
    return out, present


@njit(cache=True, nogil=True)
def _total(values: Array, a: int, b: int) -> float:
    # Neumaier's compensated sum; once it is infinite the compensation would only make it NaN.
    total = 0.0
    lost = 0.0
    for i in range(a, b):
        v = values[i]
        new = total + v
        if np.isinf(new):
            lost = 0.0
        elif abs(total) >= abs(v):
            lost += (total - new) + v
        else:
            lost += (v - new) + total
        total = new
    return total + lost


@njit(cache=True, nogil=True)
def _mean(values: Array, a: int, b: int) -> float:
    total = _total(values, a, b)
    if np.isinf(total):
        mean = 0.0  # the sum overflowed, or a value is infinite: divide before adding
        for i in range(a, b):
            mean += values[i] / (b - a)
        return mean
    return total / (b - a)


@njit(cache=True, nogil=True)
def _extreme(values: Array, a: int, b: int, highest: bool) -> float:
    found = values[a]
    for i in range(a + 1, b):
        v = values[i]
        if np.isnan(found) or (v > found if highest else v < found):
            found = v
    return found


@njit(cache=True, nogil=True)
def _variance(values: Array, a: int, b: int) -> float:
    mean = 0.0
    squares = 0.0
    for i in range(a, b):
        distance = values[i] - mean
        mean += distance / (i - a + 1)
        squares += distance * (values[i] - mean)
    return squares / (b - a)


@njit(cache=True, nogil=True)
def _steps(values: Array, a: int, b: int, falls: bool) -> float:
    found = 0.0
    for i in range(a + 1, b):
        v, w = values[i - 1], values[i]
        if falls:
            found += w < v
        elif v != w and not (np.isnan(v) and np.isnan(w)):
            found += 1
    return found


@njit(cache=True, nogil=True)
def over_time(operation: int, values: Array, lo: Array, hi: Array) -> Table:
    """The `_over_time` functions, `changes` and `resets`, by the number of the operation."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if a == b:
                continue
            present[s, t] = True
            if operation == SUM:
                out[s, t] = _total(values, a, b)
            elif operation == AVG:
                out[s, t] = _mean(values, a, b)
            elif operation in (MIN, MAX):
                out[s, t] = _extreme(values, a, b, operation == MAX)
            elif operation == COUNT:
                out[s, t] = b - a
            elif operation == LAST:
                out[s, t] = values[b - 1]
            elif operation == FIRST:
                out[s, t] = values[a]
            elif operation == PRESENT:
                out[s, t] = 1.0
            elif operation == STDDEV:
                out[s, t] = np.sqrt(_variance(values, a, b))
            elif operation == STDVAR:
                out[s, t] = _variance(values, a, b)
            else:
                out[s, t] = _steps(values, a, b, operation == RESETS)
    return out, present


@njit(cache=True, nogil=True)
def quantile_over_time(values: Array, lo: Array, hi: Array, quantiles: Array) -> Table:
    """The quantile of every window, linear between neighbours; below 0 -Inf, above 1 +Inf. NaN counts as smallest."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if a == b:
                continue
            present[s, t] = True
            q = quantiles[t]
            if np.isnan(q):
                out[s, t] = np.nan
            elif q < 0:
                out[s, t] = -np.inf
            elif q > 1:
                out[s, t] = np.inf
            else:
                part = np.sort(values[a:b])  # NaN last: turn them to the front
                nans = 0
                while nans < b - a and np.isnan(part[b - a - 1 - nans]):
                    nans += 1
                rank = q * (b - a - 1)
                low = int(np.floor(rank))
                high = min(low + 1, b - a - 1)
                weight = rank - np.floor(rank)
                below = np.nan if low < nans else part[low - nans]
                above = np.nan if high < nans else part[high - nans]
                out[s, t] = below * (1 - weight) + above * weight
    return out, present


@njit(cache=True, nogil=True)
def regression(times: Array, values: Array, lo: Array, hi: Array, origins: Array) -> tuple[Array, Array, Array]:
    """Least-squares line through every window: slope per second, and its value at `origins` (us)."""
    n, k = lo.shape
    slope = np.zeros((n, k))
    intercept = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if b - a < 2:
                continue
            mean_x = 0.0
            mean_y = 0.0
            for i in range(a, b):
                mean_x += (times[i] - origins[t]) / 1e6
                mean_y += values[i]
            mean_x /= b - a
            mean_y /= b - a
            xx = 0.0
            xy = 0.0
            for i in range(a, b):
                x = (times[i] - origins[t]) / 1e6 - mean_x
                xx += x * x
                xy += x * (values[i] - mean_y)
            slope[s, t] = xy / xx
            intercept[s, t] = mean_y - slope[s, t] * mean_x
            present[s, t] = True
    return slope, intercept, present
