"""Values depend on seed and time alone, and look like a small company's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulate.moments import CELL_US, DAY_US, STEP_US, platform, rows, us
from workbench.simulate import Platform
from workbench.simulate.metric import HOST_AGENT, HOSTS, resource

TUESDAY = us("2026-09-08")
"""An ordinary school day close to the date that the magnitudes hold for, but for September's factor of 1.35."""
SEPTEMBER = 1.35

# Early in a month, where little has to be drawn before a value is known.
moments = st.builds(
    lambda month, step: us(f"2026-{month:02d}-01") + step * STEP_US,
    st.integers(1, 12),
    st.integers(0, 3 * DAY_US // STEP_US),
)


def day_of(start_us: int, days: int = 1) -> np.ndarray:
    """Values at five minutes over some days, both ends included."""
    return platform().values(np.arange(start_us, start_us + days * DAY_US + 1, CELL_US))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    start_us=moments,
    steps=st.lists(st.integers(0, 400), min_size=1, max_size=8, unique=True),
    cut=st.integers(0, 8),
)
def test_pieces_of_time_give_what_the_whole_gives(seed, start_us, steps, cut):
    times_us = start_us + np.array(sorted(steps)) * STEP_US
    whole = Platform(seed).values(times_us)
    other = Platform(seed)
    late, early = other.values(times_us[cut:]), other.values(times_us[:cut])
    np.testing.assert_array_equal(np.concatenate([early, late], axis=1), whole)


@settings(max_examples=10, deadline=None)
@given(start_us=moments, steps=st.integers(1, 200))
def test_counters_never_decrease_between_releases(start_us, steps):
    times_us = start_us + np.arange(steps) * STEP_US
    values = platform().values(times_us)
    counted = [row for row, series in enumerate(platform().series) if series.metric.type in {"counter", "histogram"}]
    assert (np.diff(values[counted], axis=1) >= 0).all()


def test_history_and_live_data_meet_without_a_seam():
    start_us = us("2026-11-24T08:00:00")
    history = platform().values(np.arange(start_us, start_us + 2 * CELL_US + 1, CELL_US))
    live = Platform(42)
    for column, moment_us in enumerate(range(start_us, start_us + 2 * CELL_US + 1, CELL_US)):
        np.testing.assert_array_equal(live.values(np.array([moment_us]))[:, 0], history[:, column])
    # and the steps between two ends of cells lie between their values
    steps = live.values(start_us + np.arange(31) * STEP_US)
    counted = [row for row, series in enumerate(live.series) if series.metric.type in {"counter", "histogram"}]
    assert (steps[counted] >= history[counted, :1]).all()
    assert (steps[counted] <= history[counted, 1:2]).all()
    moving = (np.diff(steps, axis=1) != 0).any(axis=1)
    assert moving.mean() > 0.3, "live data moves inside a cell"


