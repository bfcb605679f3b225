"""What a day was like: its level beside the day before, and the hours that do not fit the days before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

HOURS = 24
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation times this estimates the standard deviation of a normal sample (Hampel 1974)."""
MIN_DAYS = 3
"""Fewer days of the same hour tell nothing about what is usual."""


@dataclass(frozen=True)
class Comparison:
    """A measure on one day beside the day before. NaN where a day has no data; `change` is relative (0.1 = +10 %)."""

    mean: float
    peak: float
    mean_before: float
    change: float


@dataclass(frozen=True)
class Unusual:
    """An hour (0-23 UTC) whose mean lies `score` robust standard deviations from the same hour of the days before."""

    hour: int
    value: float
    usual: float
    score: float


def compare_days(today: np.ndarray, before: np.ndarray) -> Comparison:
    """Compare two days of measurements; float arrays of any length, NaN ignored, empty allowed."""
    mean, mean_before = _mean(today), _mean(before)
    finite = today[np.isfinite(today)]
    change = (mean - mean_before) / abs(mean_before) if mean_before else math.nan
    return Comparison(mean, float(finite.max()) if finite.size else math.nan, mean_before, change)


def find_unusual(
    today: np.ndarray, history: np.ndarray, *, threshold: float = 4.0, floor: float = 0.0
) -> list[Unusual]:
    """Hours of `today` (24 hourly means, NaN = no data) that do not fit `history` (days x 24), the strangest first.

    The score is (value - median) / (1.4826 MAD) over the same hour of the days before. `floor` is the smallest standard
    deviation to assume, in the measure's own unit: a measure that never moved must not alarm at its first ripple.
    """
    found = []
    for hour in range(HOURS):
        past = history[:, hour][np.isfinite(history[:, hour])] if history.size else np.empty(0)
        if past.size < MIN_DAYS or not math.isfinite(today[hour]):
            continue
        usual = float(np.median(past))
        spread = max(MAD_TO_SIGMA * float(np.median(np.abs(past - usual))), floor, 1e-3 * abs(usual))
        if spread == 0:
            continue
        score = (float(today[hour]) - usual) / spread
        if abs(score) >= threshold:
            found.append(Unusual(hour, float(today[hour]), usual, score))
    return sorted(found, key=lambda unusual: -abs(unusual.score))


def say_change(what: str, comparison: Comparison) -> str:
    """One sentence on a comparison, for people."""
    if not math.isfinite(comparison.mean):
        return f"{what}: no data for this day."
    if not math.isfinite(comparison.change):
        return f"{what}: nothing to compare with on the day before."
    if abs(comparison.change) < 0.02:
        return f"{what} stayed as the day before."
    word = "rose" if comparison.change > 0 else "fell"
    return f"{what} {word} by {abs(comparison.change):.0%} against the day before."


def say_value(value: float, unit: str) -> str:
    """A value for people: `share` as per cent, `By` with a prefix, all else with three figures."""
    if not math.isfinite(value):
        return "no data"
    if unit == "share":
        return f"{value:.1%}"
    size = abs(value)
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan
