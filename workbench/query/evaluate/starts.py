"""Start times of counters: when each began to count. A new one is a reset, even where the value did not fall.

Heeded where `query.start_times` is on, as Prometheus does under `use-start-timestamps`. Times are int64 us, 0 where a
start is not known. Kernels take samples and windows as those of `windows` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from workbench.query.evaluate.extended import edges
from workbench.query.evaluate.windows import extrapolate
from workbench.query.index import Row
from workbench.query.samples import Loaded

if TYPE_CHECKING:
    from workbench.store import View

Array = np.ndarray
Table = tuple[Array, Array]

FUNCTIONS = ("rate", "increase", "irate", "resets")
"""Functions of range vectors that heed them."""


def with_starts(view: View, rows: Sequence[Row], loaded: Loaded) -> Loaded:
    """The samples of some rows with their start times, read from the table of samples."""
    starts = np.zeros(len(loaded.times_us), np.int64)
    if not len(starts):
        return replace(loaded, starts_us=starts)
    first, last = int(loaded.times_us.min()), int(loaded.times_us.max())
    table = view.table("samples", start_us=first, end_us=last, columns=("series", "time", "start_time"))
    place = {labels: number for number, labels in enumerate(loaded.labels)}
    owners = {one: place[row.labels] for row in rows if row.labels in place for one in row.ids}
    ids = np.array(sorted(owners), np.int64)
    series = table["series"].to_numpy()
    at = np.minimum(np.searchsorted(ids, series), len(ids) - 1)
    wanted = (ids[at] == series) & np.asarray(table["start_time"].is_valid())
    of_id = np.array([owners[one] for one in ids.tolist()], np.int64)
    span = last - first + 1
    known = of_id[at[wanted]] * span + table["time"].cast("int64").to_numpy()[wanted] - first
    order = np.argsort(known, kind="stable")
    known, found = known[order], table["start_time"].cast("int64").fill_null(0).to_numpy()[wanted][order]
    asked = np.repeat(np.arange(len(loaded.labels)), np.diff(loaded.offsets)) * span + loaded.times_us - first
    if len(known):
        nearest = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        starts = np.where(known[nearest] == asked, found[nearest], 0)
    return replace(loaded, starts_us=starts)


@njit(cache=True, nogil=True)
def anew(start_before: int, time_before: int, start: int, time: int) -> bool:
    """Whether a sample belongs to another count than the one before it.

    A start at the time of the sample before is that of a delta, unless that one's own start is unknown.
    """
    if start in (start_before, 0) or start >= time or start < time_before:
        return False
    if start > time_before:
        return True
    return start_before <= time_before and start_before not in (0, time_before)


@njit(cache=True, nogil=True)
def inside(low: int, start: int, time: int) -> bool:
    """Whether a start is known, lies after a time, and before its sample."""
    return start != 0 and low < start < time


def anew_pairs(times: Array, starts: Array) -> Array:
    """bool[m - 1]: `anew` of each sample but the first."""
    s, t, start, time = starts[:-1], times[:-1], starts[1:], times[1:]
    other = (start != s) & (start != 0) & (start < time)
    delta = (start == t) & (s <= t) & (s != 0) & (s != t)
    return np.asarray(other & ((start > t) | delta))


def overlaps(times: Array, starts: Array, lo: Array, hi: Array) -> Array:
    """bool[n, k]: windows with a sample that began before the one before it was taken, and not when that began."""
    wrong = (starts[1:] != 0) & (starts[1:] < times[:-1]) & (starts[1:] != starts[:-1])
    before = np.concatenate(([0, 0], np.cumsum(wrong)))[: len(times) + 1]
    return np.asarray((hi - lo > 1) & (before[hi] > before[np.minimum(lo + 1, len(times))]))


@njit(cache=True, nogil=True)
def extrapolated(
    times: Array, values: Array, starts: Array, lo: Array, hi: Array, ends: Array, window: int, per_second: bool
) -> Table:
    """`rate` and `increase`. A counter that began inside the window was 0 then: nothing is guessed before it."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t] - 1
            if b < a:
                continue
            change = values[b] - values[a]
            for i in range(a + 1, b + 1):
                if values[i] < values[i - 1] or anew(starts[i - 1], times[i - 1], starts[i], times[i]):
                    change += values[i - 1]
            if inside(ends[t] - window, starts[a], times[a]):
                covered = (times[b] - starts[a]) / 1e6
                interval = (times[b] - times[a]) / 1e6 / (b - a) if b > a else 0.0
                to_end = (ends[t] - times[b]) / 1e6
                if to_end >= interval * 1.1:
                    to_end = interval / 2
                change = (change + values[a]) * (covered + to_end) / covered
                out[s, t] = change / (window / 1e6) if per_second else change
                present[s, t] = True
            elif b > a:
                out[s, t] = extrapolate(
                    change, b - a + 1, values[a], times[a], times[b], ends[t], window, True, per_second
                )
                present[s, t] = True
    return out, present


@njit(cache=True, nogil=True)
def last_two(times: Array, values: Array, starts: Array, lo: Array, hi: Array) -> Table:
    """`irate`: from the last two samples of the window."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            b = hi[s, t] - 1
            if b - lo[s, t] < 1:
                continue
            fell = values[b] < values[b - 1] or anew(starts[b - 1], times[b - 1], starts[b], times[b])
            change = values[b] if fell else values[b] - values[b - 1]
            out[s, t] = change / ((times[b] - times[b - 1]) / 1e6)
            present[s, t] = True
    return out, present


@njit(cache=True, nogil=True)
def resets(times: Array, values: Array, starts: Array, lo: Array, hi: Array) -> Table:
    """`resets`: how often a window's counter fell or began anew."""
    n, k = lo.shape
    out = np.zeros((n, k))
    for s in range(n):
        for t in range(k):
            for i in range(lo[s, t] + 1, hi[s, t]):
                out[s, t] += values[i] < values[i - 1] or anew(starts[i - 1], times[i - 1], starts[i], times[i])
    return out, hi > lo


@njit(cache=True, nogil=True)
def _line(time: int, value: float, next_time: int, next_value: float, at: int) -> float:
    low = 0.0 if next_value < value else value
    return low + (next_value - low) * (at - time) / (next_time - time)


@njit(cache=True, nogil=True)
def _left(
    times: Array, values: Array, starts: Array, first: int, start: int, back: int, smoothed: bool
) -> tuple[float, int]:
    """The counter at the left edge, and when it began to count."""
    time, value, began = times[first], values[first], starts[first]
    known = began if began <= start else 0
    if time == start:
        return value, began
    if time > start:
        if not inside(back, began, time):
            return value, known
        if start < began or not smoothed:
            return 0.0, known
        return _line(began, 0.0, time, value, start), known
    next_time, next_value, next_began = times[first + 1], values[first + 1], starts[first + 1]
    if inside(start, next_began, next_time):
        next_time, next_value = next_began, 0.0
    elif anew(began, time, next_began, next_time):
        time, value, known = next_began, 0.0, next_began
    return (_line(time, value, next_time, next_value, start) if smoothed else value), known


@njit(cache=True, nogil=True)
def _right(
    times: Array, values: Array, starts: Array, a: int, last: int, end: int, back: int, smoothed: bool
) -> tuple[float, int]:
    time, value, began = times[last], values[last], starts[last]
    known = began if began <= end else 0
    if time <= end:
        return value, known
    if last == a:
        if not inside(back, began, time):
            return value, known
        if end < began or not smoothed:
            return 0.0, known
        return _line(began, 0.0, time, value, end), known
    before, value_before, began_before = times[last - 1], values[last - 1], starts[last - 1]
    if inside(end, began, time):
        time, value, known = began, 0.0, began_before
    elif anew(began_before, before, began, time):
        before, value_before = began, 0.0
    return (_line(before, value_before, time, value, end) if smoothed else value_before), known


@njit(cache=True, nogil=True)
def change(
    times: Array,
    values: Array,
    starts: Array,
    lo: Array,
    hi: Array,
    ends: Array,
    window: int,
    lookback: int,
    smoothed: bool,
) -> Table:
    """`increase` between the edges of anchored or smoothed windows."""
    n, k = lo.shape
    out = np.zeros((n, k))
    present = np.zeros((n, k), np.bool_)
    for s in range(n):
        for t in range(k):
            a, b = lo[s, t], hi[s, t]
            start, end = ends[t] - window, ends[t]
            back = start - lookback
            if a == b:
                continue
            first, last = edges(times, a, b, start, end, smoothed)
            if times[last] <= start:
                continue
            if smoothed and times[first] > end:
                began = starts[first]
                if not inside(back, began, times[first]) or end < began:
                    continue
            left, left_start = _left(times, values, starts, first, start, back, smoothed)
            right, right_start = _right(times, values, starts, a, last, end, back, smoothed)
            total = right - left
            before, time_before, start_before = left, start, left_start
            for i in range(first + (times[first] <= start), last + (times[last] < end)):
                if values[i] < before or anew(start_before, time_before, starts[i], times[i]):
                    total += before
                before, time_before, start_before = values[i], times[i], starts[i]
            if right < before or anew(start_before, time_before, right_start, end):
                total += before
            out[s, t] = total
            present[s, t] = True
    return out, present
