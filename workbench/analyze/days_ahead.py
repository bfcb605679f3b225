"""What the next days of a daily figure will bring, with an interval that was tried on its own past.

Expectation of a day: the mean of the last same weekdays, moved on by the drift between weeks, or by half of it, or by
none, whichever did best on the past (short histories overstate a drift: Gardner and McKenzie 1985). Interval: the
errors that the same rule made when it stood at each earlier day and knew nothing of what followed (rolling origin;
Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 5.10), of either sign alike (split conformal
prediction: Vovk et al. 2005), so nothing is assumed about their distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WEEK = 7
SEASONS = 4
"""How many same weekdays make the expectation: a month follows growth, and one odd day weighs a quarter."""
DRIFT_SHARES = (0.0, 0.5, 1.0)
LEAST_DAYS = WEEK * 2
"""Shorter histories know no week twice."""
LEAST_ORIGINS = 8
"""With fewer past errors an interval of 80 % would be a guess."""


@dataclass(frozen=True)
class Outlook:
    """Expected values of the next days, float64[days], with an interval; and of their sum.

    `total_errors` are what earlier forecasts of such a sum missed by (truth minus forecast); empty where the history is
    too short to try it, then `low` and `high` are NaN.
    """

    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    total_errors: np.ndarray

    @property
    def total(self) -> float:
        """The expected sum of the days."""
        return float(self.middle.sum())

    def total_range(self, level: float = 0.8) -> tuple[float, float]:
        """Where the sum will lie with a probability of `level`; NaN where that was not tried."""
        width = _half_width(self.total_errors, level)
        return self.total - width, self.total + width

    def chance(self, goal: float) -> float:
        """How probable a sum of at least `goal` is; NaN where that was not tried. Never 0 or 1: the past is short."""
        tried = self.total_errors.size
        if tried < LEAST_ORIGINS:
            return float("nan")
        # A run of errors on one side, in a past this short, says less than it seems to: both signs count alike.
        both = np.concatenate([self.total_errors, -self.total_errors])
        met = int(np.count_nonzero(self.total + both >= goal))
        return (met / 2 + 1) / (tried + 2)


def outlook(daily: np.ndarray, days: int, *, level: float = 0.8) -> Outlook:
    """Forecast the `days` (at least 1) after a history of daily values, float64[n], oldest first, NaN = no data.

    `level` is the share of days that the interval is to hold. A history shorter than two weeks gives NaN.
    """
    history = np.asarray(daily, float)
    tried = {share: _errors(history, days, share) for share in DRIFT_SHARES}
    share = min(DRIFT_SHARES, key=lambda one: _missed(tried[one]))
    middle, errors = expected(history, days, drift_share=share), tried[share]
    widths = np.array([_half_width(errors[:, day], level) for day in range(days)])
    low, high = middle - widths, middle + widths
    if np.all(history[np.isfinite(history)] >= 0):  # what is counted or paid cannot go below nothing
        middle, low = np.maximum(middle, 0.0), np.maximum(low, 0.0)
    return Outlook(middle, low, high, errors.sum(axis=1))


def expected(history: np.ndarray, days: int, *, drift_share: float) -> np.ndarray:
    """The rule alone: float64[days] after a history of daily values; NaN where too little is known.

    `drift_share` says how much of the drift between the weeks is taken to go on.
    """
    found = np.full(days, np.nan)
    length = len(history)
    if length < LEAST_DAYS:
        return found
    drift_a_day = drift_share * _drift(history)
    for ahead in range(days):
        at = length + ahead
        weeks_back = -(-(ahead + 1) // WEEK)
        known = [place for n in range(SEASONS) if (place := at - WEEK * (weeks_back + n)) >= 0]
        known = [place for place in known if np.isfinite(history[place])]
        if known:
            found[ahead] = history[known].mean() + drift_a_day * (at - np.mean(known))
    return found


def _errors(history: np.ndarray, days: int, drift_share: float) -> np.ndarray:
    """Truth minus forecast from each earlier day on, float64[origins, days]; days without data make no origin."""
    origins = range(LEAST_DAYS, len(history) - days + 1)
    found = [history[at : at + days] - expected(history[:at], days, drift_share=drift_share) for at in origins]
    errors = np.array(found) if found else np.empty((0, days))
    return errors[np.isfinite(errors).all(axis=1)]


def _missed(errors: np.ndarray) -> float:
    """How far the sums were off; 0 where nothing was tried."""
    return float(np.abs(errors.sum(axis=1)).mean()) if len(errors) else 0.0


def _drift(history: np.ndarray) -> float:
    """Change a day: the median slope between the weeks' means (Theil 1950), so that one odd week is no trend."""
    weeks = history[len(history) % WEEK :].reshape(-1, WEEK)
    known = np.isfinite(weeks).sum(axis=1)
    means = np.where(known > 0, np.nansum(weeks, axis=1) / np.maximum(known, 1), np.nan)
    later, earlier = np.tril_indices(len(means), -1)
    slopes = (means[later] - means[earlier]) / ((later - earlier) * WEEK)
    slopes = slopes[np.isfinite(slopes)]
    return float(np.median(slopes)) if slopes.size else 0.0


def _half_width(errors: np.ndarray, level: float) -> float:
    """Within which distance a share of `level` of the errors lies; the rank is raised for a short past."""
    if errors.size < LEAST_ORIGINS:
        return float("nan")
    return float(np.quantile(np.abs(errors), min(1.0, level * (1 + 1 / errors.size))))
