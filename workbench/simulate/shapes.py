"""Shapes in time: the day, the week, the school year, growth. Pure functions of UTC time in microseconds."""

from __future__ import annotations

import datetime as dt

import numpy as np

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
MONTH_DAYS = 30.4375
REFERENCE_US = int(dt.datetime(2026, 9, 1, tzinfo=dt.UTC).timestamp()) * SECOND_US
"""When the magnitudes of the catalogue hold; growth is relative to it."""
GROWTH_PER_MONTH = 1.04

# Share of the busiest hour at hours of the day: classes in the morning and afternoon, lunch, homework in the evening.
_HOURS = np.array([0, 3, 6, 8, 10, 12.5, 15, 17.5, 20, 22, 24])
_HOUR_SHARES = np.array([0.22, 0.10, 0.18, 0.62, 1.00, 0.75, 1.00, 0.66, 0.55, 0.38, 0.22])
_DAY_MEAN = float(np.trapezoid(_HOUR_SHARES, _HOURS)) / 24
_WEEKDAYS = np.array([1.05, 1.10, 1.08, 1.05, 0.80, 0.30, 0.55])  # from Monday
_WORKDAY_MEAN = float(_WEEKDAYS[:5].mean())
WEEK_MEAN = float(_WEEKDAYS.mean()) / _WORKDAY_MEAN
"""Mean of `week` over seven days."""

# Factors of the school year at days of the year (1 = 1 January): holidays, exams, spring break, summer, September.
_YEAR_DAYS = np.array(
    [1, 4, 8, 31, 46, 82, 88, 95, 121, 135, 151, 166, 182, 196, 213, 232, 246, 268, 290, 350, 354, 358, 366]
)
_YEAR_FACTORS = np.array(
    [
        0.35,
        0.35,
        1.2,
        1.2,
        1.0,
        1.0,
        0.7,
        1.0,
        1.1,
        1.2,
        1.1,
        0.8,
        0.5,
        0.45,
        0.5,
        0.8,
        1.35,
        1.35,
        1.0,
        1.0,
        0.35,
        0.35,
        0.35,
    ]
)


def day(times_us: np.ndarray) -> np.ndarray:
    """Factor by the hour of the day; its mean over a day is 1."""
    return np.interp(times_us % DAY_US / (3600 * SECOND_US), _HOURS, _HOUR_SHARES) / _DAY_MEAN


def week(times_us: np.ndarray) -> np.ndarray:
    """Factor by the day of the week; the mean over Monday to Friday is 1. 1970-01-01 was a Thursday."""
    return _WEEKDAYS[(times_us // DAY_US + 3) % 7] / _WORKDAY_MEAN


def year(times_us: np.ndarray) -> np.ndarray:
    """Factor by the day of the school year, 1 in an ordinary week."""
    days = times_us.astype("datetime64[us]")
    return np.interp((days - days.astype("datetime64[Y]")) / np.timedelta64(1, "D") + 1, _YEAR_DAYS, _YEAR_FACTORS)


def growth(times_us: np.ndarray) -> np.ndarray:
    """Growth since the reference date, 4 % a month."""
    return GROWTH_PER_MONTH ** ((times_us - REFERENCE_US) / (MONTH_DAYS * DAY_US))


def disk(times_us: np.ndarray) -> np.ndarray:
    """Used share of a disk: from 0.35 up by 0.3 % a day to 0.8, and cleaned up then."""
    return 0.35 + 0.003 * (times_us / DAY_US % 150)


def renewed_seconds(times_us: np.ndarray) -> np.ndarray:
    """Expiry (seconds since 1970) of certificates that are renewed each sixty days, for ninety."""
    return (times_us // (60 * DAY_US) * 60 + 90) * 86_400.0


def drives(times_us: np.ndarray) -> dict[str, np.ndarray]:
    """Every shape that a metric can follow, at these times: name -> factor, 1 on an average weekday."""
    times_us = np.asarray(times_us, np.int64)
    grown = growth(times_us)
    season = grown * year(times_us)
    return {
        "flat": np.ones(len(times_us)),
        "growth": grown,
        "season": season,
        "traffic": season * day(times_us) * week(times_us),
        "disk": disk(times_us),
        "disk_free": 1 - disk(times_us),
        "certificate": renewed_seconds(times_us),
    }
