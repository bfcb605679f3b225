"""Incidents: known in advance, visible where they are, absent elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulate.moments import CELL_US, DAY_US, STEP_US, us
from workbench.simulate import Incident, Platform, incidents, schedule

SEED = 42
START, END = us("2026-09-01"), us("2026-11-01")
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def incident() -> Incident:
    """One early in a month, so that little has to be drawn before it."""
    return next(one for one in incidents(SEED, us("2026-10-01"), us("2026-11-01")))


@pytest.fixture(scope="module")
def with_and_without(incident: Incident) -> tuple[np.ndarray, np.ndarray, np.ndarray, Platform]:
    """(times, values with incidents, values if there were none, platform) for the incident's day, every minute."""
    day_us = incident.start_us // DAY_US * DAY_US
    times_us = day_us + np.arange(0, DAY_US, 6 * STEP_US)
    platform = Platform(SEED)
    real = platform.values(times_us)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "SHARE_OF_DAYS", 0.0)
        calm = Platform(SEED).values(times_us)
    return times_us, real, calm, platform


def test_about_two_in_three_days_in_working_hours():
    found = incidents(SEED, START, END)
    assert 25 <= len(found) <= 48
    assert found == sorted(found, key=lambda one: one.start_us)
    for one in found:
        assert one.kind == "llm_slowdown"
        assert 7 <= one.start_us % DAY_US / DAY_US * 24 < 19
        assert 25 * MINUTE_US <= one.end_us - one.start_us <= 70 * MINUTE_US
        assert one.start_us % STEP_US == one.end_us % STEP_US == 0
    assert len({one.model for one in found}) == 4


@given(seed=st.integers(0, 2**40), start_us=st.integers(START, END), length_us=st.integers(0, 9 * DAY_US))
def test_a_window_lists_what_touches_it_and_nothing_else(seed, start_us, length_us):
    end_us = start_us + length_us
    everything = incidents(seed, START - 2 * DAY_US, END + 12 * DAY_US)
    touching = [one for one in everything if one.start_us <= end_us and one.end_us + schedule.LAG_US >= start_us]
    assert incidents(seed, start_us, end_us) == touching


def test_severity_ramps_for_five_minutes():
    one = Incident("llm_slowdown", 0, 40 * MINUTE_US, "m")
    minutes = np.array([-1, 0, 1, 2.5, 5, 20, 35, 37.5, 40, 41]) * MINUTE_US
    assert schedule.severity(one, minutes).tolist() == [0, 0, 0.2, 0.5, 1, 1, 1, 0.5, 0, 0]


def moved(times_us: np.ndarray, real: np.ndarray, calm: np.ndarray, row: int) -> np.ndarray:
    """Times at which a series is not what it would be without the incident."""
    return times_us[real[row] != calm[row]]


def test_gauges_follow_two_minutes_later_and_are_untouched_elsewhere(incident, with_and_without):
    times_us, real, calm, platform = with_and_without
    touched = set()
    for row, series in enumerate(platform.series):
        if series.metric.type in {"gauge", "updowncounter"} and len(found := moved(times_us, real, calm, row)):
            touched.add((series.metric.name, *dict(series.metric.attributes).values()))
            assert found.min() > incident.start_us + schedule.LAG_US
            assert found.max() < incident.end_us + schedule.LAG_US
            height = (real[row] - calm[row]).max()
            assert height == pytest.approx(45, abs=1)
    assert touched == {("synth.queue.depth", "generate")}


def test_throughput_is_flat(with_and_without):
    _, real, calm, platform = with_and_without
    for row, series in enumerate(platform.series):
        if series.metric.type == "counter":
            np.testing.assert_array_equal(real[row], calm[row])
        elif series.part == "count":
            # the same events, in other buckets; each bucket is rounded down on its own
            assert np.abs(real[row] - calm[row]).max() <= len(series.metric.bounds)


def median(platform: Platform, values: np.ndarray, name: str, attribute: str) -> float:
    """Median of what a histogram counted between the first and the last column, between bounds on a log scale."""
    found = [
        (series.bound, row)
        for row, series in enumerate(platform.series)
        if (series.metric.name, series.part) == (name, "bucket")
        and attribute in dict(series.metric.attributes).values()
    ]
    bounds = np.log([bound for bound, _ in found[:-1]])
    counts = np.array([values[row, -1] - values[row, 0] for _, row in found])
    return float(np.exp(np.interp(0.5, counts[:-1] / counts[-1], bounds)))


def test_calls_to_one_model_take_three_times_as_long(incident, with_and_without):
    times_us, real, calm, platform = with_and_without
    height = (times_us >= incident.start_us + CELL_US) & (times_us <= incident.end_us - CELL_US)
    name = "gen_ai.client.operation.duration"
    slow, usual = (median(platform, values[:, height], name, incident.model) for values in (real, calm))
    assert slow / usual == pytest.approx(3, rel=0.25)
    for other in {"gpt-4o-mini", "gpt-4.1-mini", "gemini-2.5-pro", "o4-mini"} - {incident.model}:
        assert median(platform, real[:, height], name, other) == median(platform, calm[:, height], name, other)
    slow, usual = (
        median(platform, values[:, height], "synth.content.duration", "mathematics") for values in (real, calm)
    )
    assert 1.6 < slow / usual < 2.4


def test_buckets_differ_only_while_it_lasts(incident, with_and_without):
    times_us, real, calm, platform = with_and_without
    end_us = incident.end_us + schedule.LAG_US
    for row, series in enumerate(platform.series):
        if series.part != "bucket" or not series.metric.reacts:
            continue
        before = times_us <= incident.start_us - CELL_US
        np.testing.assert_array_equal(real[row, before], calm[row, before])
        after = times_us >= end_us + CELL_US
        difference = np.diff(real[row, after]) - np.diff(calm[row, after])
        assert np.abs(difference).max() <= 2 * len(series.metric.bounds), (
            "afterwards the same events again, up to rounding"
        )
