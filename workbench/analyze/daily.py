"""What a day was like: its level beside other days, and the periods that do not fit the days before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SLOTS = 96
"""A day in quarters of an hour: the shortest incident worth a line in a daily report fills two of them."""
POOLED_SLOTS = 4
"""A slot's past is that of the hour before and after it too: days are alike, but not to the quarter of an hour."""
MIN_SLOTS = 2
"""One odd quarter of an hour is noise; two in a row are a period."""
EDGE = 3.0
"""A period reaches as far as slots lie this many deviations out, on the same side."""
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation times this estimates the standard deviation of a normal sample (Hampel 1974)."""
MIN_DAYS = 3
"""Fewer days tell nothing about what is usual."""
LEAST_CHANGE = 0.02
"""Below this relative change a day counts as being like the other."""


@dataclass(frozen=True)
class Comparison:
    """A measure on one day beside another day. NaN where a day has no data; `change` is relative (0.1 = +10 %)."""

    mean: float
    peak: float
    mean_before: float
    change: float


@dataclass(frozen=True)
class Usual:
    """What is usual at each quarter of an hour: middle and robust standard deviation, float64[96]; NaN = not known."""

    middle: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Unusual:
    """A period [start_hour, end_hour) of the day (hours since midnight UTC) that lies outside of what is usual.

    `value` is the mean of the measure over the period, `usual` that of the middle; `score` is the largest distance from
    the middle in robust standard deviations, negative below it.
    """

    start_hour: float
    end_hour: float
    value: float
    usual: float
    score: float


def compare_days(today: np.ndarray, before: np.ndarray) -> Comparison:
    """Compare two days of measurements; float arrays of any length, NaN ignored, empty allowed."""
    mean, mean_before = _mean(today), _mean(before)
    finite = today[np.isfinite(today)]
    change = (mean - mean_before) / abs(mean_before) if mean_before else math.nan
    return Comparison(mean, float(finite.max()) if finite.size else math.nan, mean_before, change)


def usual_day(history: np.ndarray, *, floor: float = 0.0) -> Usual:
    """What the days before were like. `history` is float64[days, 96], consecutive days, NaN where there is no data.

    Median and median absolute deviation (times 1.4826) over a slot and the hour on both sides of it: one bad day must
    not hide the next. `floor` is the smallest deviation to assume, in the measure's own unit: one that never moved
    must not alarm at its first ripple. Slots that fewer than 3 days know are NaN.
    """
    middle, spread = np.full(SLOTS, np.nan), np.full(SLOTS, np.nan)
    if not np.size(history):
        return Usual(middle, spread)
    width = 2 * POOLED_SLOTS + 1
    padded = np.pad(np.asarray(history, float).reshape(-1), POOLED_SLOTS, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width).reshape(-1, SLOTS, width)
    for slot in range(SLOTS):
        pool = windows[:, slot]
        known = np.isfinite(pool)
        if known.any(axis=1).sum() < MIN_DAYS:
            continue
        past = pool[known]
        middle[slot] = np.median(past)
        deviation = MAD_TO_SIGMA * float(np.median(np.abs(past - middle[slot])))
        spread[slot] = max(deviation, floor, 1e-3 * abs(middle[slot]))
    return Usual(middle, spread)


def find_unusual(today: np.ndarray, usual: Usual, *, threshold: float = 4.5) -> list[Unusual]:
    """Periods of `today` (float64[96], NaN = no data) that do not fit, the strangest first.

    A period is two or more slots in a row on the same side of the middle, all at least 3 deviations out and one of them
    at least `threshold`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = (np.asarray(today, float) - usual.middle) / usual.spread
    found = []
    for start, end in [*_runs(scores >= EDGE), *_runs(scores <= -EDGE)]:
        score = float(max(scores[start:end], key=abs))
        if end - start >= MIN_SLOTS and abs(score) >= threshold:
            value, middle = _mean(today[start:end]), _mean(usual.middle[start:end])
            found.append(Unusual(start * 24 / SLOTS, end * 24 / SLOTS, value, middle, score))
    return sorted(found, key=lambda unusual: -abs(unusual.score))


def say_change(what: str, comparison: Comparison, *, other: str = "the day before") -> str:
    """One sentence on a comparison with `other`, for people."""
    if not math.isfinite(comparison.mean):
        return f"{what}: no data for this day."
    if not math.isfinite(comparison.change):
        return f"{what}: nothing to compare with on {other}."
    if abs(comparison.change) < LEAST_CHANGE:
        return f"{what} stayed as on {other}."
    word = "rose" if comparison.change > 0 else "fell"
    return f"{what} {word} by {abs(comparison.change):.0%} against {other}."


def say_value(value: float, unit: str) -> str:
    """A value for people: `share` as per cent, `s` and `B` with a prefix, all else with three figures."""
    if not math.isfinite(value):
        return "no data"
    if unit == "share":
        return f"{value:.1%}"
    size = abs(value)
    if unit == "s" and 0 < size < 1:
        return f"{value * 1e3:.3g} ms"
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def say_hours(start_hour: float, end_hour: float) -> str:
    """A period of the day: `14:30-15:15`; a moment where both are one."""
    return _clock(start_hour) if start_hour == end_hour else f"{_clock(start_hour)}-{_clock(end_hour)}"


def _clock(hour: float) -> str:
    minutes = round(hour * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _runs(true: np.ndarray) -> list[tuple[int, int]]:
    """[start, end) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], true, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan
