"""Compiled kernels over sliding windows. A window is (end - range, end]: the start is excluded, as in Prometheus 3.

All take samples series after series (times int64 us, values float64) and windows as index ranges lo[n, k] <= hi[n, k].
They return values float64[n, k] and present bool[n, k].
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.evaluate.sums import add

Array = np.ndarray
Table = tuple[Array, Array]

FIRST_SAMPLE = np.iinfo(np.int64).min
"""Stands for the time of a window's first sample."""


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
def extrapolate(
    change: float,
    samples: int,
    first: float,
    first_time: int,
    last_time: int,
    end: int,
    window: int,
    counter: bool,
    per_second: bool,
) -> float:
    """The change from the first sample of a window to the last, extrapolated (Prometheus 3 `extrapolatedRate`).

    A gap at an edge of 1.1 average intervals or more is filled by half an interval only; a counter is never followed
    back beyond the point where it would have been zero.
    """
    to_start = (first_time - (end - window)) / 1e6
    to_end = (end - last_time) / 1e6
    covered = (last_time - first_time) / 1e6
    interval = covered / (samples - 1)
    if to_start >= interval * 1.1:
        to_start = interval / 2
    if counter and change > 0 and first >= 0:
        to_start = min(to_start, covered * (first / change))
    if to_end >= interval * 1.1:
        to_end = interval / 2
    factor = (covered + to_start + to_end) / covered
    if per_second:
        factor /= window / 1e6
    return change * factor


@njit(cache=True, nogil=True)
def extrapolated(
    times: Array, values: Array, lo: Array, hi: Array, ends: Array, window: int, counter: bool, per_second: bool
) -> Table:
    """`rate`, `increase` and `delta`, extrapolated to the window's edges."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
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
            out[s, t] = extrapolate(
                change, b - a + 1, values[a], times[a], times[b], ends[t], window, counter, per_second
            )
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
def regression(times: Array, values: Array, lo: Array, hi: Array, origins: Array) -> tuple[Array, Array, Array]:
    """Least-squares line through every window: slope per second, and its value at `origins` (us).

    FIRST_SAMPLE as origin is the window's first time, near which the sums lose least. A constant has the slope 0, an
    infinite one none.
    """
    n, k = lo.shape
    slope = np.zeros((n, k))
    intercept = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            if b - a < 2:
                continue
            present[s, t] = True
            origin = times[a] if origins[t] == FIRST_SAMPLE else origins[t]
            x = y = xy = xx = 0.0
            x_lost = y_lost = xy_lost = xx_lost = 0.0
            constant = True
            for i in range(a, b):
                constant = constant and values[i] == values[a]
                at = (times[i] - origin) / 1e6
                x, x_lost = add(x, x_lost, at)
                y, y_lost = add(y, y_lost, values[i])
                xy, xy_lost = add(xy, xy_lost, at * values[i])
                xx, xx_lost = add(xx, xx_lost, at * at)
            if constant:
                slope[s, t] = np.nan if np.isinf(values[a]) else 0.0
                intercept[s, t] = np.nan if np.isinf(values[a]) else values[a]
                continue
            count = b - a
            x, y, xy, xx = x + x_lost, y + y_lost, xy + xy_lost, xx + xx_lost
            slope[s, t] = (xy - x * y / count) / (xx - x * x / count)
            intercept[s, t] = y / count - slope[s, t] * x / count
    return slope, intercept, present
