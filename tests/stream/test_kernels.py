"""What every kernel must keep: each module of the room with `initial`, `step` and `observe` is found and held to it."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import pickle
import pkgutil
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench.stream
from workbench.stream import Batch, Bounds, Counts

from .conftest import batch

KERNELS = [
    module
    for found in pkgutil.iter_modules(workbench.stream.__path__)
    if all(
        hasattr(module := importlib.import_module(f"workbench.stream.{found.name}"), name)
        for name in ("initial", "step", "observe")
    )
]
pytestmark = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__.rpartition(".")[2])

VALUES = st.one_of(st.integers(-1000, 1000).map(float), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0]))
ROWS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 59), VALUES), min_size=1, max_size=60)


def run(kernel: ModuleType, batches: list[Batch], bounds: Bounds | None = None) -> tuple[Any, Counts]:
    state, total = kernel.initial(bounds or Bounds()), Counts()
    for one in batches:
        state, counts = kernel.step(state, one)
        total = total + counts
    return state, total


def columns(kernel: ModuleType, state: Any) -> dict[str, np.ndarray]:
    table = kernel.observe(state)
    return {field.name: getattr(table, field.name) for field in dataclasses.fields(table)}


def assert_same(kernel: ModuleType, one: Any, other: Any) -> None:
    left, right = columns(kernel, one), columns(kernel, other)
    for name, column in left.items():
        np.testing.assert_array_equal(column, right[name], err_msg=name)


def stream(rng: np.random.Generator, minutes: int, series: int = 5) -> list[Batch]:
    """A batch a second."""
    return [
        batch([(s, second, float(rng.normal(50, 10))) for s in range(1, series + 1)], second)
        for second in range(minutes * 60)
    ]


def test_there_are_kernels(kernel: ModuleType) -> None:
    assert "sliding" in {one.__name__.rpartition(".")[2] for one in KERNELS}
    assert columns(kernel, kernel.initial(Bounds()))


@given(rows=ROWS, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_micro_batches_equal_one_batch_equal_one_by_one(kernel: ModuleType, rows: list, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [batch(rows[a:b], 60) for a, b in itertools.pairwise(edges)]
    closing = batch([], 200)
    whole, counted = run(kernel, [batch(rows, 60), closing])
    assert_same(kernel, whole, run(kernel, [*parts, closing])[0])
    single, counted_singly = run(kernel, [*(batch([row], 60) for row in rows), closing])
    assert_same(kernel, whole, single)
    assert counted == counted_singly


@given(rows=ROWS, seed=st.integers(0, 99))
def test_another_order_within_the_lateness_changes_nothing(kernel: ModuleType, rows: list, seed: int) -> None:
    unique = list({row[:2]: row for row in rows}.values())  # of doubles the first to come counts, so order matters
    mixed = list(unique)
    np.random.default_rng(seed).shuffle(mixed)
    middle = len(mixed) // 2
    late = [batch(mixed[:middle], 30), batch(mixed[middle:], 60), batch([], 130)]
    in_order = [batch(sorted(unique, key=lambda row: row[1]), 60), batch([], 130)]
    (one, counts), (other, other_counts) = run(kernel, late), run(kernel, in_order)
    assert_same(kernel, one, other)
    assert counts == other_counts


def test_neither_state_nor_batch_is_written_to(kernel: ModuleType) -> None:
    batches = stream(np.random.default_rng(1), 3)
    for one in batches:
        for array in (one.series, one.times_us, one.values):
            array.setflags(write=False)
    state, _ = run(kernel, batches)
    before = pickle.dumps(columns(kernel, state))
    late = batch([(1, 179, 1e6), (9, 150, 3.0)], 400)
    first, second = kernel.step(state, late)[0], kernel.step(state, late)[0]
    assert pickle.dumps(columns(kernel, state)) == before
    assert_same(kernel, first, second)


def test_the_state_does_not_see_later_changes_of_the_batch(kernel: ModuleType) -> None:
    given_batch = batch([(1, 1, 5.0), (2, 2, 7.0)], 10)
    state, _ = run(kernel, [given_batch])
    before = columns(kernel, state)
    given_batch.values[:] = -1
    given_batch.series[:] = 77
    np.testing.assert_array_equal(columns(kernel, kernel.step(state, batch([], 10))[0])["sum"], before["sum"])


def test_a_pickled_state_goes_on_as_the_original(kernel: ModuleType) -> None:
    batches = stream(np.random.default_rng(2), 4)
    state, _ = run(kernel, batches[:150])
    copy = pickle.loads(pickle.dumps(state))
    for one in batches[150:]:
        state, copy = kernel.step(state, one)[0], kernel.step(copy, one)[0]
    assert_same(kernel, state, copy)


def test_same_input_same_result(kernel: ModuleType) -> None:
    batches = stream(np.random.default_rng(3), 4)
    one, other = run(kernel, batches), run(kernel, batches)
    assert_same(kernel, one[0], other[0])
    assert one[1] == other[1]


def test_memory_stays_bounded_and_idle_series_are_dropped(kernel: ModuleType) -> None:
    def held(state: Any) -> int:
        return len(pickle.dumps(state))

    rng = np.random.default_rng(4)
    state = kernel.initial(Bounds())
    sizes = []
    for hour in range(3):
        for second in range(hour * 3600, (hour + 1) * 3600 + 600, 5):
            rows = [(s, second, float(rng.normal(50, 10))) for s in range(1, 4)]
            state, _ = kernel.step(state, batch(rows, second))
        sizes.append(held(state))
    assert sizes[2] < sizes[1] * 1.2
    assert held(state) / 3 < 64 * 1024
    state, _ = kernel.step(state, batch([], 5 * 3600))
    assert held(state) < 4096
    assert not len(columns(kernel, state)["series"])


@pytest.mark.parametrize("bounds", [Bounds(pane_samples=10), Bounds(open_samples=10)], ids=["a pane", "all panes"])
def test_what_waits_is_bounded_and_the_first_to_come_stay(kernel: ModuleType, bounds: Bounds) -> None:
    rows = [(s, 1, float(s)) for s in range(25)]
    state, counts = run(kernel, [batch(rows[:7], 2), batch(rows[7:], 2)], bounds)
    assert counts == Counts(taken=10, over_bound=15)
    assert set(columns(kernel, state)["series"]) == set(range(10))


def test_over_the_bound_of_series_the_first_registered_stay(kernel: ModuleType) -> None:
    rows = [(s, 1, 1.0) for s in (9, 3, 5, 7, 1)]
    state, counts = run(kernel, [batch(rows, 2), batch([], 120)], Bounds(series=3))
    assert set(columns(kernel, state)["series"]) == {1, 3, 5}
    assert counts == Counts(taken=5, over_bound=2)


def test_what_is_not_finite_is_counted_and_takes_nothing_with_it(kernel: ModuleType) -> None:
    stale = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
    rows = [(1, i, value) for i, value in enumerate((1.0, np.nan, np.inf, -np.inf, stale, 3.0))]
    state, counts = run(kernel, [batch(rows, 10)])
    assert counts == Counts(taken=2, not_finite=4)
    assert set(columns(kernel, state)["sum"]) == {4.0}


def test_late_too_late_early_and_repeated(kernel: ModuleType) -> None:
    state, counts = run(kernel, [batch([(1, 100, 1.0)], 100)])
    state, counts = kernel.step(state, batch([(1, 40, 2.0), (1, 39, 50.0), (1, 701, 60.0), (1, 100, 9.0)], 100))
    assert counts == Counts(taken=2, too_late=1, too_early=1)
    state, counts = kernel.step(state, batch([], 200))
    assert counts == Counts(repeated=1)
    found = columns(kernel, state)
    assert found["sum"][found["window_seconds"] == 300].tolist() == [3.0]
    _, counts = kernel.step(state, batch([(1, 100, 9.0)], 200))
    assert counts == Counts(too_late=1)


def test_the_watermark_never_goes_back(kernel: ModuleType) -> None:
    state, _ = run(kernel, [batch([], 200), batch([], 10)])
    _, counts = kernel.step(state, batch([(1, 100, 1.0), (1, 150, 1.0)], 10))
    assert counts == Counts(taken=1, too_late=1)
