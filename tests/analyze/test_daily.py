"""The daily analysis finds what a person would point at, and is silent where there is nothing to say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analyze import SLOTS, compare_days, find_unusual, say_change, say_hours, say_value, usual_day

SHAPE = 100 + 20 * np.sin(np.arange(SLOTS) / SLOTS * 2 * np.pi)


def days(count: int, *, seed: int = 7) -> np.ndarray:
    """Days of a measure that follows the time of day, with noise."""
    return SHAPE + np.random.default_rng(seed).normal(0, 2, (count, SLOTS))


def day(*periods: tuple[int, int, float]) -> np.ndarray:
    """One more such day, set to a value in periods [start, end) of slots."""
    made = days(1, seed=8)[0]
    for start, end, value in periods:
        made[start:end] = value
    return made


def test_a_period_that_does_not_fit_is_found_with_its_hours_and_what_is_usual():
    (found,) = find_unusual(day((60, 63, 200.0)), usual_day(days(14)))
    assert (found.start_hour, found.end_hour) == (15.0, 15.75)
    assert found.value == 200
    assert found.usual == pytest.approx(SHAPE[60:63].mean(), abs=5)
    assert found.score > 10


def test_below_what_is_usual_counts_too_and_the_strangest_comes_first():
    found = find_unusual(day((40, 44, 160.0), (80, 84, 0.0)), usual_day(days(14)))
    assert [(one.start_hour, one.score > 0) for one in found] == [(20.0, False), (10.0, True)]


def test_a_quarter_of_an_hour_alone_is_noise():
    assert find_unusual(day((60, 61, 200.0)), usual_day(days(14))) == []


def test_a_jump_up_and_one_down_are_two_periods():
    found = find_unusual(day((60, 62, 200.0), (62, 64, 0.0)), usual_day(days(14)))
    assert sorted((one.start_hour, one.end_hour) for one in found) == [(15.0, 15.5), (15.5, 16.0)]


def test_usual_days_are_silent():
    usual = usual_day(days(14))
    assert [find_unusual(one, usual) for one in days(50, seed=9)] == [[]] * 50


def test_an_outlier_in_the_past_does_not_hide_one_today():
    history = days(14)
    history[3, 36:40] = 1e6
    assert [one.start_hour for one in find_unusual(day((36, 40, 170.0)), usual_day(history))] == [9.0]


def test_too_little_history_says_nothing():
    for count in (0, 1, 2):
        usual = usual_day(days(count))
        assert np.isnan(usual.middle).all()
        assert find_unusual(SHAPE * 10, usual) == []
    assert np.isfinite(usual_day(days(3)).middle).all()


def test_hours_without_data_end_a_period_and_say_nothing_themselves():
    today = day((60, 64, 200.0))
    today[62] = math.nan
    assert [(one.start_hour, one.end_hour) for one in find_unusual(today, usual_day(days(14)))] == [(15.0, 15.5)]
    assert find_unusual(np.full(SLOTS, math.nan), usual_day(days(14))) == []


def test_what_is_usual_belongs_to_its_time_of_day():
    usual = usual_day(np.tile(np.arange(SLOTS, dtype=float), (5, 1)))
    assert usual.middle[4:-4].tolist() == list(range(4, SLOTS - 4))


def test_a_flat_measure_needs_more_than_a_ripple():
    usual = usual_day(np.full((10, SLOTS), 0.5), floor=0.01)
    assert find_unusual(np.full(SLOTS, 0.51), usual) == []
    (whole,) = find_unusual(np.full(SLOTS, 0.6), usual)
    assert (whole.start_hour, whole.end_hour) == (0.0, 24.0)


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_comparison_agrees_with_numpy_and_never_raises(today, before):
    found = compare_days(np.array(today), np.array(before))
    assert math.isnan(found.mean) if not today else math.isclose(found.mean, np.mean(today), abs_tol=1e-6)
    assert math.isnan(found.peak) if not today else found.peak == max(today)
    assert say_change("Load", found).startswith("Load")


@given(st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_any_history_with_holes_gives_only_periods_of_the_day(count: int, seed: int):
    random = np.random.default_rng(seed)
    history = np.where(random.random((count, SLOTS)) < 0.5, np.nan, random.normal(0, 1e3, (count, SLOTS)))
    today = np.where(random.random(SLOTS) < 0.2, np.nan, random.normal(0, 1e5, SLOTS))
    for found in find_unusual(today, usual_day(history)):
        assert 0 <= found.start_hour < found.end_hour <= 24
        assert abs(found.score) >= 4.5
        assert math.isfinite(found.value)
        assert math.isfinite(found.usual)


def test_words():
    doubled = compare_days(np.array([2.0]), np.array([1.0]))
    assert say_change("CPU", doubled) == "CPU rose by 100% against the day before."
    assert say_change("CPU", doubled, other="a week before") == "CPU rose by 100% against a week before."
    assert say_change("CPU", compare_days(np.array([]), np.array([1.0]))) == "CPU: no data for this day."
    assert "nothing to compare" in say_change("CPU", compare_days(np.array([1.0]), np.array([])))


def test_values_and_hours_for_people():
    assert say_value(0.1234, "share") == "12.3%"
    assert say_value(2.5e9, "B") == "2.5 GB"
    assert say_value(0.25, "s") == "250 ms"
    assert say_value(2.64, "s") == "2.64 s"
    assert say_value(math.nan, "s") == "no data"
    assert say_hours(14.5, 15.25) == "14:30-15:15"
    assert say_hours(23.75, 24) == "23:45-24:00"
    assert say_hours(6, 6) == "06:00"
