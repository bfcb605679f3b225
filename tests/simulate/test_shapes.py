"""Shapes in time, at dates where one knows what they should be."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.moments import CELL_US, DAY_US, us
from workbench.simulate import shapes


def at(*times: str) -> np.ndarray:
    return np.array([us(time) for time in times])


def test_the_day_has_a_mean_of_one():
    times = us("2026-09-08") + np.arange(0, DAY_US, CELL_US)
    assert shapes.day(times).mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("date", "factor"),
    [("2026-09-07", 1.05), ("2026-09-08", 1.10), ("2026-09-11", 0.80), ("2026-09-12", 0.30), ("2026-09-13", 0.55)],
)
def test_the_week_starts_on_monday(date, factor):
    (found,) = shapes.week(at(f"{date}T23:59:50"))
    assert found == pytest.approx(factor / np.mean([1.05, 1.10, 1.08, 1.05, 0.80]))


@pytest.mark.parametrize(
    ("date", "factor"),
    [
        ("2026-09-10", 1.35),
        ("2026-01-15", 1.2),
        ("2026-07-15", 0.45),
        ("2026-11-15", 1.0),
        ("2026-12-25", 0.35),
        ("2027-01-02", 0.35),
        ("2024-12-31T23:59:50", 0.35),
    ],
)
def test_the_school_year(date, factor):
    assert shapes.year(at(date))[0] == pytest.approx(factor, abs=0.03)


def test_it_grows_by_four_percent_a_month():
    one, later = shapes.growth(at("2026-09-01", "2027-09-01"))
    assert one == 1
    assert later == pytest.approx(1.04**12, rel=0.01)
