"""The outlook on daily figures: right where the rule holds, honest where it does not, silent where little is known."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.analyze import outlook

WEEK = np.array([100, 110, 108, 105, 80, 30, 55], float)


def weeks(count: int, *, noise: float = 0, growth_a_day: float = 0, seed: int = 7) -> np.ndarray:
    days = np.tile(WEEK, count) + growth_a_day * np.arange(7 * count)
    return days + np.random.default_rng(seed).normal(0, noise, 7 * count)


def test_a_steady_week_is_expected_to_come_again():
    found = outlook(weeks(8), 10)
    assert found.middle == pytest.approx(np.tile(WEEK, 2)[:10])
    assert found.total_range() == pytest.approx((found.total, found.total))


def test_steady_growth_goes_on():
    found = outlook(weeks(8, growth_a_day=2.0), 14)
    assert found.middle == pytest.approx(weeks(10, growth_a_day=2.0)[56:], rel=0.02)


@pytest.mark.parametrize("growth_a_day", [0.0, 0.5])
def test_the_interval_of_the_sum_holds_about_as_often_as_it_says(growth_a_day: float):
    held = []
    for seed in range(50):
        truth = weeks(12, noise=15, growth_a_day=growth_a_day, seed=seed)
        found = outlook(truth[:63], 14)
        low, high = found.total_range(0.8)
        held.append(low <= truth[63:77].sum() <= high)
    assert 0.65 <= np.mean(held) <= 0.97


def test_the_chance_of_a_goal_falls_with_the_goal_and_is_never_certain():
    found = outlook(weeks(9, noise=15), 30)
    chances = [found.chance(found.total * share) for share in (0.5, 0.98, 1.0, 1.02, 2.0)]
    assert chances == sorted(chances, reverse=True)
    assert 0 < chances[-1] < 0.1
    assert 0.9 < chances[0] < 1
    assert chances[2] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("days_known", [0, 5, 13])
def test_less_than_two_weeks_tell_nothing(days_known: int):
    found = outlook(weeks(2)[:days_known], 7)
    assert np.isnan(found.middle).all()
    assert np.isnan(found.chance(1))


def test_a_short_past_gives_an_expectation_but_no_interval():
    found = outlook(weeks(3), 7)
    assert np.isfinite(found.middle).all()
    assert np.isnan(found.total_range()).all()


def test_days_without_data_are_left_out():
    history = weeks(8)
    history[[3, 17, 40]] = np.nan
    assert outlook(history, 7).middle == pytest.approx(WEEK)


def test_what_is_never_negative_is_not_expected_below_nothing():
    found = outlook(np.abs(weeks(8, noise=60)), 14)
    assert (found.low >= 0).all()
