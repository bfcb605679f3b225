"""Extended range selectors: `anchored` looks for the window's edge in the past, `smoothed` on both sides of it.

Windows reach one look-back further, to the left (and, smoothed, to the right). Anchored, the last sample before an edge
stands for it; smoothed, the line between the samples around it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray
Table = tuple[Array, Array]

ALLOWED = {
    "anchored": ("changes", "delta", "increase", "rate", "resets"),
    "smoothed": ("delta", "increase", "rate"),
}
"""Functions of range vectors that an extension can be used with."""


@njit(cache=True, nogil=True)
def _between(times: Array, values: Array, i: int, at: int, counter: bool) -> float:
    """The line from sample i to the next, at a time; a counter that fell in between is taken to start from 0."""
    low, high = values[i], values[i + 1]
    if counter and high < low:
        low = 0.0
    return low + (high - low) * (at - times[i]) / (times[i + 1] - times[i])


@njit(cache=True, nogil=True)
def edges(times: Array, a: int, b: int, start: int, end: int, smoothed: bool) -> tuple[int, int]:
    """The last sample at or before the start, else the first; the first at or after the end, else the last."""
    last = b - 1
    first = a
    while first + 1 < last and times[first + 1] <= start:
        first += 1
    if smoothed:
        at = a
        while at < last and times[at] < end:
            at += 1
        last = at
    return first, last


@njit(cache=True, nogil=True)
def _left(times: Array, values: Array, first: int, start: int, smoothed: bool, counter: bool) -> float:
    if smoothed and times[first] < start:
        return _between(times, values, first, start, counter)
    return values[first]


@njit(cache=True, nogil=True)
def _right(times: Array, values: Array, a: int, last: int, end: int, smoothed: bool, counter: bool) -> float:
    if smoothed and times[last] > end and last > a:
        return _between(times, values, last - 1, end, counter)
    return values[last]


@njit(cache=True, nogil=True)
def change(
    times: Array, values: Array, lo: Array, hi: Array, ends: Array, window: int, smoothed: bool, counter: bool
) -> Table:
    """`increase` (counter) or `delta` between the edges of the window (end - window, end]; nothing is extrapolated."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            start, end = ends[t] - window, ends[t]
            if a == b:
                continue
            first, last = edges(times, a, b, start, end, smoothed)
            if times[last] <= start or (smoothed and times[first] > end):
                continue
            left = _left(times, values, first, start, smoothed, counter)
            right = _right(times, values, a, last, end, smoothed, counter)
            total = right - left
            if counter:
                before = left
                for i in range(first + (times[first] <= start), last + (times[last] < end)):
                    if values[i] < before:
                        total += before
                    before = values[i]
                if right < before:
                    total += before
            out[s, t] = total
            present[s, t] = True
    return out, present


@njit(cache=True, nogil=True)
def anchors(times: Array, lo: Array, hi: Array, ends: Array, window: int) -> Array:
    """Where windows begin if the last sample before them belongs to them; where they end, if none is inside."""
    out = lo.copy()
    n, k = lo.shape
    for s in range(n):
        for t in range(k):
            start = ends[t] - window
            if hi[s, t] == lo[s, t] or times[hi[s, t] - 1] <= start:
                out[s, t] = hi[s, t]
                continue
            if times[lo[s, t]] > start:
                continue
            while times[out[s, t] + 1] <= start:  # the last one is after the start
                out[s, t] += 1
    return out


@njit(cache=True, nogil=True)
def interpolated(times: Array, values: Array, lo: Array, hi: Array, ends: Array) -> Table:
    """The value at every end: a sample's own, the line between two, or the last before it where none follows."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            at = a
            while at < b and times[at] < ends[t]:
                at += 1
            if at < b and times[at] == ends[t]:
                out[s, t] = values[at]
            elif at == a:
                continue
            elif at < b:
                out[s, t] = _between(times, values, at - 1, ends[t], False)
            else:
                out[s, t] = values[at - 1]
            present[s, t] = True
    return out, present


@njit(cache=True, nogil=True)
def with_edges(times: Array, values: Array, offsets: Array, end: int, window: int, smoothed: bool) -> tuple:
    """The samples inside the window, with one more at each of its edges: offsets, times, values."""
    n = len(offsets) - 1
    out_offsets = np.zeros(n + 1, np.int64)
    out_times = np.empty(len(times) + 2 * n, np.int64)
    out_values = np.empty(len(times) + 2 * n)
    start = end - window
    used = 0
    for s in range(n):
        a, b = offsets[s], offsets[s + 1]
        if a < b:
            first, last = edges(times, a, b, start, end, smoothed)
            if times[last] > start:
                out_times[used], out_values[used] = start, _left(times, values, first, start, smoothed, False)
                used += 1
                for i in range(first + (times[first] <= start), last + (times[last] < end)):
                    out_times[used], out_values[used] = times[i], values[i]
                    used += 1
                out_times[used], out_values[used] = end, _right(times, values, a, last, end, smoothed, False)
                used += 1
        out_offsets[s + 1] = used
    return out_offsets, out_times[:used], out_values[:used]
