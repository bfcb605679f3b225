"""Compiled kernels that bring a window of samples down to one number: the `_over_time` functions.

As in `windows`: samples series after series, windows as index ranges lo[n, k] <= hi[n, k]; values float64[n, k] and
present bool[n, k] come back.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.evaluate.sums import add, add_mean, mean_of

Array = np.ndarray
Table = tuple[Array, Array]

SUM, AVG, MIN, MAX, COUNT, LAST, FIRST, PRESENT, STDDEV, STDVAR, CHANGES, RESETS, MAD = range(13)
TIME_OF_FIRST, TIME_OF_LAST, TIME_OF_MIN, TIME_OF_MAX = range(4)
LEFT, RIGHT, TRAPEZOIDS = range(3)


@njit(cache=True, nogil=True)
def total(values: Array, a: int, b: int) -> float:
    """Sum of values[a:b]."""
    total = lost = 0.0
    for i in range(a, b):
        total, lost = add(total, lost, values[i])
    return total if np.isinf(total) else total + lost


@njit(cache=True, nogil=True)
def _mean(values: Array, a: int, b: int) -> float:
    total, lost, running = values[a], 0.0, False
    for i in range(a + 1, b):
        total, lost, running = add_mean(total, lost, values[i], i - a + 1, running)
    return mean_of(total, lost, b - a, running)


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
    mean = mean_lost = squares = squares_lost = 0.0
    for i in range(a, b):
        distance = values[i] - (mean + mean_lost)
        mean, mean_lost = add(mean, mean_lost, distance / (i - a + 1))
        squares, squares_lost = add(squares, squares_lost, distance * (values[i] - (mean + mean_lost)))
    return (squares + squares_lost) / (b - a)


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
def _deviation(values: Array, a: int, b: int) -> float:
    """The median distance from the median; NaN where a value is."""
    part = values[a:b].copy()
    for value in part:
        if np.isnan(value):
            return np.nan
    middle = _quantile(part, 0.5)
    return _quantile(np.abs(part - middle), 0.5)


@njit(cache=True, nogil=True)
def over_time(operation: int, values: Array, lo: Array, hi: Array) -> Table:
    """The `_over_time` functions of values, `changes` and `resets`, by the number of the operation."""
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
                out[s, t] = total(values, a, b)
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
            elif operation == MAD:
                out[s, t] = _deviation(values, a, b)
            else:
                out[s, t] = _steps(values, a, b, operation == RESETS)
    return out, present


@njit(cache=True, nogil=True)
def time_of(operation: int, times: Array, values: Array, lo: Array, hi: Array) -> Table:
    """When the first, last, lowest or highest sample was (of equals the last), in seconds."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if a == b:
                continue
            present[s, t] = True
            at = b - 1 if operation == TIME_OF_LAST else a
            if operation in (TIME_OF_MIN, TIME_OF_MAX):
                for i in range(a + 1, b):
                    v, w = values[i], values[at]
                    if np.isnan(w) or (v >= w if operation == TIME_OF_MAX else v <= w):
                        at = i
            out[s, t] = times[at] / 1e6
    return out, present


@njit(cache=True, nogil=True)
def integral(times: Array, values: Array, lo: Array, hi: Array, strategies: Array) -> Table:
    """The area below the samples, in value seconds, by the rule of each step; NaN counts as 0."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if a == b:
                continue
            present[s, t] = True
            total = lost = 0.0
            for i in range(a + 1, b):
                before = 0.0 if np.isnan(values[i - 1]) else values[i - 1]
                now = 0.0 if np.isnan(values[i]) else values[i]
                height, height_lost = (before if strategies[t] == LEFT else now), 0.0
                if strategies[t] == TRAPEZOIDS:
                    height, height_lost = add(before, 0.0, now)
                    if np.isinf(height) and np.isfinite(before) and np.isfinite(now):
                        height, height_lost = add(before / 2, 0.0, now / 2)
                    else:
                        height, height_lost = height / 2, height_lost / 2
                width = (times[i] - times[i - 1]) / 1e6
                if height != 0 or height_lost != 0:
                    total, lost = add(total, lost + height_lost * width, height * width)
            out[s, t] = total if np.isinf(total) else total + lost
    return out, present


@njit(cache=True, nogil=True)
def smoothing(values: Array, lo: Array, hi: Array, smooth: Array, trend: Array) -> Table:
    """Double exponential smoothing (Holt's linear method) with the factors of each step, from two samples on."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if b - a < 2:
                continue
            present[s, t] = True
            earlier = 0.0
            level = values[a]
            slope = values[a + 1] - values[a]
            for i in range(a + 1, b):
                if i > a + 1:
                    slope = trend[t] * (level - earlier) + (1 - trend[t]) * slope
                earlier, level = level, smooth[t] * values[i] + (1 - smooth[t]) * (level + slope)
            out[s, t] = level
    return out, present


@njit(cache=True, nogil=True)
def _quantile(part: Array, q: float) -> float:
    """Linear between neighbours, NaN the smallest; the array is left in another order."""
    part.sort()  # NaN last: turned to the front by counting
    count = len(part)
    nans = 0
    while nans < count and np.isnan(part[count - 1 - nans]):
        nans += 1
    rank = q * (count - 1)
    low = int(np.floor(rank))
    weight = rank - low
    below = np.nan if low < nans else part[low - nans]
    if weight == 0:
        return below
    high = min(low + 1, count - 1)
    above = np.nan if high < nans else part[high - nans]
    return below * (1 - weight) + above * weight


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
                out[s, t] = _quantile(values[a:b].copy(), q)
    return out, present
