"""The daily analysis finds what a person would point at, and is silent where there is nothing to say."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.analyze import compare_days, find_unusual, say_change, say_value

RNG = np.random.default_rng(7)
USUAL = 100 + 20 * np.sin(np.arange(24) / 24 * 2 * np.pi)


def days(count: int) -> np.ndarray:
    return USUAL + RNG.normal(0, 2, (count, 24))


def test_an_hour_that_does_not_fit_is_found_with_what_is_usual():
    today = days(1)[0]
    today[15] = 200
    first = find_unusual(today, days(14))[0]
    assert first.hour == 15
    assert abs(first.usual - USUAL[15]) < 5
    assert first.score > 10


def test_a_usual_day_is_silent():
    assert find_unusual(USUAL, days(14)) == []


def test_an_outlier_in_the_past_does_not_hide_one_today():
    history = days(14)
    history[3, 9] = 1e6
    today = USUAL.copy()
    today[9] = 170
    assert [unusual.hour for unusual in find_unusual(today, history)] == [9]


def test_too_little_history_says_nothing():
    today = USUAL * 10
    assert find_unusual(today, days(2)) == []
    assert find_unusual(today, np.empty((0, 24))) == []


def test_a_flat_measure_needs_more_than_a_ripple():
    history = np.full((10, 24), 0.5)
    assert find_unusual(np.full(24, 0.51), history, floor=0.01) == []
    assert len(find_unusual(np.full(24, 0.6), history, floor=0.01)) == 24


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_comparison_agrees_with_numpy_and_never_raises(today, before):
    found = compare_days(np.array(today), np.array(before))
    assert math.isnan(found.mean) if not today else math.isclose(found.mean, np.mean(today), abs_tol=1e-6)
    assert math.isnan(found.peak) if not today else found.peak == max(today)
    assert say_change("Load", found).startswith("Load")


def test_words():
    assert (
        say_change("CPU", compare_days(np.array([2.0]), np.array([1.0]))) == "CPU rose by 100% against the day before."
    )
    assert say_change("CPU", compare_days(np.array([]), np.array([1.0]))) == "CPU: no data for this day."
    assert "nothing to compare" in say_change("CPU", compare_days(np.array([1.0]), np.array([])))


def test_values_for_people():
    assert say_value(0.1234, "share") == "12.3%"
    assert say_value(2.5e9, "B") == "2.5 GB"
    assert say_value(0.25, "s") == "0.25 s"
    assert say_value(math.nan, "s") == "no data"