def test_another_seed_is_another_platform():
    times_us = np.array([TUESDAY + DAY_US // 2])
    assert (Platform(1).values(times_us) != Platform(2).values(times_us)).mean() > 0.5


def test_counters_start_again_with_the_release_at_the_first_of_the_month():
    first_us = us("2026-10-01")
    before, at, after = platform().values(np.array([first_us - STEP_US, first_us, first_us + CELL_US])).T
    (requests, *_) = rows("http.server.request.duration", "count")
    assert before[requests] > 1e6
    assert at[requests] == 0
    assert after[requests] > 0
    assert [platform().start_us(time_us) for time_us in (first_us - STEP_US, first_us)] == [us("2026-09-01"), first_us]


def test_a_time_between_the_steps_is_refused():
    with pytest.raises(ValueError, match="every 10 s"):
        platform().values(np.array([TUESDAY + 1]))


def test_histograms_are_whole():
    values = day_of(TUESDAY)
    checked = 0
    for metric in {series.metric for series in platform().series if series.metric.type == "histogram"}:
        mine = {series.part: [] for series in platform().series if series.metric == metric}
        for row, series in enumerate(platform().series):
            if series.metric == metric:
                mine[series.part].append((series.bound, row))
        bounds, buckets = zip(*mine["bucket"], strict=True)
        assert list(bounds) == [*metric.bounds, float("inf")]
        ((_, count),), ((_, total),) = mine["count"], mine["sum"]
        assert (np.diff(values[list(buckets)], axis=0) >= 0).all()
        np.testing.assert_array_equal(values[buckets[-1]], values[count])
        grown, summed = values[count, -1] - values[count, 0], values[total, -1] - values[total, 0]
        if grown < 200:  # what is rare has the mean of a few
            continue
        # a mean that the distribution could have: a log-normal's is exp(sd² / 2) medians
        expected = metric.centre if metric.normal else metric.centre * np.exp(metric.spread**2 / 2)
        assert summed / grown == pytest.approx(expected, rel=0.25), metric
        checked += 1
    assert checked > 100


def growth_of(found: list[int], values: np.ndarray) -> float:
    return float((values[found, -1] - values[found, 0]).sum())


def test_magnitudes_are_those_of_a_small_company():
    week = day_of(TUESDAY - DAY_US, 5)  # Monday to Friday
    per_day = lambda name, part="", **at: growth_of(rows(name, part, **at), week) / 5 / SEPTEMBER  # noqa: E731
    assert per_day("http.server.request.duration", "count") / 86_400 == pytest.approx(3, rel=0.1)
    assert per_day("synth.content.items", synth__status="requested") == pytest.approx(10_000, rel=0.1)
    assert per_day("gen_ai.client.operation.duration", "count") / 86_400 == pytest.approx(0.64, rel=0.1)
    assert per_day("synth.llm.cost") == pytest.approx(80, rel=0.2)
    assert growth_of(rows("synth.revenue"), day_of(us("2026-09-01"), 29)) == pytest.approx(16_000, rel=0.25)
    mean = week[rows("synth.users.active", synth__window="1d", synth__segment="teacher")].sum(axis=0).mean()
    assert mean / SEPTEMBER == pytest.approx(620 * 0.42, rel=0.1)
    errors = per_day("http.server.request.duration", "count", http__response__status_code="500")
    assert errors / per_day("http.server.request.duration", "count") == pytest.approx(0.0015, rel=0.3)


def test_the_day_and_the_week_have_their_shape():
    weeks = day_of(us("2026-09-07"), 14)[
        rows("http.server.request.duration", "count", http__route="/api/v1/jobs/{job_id}")
    ][0]
    hourly = np.diff(weeks[::12]).reshape(14, 24)
    weekdays = hourly[[0, 1, 2, 3, 7, 8, 9, 10]].mean(axis=0)
    assert weekdays[10] / weekdays[3] > 6, "ten in the morning is busy, three at night is not"
    assert weekdays[12] < weekdays[10]
    assert weekdays[12] < weekdays[14]
    assert weekdays[20] < weekdays[14]
    daily = hourly.sum(axis=1)
    assert daily[[5, 12]].mean() / daily[[0, 1, 2, 3, 7, 8, 9, 10]].mean() == pytest.approx(0.3 / 1.07, rel=0.1), (
        "Saturdays"
    )
    health = day_of(TUESDAY)[rows("http.server.request.duration", "count", http__route="/health")][0]
    assert np.diff(health[::12]).max() / np.diff(health[::12]).min() < 1.3, "machines ask day and night"


def test_people_come_in_crowds_and_machines_do_not():
    def dispersion(route: str) -> float:
        counts = np.diff(day_of(TUESDAY)[rows("http.server.request.duration", "count", http__route=route)][0])
        return float((np.diff(counts) ** 2).mean() / 2 / counts.mean())

    assert 8 < dispersion("/api/v1/jobs/{job_id}") < 30, "12, and what all traffic has in common"
    assert 0.6 < dispersion("/health") < 1.6, "about a Poisson process"


def test_every_metric_belongs_to_a_component_and_is_there_once():
    metrics = platform().metrics
    assert {metric.service for metric in metrics} == {*HOSTS, HOST_AGENT}
    assert len({(resource(metric), metric.name, metric.attributes) for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert list(metric.attributes) == sorted(metric.attributes)
        same = {
            (other.type, other.unit, other.description, other.bounds) for other in metrics if other.name == metric.name
        }
        assert len(same) == 1, f"{metric.name} has one type, unit, text and set of bounds"


def test_gauges_stay_within_their_bounds():
    values = day_of(TUESDAY, 2)
    for row, series in enumerate(platform().series):
        if series.metric.type in {"gauge", "updowncounter"}:
            assert values[row].min() >= series.metric.low
            assert values[row].max() <= series.metric.high
    assert np.isfinite(values).all()
