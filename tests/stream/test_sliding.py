"""Windows against a count by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.stream import Batch, Bounds, initial, step, windows
from workbench.stream.sketch import RELATIVE_ERROR
from workbench.stream.sliding import KEPT_US, LEVEL_OF_WINDOW, QUANTILES, WIDTHS_US, WINDOWS_SECONDS, State

from .conftest import SECOND_US, START_US, batch

HOURS = 2


def increase(values: np.ndarray) -> float:
    """Of a counter: what it grew by; after a step down, all that it shows."""
    return float(sum(b - a if b >= a else b for a, b in itertools.pairwise(values)))


def edge(at_us: int, seconds: int) -> int:
    width_us = WIDTHS_US[LEVEL_OF_WINDOW[seconds]]
    return at_us // width_us * width_us + width_us - seconds * SECOND_US


def assert_as_counted(state: State, times_us: np.ndarray, values: np.ndarray, series: int, at_us: int) -> None:
    """One series' windows hold what the samples (sorted by time) say."""
    found = windows(state, np.array([series]), at_us)
    for seconds in WINDOWS_SECONDS:
        start_us = edge(at_us, seconds)
        level = LEVEL_OF_WINDOW[seconds]
        oldest_us = state.closed_us - KEPT_US[level]
        inside = (times_us >= start_us) & (times_us < at_us // WIDTHS_US[0] * WIDTHS_US[0] + WIDTHS_US[0])
        (rows,) = np.nonzero((found.series == series) & (found.window_seconds == seconds))
        assert len(rows) == int(inside.any())
        if not inside.any():
            continue
        (row,), chosen = rows, values[inside]
        before = values[(times_us < start_us) & (times_us // WIDTHS_US[level] * WIDTHS_US[level] >= oldest_us)]
        known = np.concatenate((before[-1:], chosen))
        assert found.end_us[row] == at_us
        assert found.count[row] == len(chosen)
        assert found.min[row] == chosen.min()
        assert found.max[row] == chosen.max()
        np.testing.assert_allclose(found.sum[row], chosen.sum(), rtol=1e-12)
        np.testing.assert_allclose(found.mean[row], chosen.mean(), rtol=1e-12)
        elapsed = (at_us - start_us) / SECOND_US
        np.testing.assert_allclose(found.rate[row], increase(known) / elapsed, rtol=1e-9)
        wanted = np.quantile(chosen, QUANTILES, method="lower")
        np.testing.assert_allclose(found.quantiles[row], wanted, rtol=RELATIVE_ERROR + 1e-9)


@pytest.fixture(scope="module")
def day() -> tuple[np.ndarray, np.ndarray, list[State]]:
    """Two hours of a counter with restarts each 2 s, delivered in disorder; states at each minute."""
    rng = np.random.default_rng(7)
    times_us = START_US + np.arange(0, HOURS * 3600, 2) * SECOND_US + rng.integers(0, SECOND_US, HOURS * 1800)
    values = np.cumsum(rng.exponential(5, len(times_us)))
    for restart in rng.integers(0, len(values), 12):
        values[restart:] -= values[restart]
    values = np.abs(values)
    arrival = np.argsort(times_us + rng.integers(0, 30 * SECOND_US, len(times_us)))
    arrived_us = np.maximum.accumulate(times_us[arrival])
    states, state = [], initial()
    for minute in range(HOURS * 60):
        low, high = START_US + minute * 60 * SECOND_US, START_US + (minute + 1) * 60 * SECOND_US
        rows = arrival[(arrived_us >= low) & (arrived_us < high)]
        for part in np.array_split(rows, 12):
            newest = int(times_us[part].max(initial=low))
            state, counts = step(state, Batch(np.full(len(part), 3), times_us[part], values[part], newest))
            assert counts.taken == len(part)
        states.append(step(state, Batch(*(np.empty(0, kind) for kind in (int, int, float)), watermark_us=high))[0])
        state = states[-1]
    return times_us, values, states


@pytest.mark.parametrize("minute", [0, 1, 4, 5, 6, 14, 15, 16, 59, 60, 61, 63, 90, 119])
def test_windows_hold_what_their_samples_say(day: tuple, minute: int) -> None:
    times_us, values, states = day
    arrived = states[minute].watermark_us
    # Samples are at most 30 s late, so all of the minute before the last have arrived.
    at_us = arrived - 60 * SECOND_US if minute else arrived
    if minute:
        assert_as_counted(states[minute], times_us, values, 3, at_us)
    else:
        assert windows(states[0]).count.max() <= 30


@given(
    st.lists(st.tuples(st.integers(0, 3700), st.integers(0, 10**6)), min_size=1, max_size=80, unique_by=lambda r: r[0])
)
def test_any_samples_in_time_order(rows: list[tuple[int, int]]) -> None:
    rows = sorted(rows)
    state = initial()
    for second, value in rows:
        state, _ = step(state, batch([(1, second, float(value))], second))
    times_us = START_US + np.array([second for second, _ in rows]) * SECOND_US
    values = np.array([float(value) for _, value in rows])
    assert_as_counted(state, times_us, values, 1, state.watermark_us)


def test_a_counter_with_a_restart() -> None:
    shown = (100.0, 110.0, 120.0, 5.0, 15.0)  # restarts after 120: 10 + 10 + 5 + 10
    rows = [(1, 10.0 + 10 * i, value) for i, value in enumerate(shown)]
    state, _ = step(initial(), batch(rows, 60))
    found = windows(state, at_us=START_US + 60 * SECOND_US)
    (row,) = np.flatnonzero(found.window_seconds == 60)
    assert found.rate[row] == pytest.approx(35 / 55)


def test_the_step_into_a_window_counts_though_its_start_lies_before() -> None:
    state, _ = step(initial(), batch([(1, 0, 100.0), (1, 70, 160.0)], 50))
    found = windows(state, at_us=START_US + 70 * SECOND_US)
    assert found.rate[found.window_seconds == 60].tolist() == [pytest.approx(60 / 55)]


def test_only_the_series_asked_for_are_answered_in_order() -> None:
    state, _ = step(initial(), batch([(s, 1, float(s)) for s in (5, 2, 9, 4)], 2))
    found = windows(state, np.array([9, 2, 77, 9]))
    assert found.series.tolist() == [2] * 4 + [9] * 4
    assert found.window_seconds.tolist() == list(WINDOWS_SECONDS) * 2


def test_the_answer_is_the_same_before_and_after_panes_close() -> None:
    rng = np.random.default_rng(8)
    rows = [(s, second, float(rng.normal(100, 30))) for second in range(300) for s in (1, 2)]
    wide = Bounds(lateness_us=600 * SECOND_US)
    opened, _ = step(initial(wide), batch(rows, 300))
    closed = initial(Bounds(lateness_us=0))
    for second in range(300):
        closed, _ = step(closed, batch([row for row in rows if row[1] == second], second))
    closed, _ = step(closed, batch([], 300))
    assert opened.open
    assert not closed.open
    one, other = windows(opened), windows(closed)
    assert one.count.tolist() == other.count.tolist()
    np.testing.assert_allclose(one.sum, other.sum)
    np.testing.assert_allclose(one.rate, other.rate)
    np.testing.assert_array_equal(one.quantiles, other.quantiles)


def test_values_whose_sum_is_beyond_a_float_do_no_harm() -> None:
    state, _ = step(initial(), batch([(1, 1, 1.7e308), (1, 2, 1.7e308), (2, 1, 1.0)], 3))
    found = windows(state)
    assert np.isinf(found.sum[found.series == 1]).all()
    assert (found.sum[found.series == 2] == 1.0).all()
