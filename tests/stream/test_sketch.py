"""The quantile sketch against numpy, and its merges."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.stream.sketch import MAX_BINS, RELATIVE_ERROR, Sketches, keys_of, merge, quantiles, sketch, values_of

NUMBERS = st.floats(min_value=-1e130, max_value=1e130).filter(lambda x: x == 0 or abs(x) > 1e-130)
FRACTIONS = (0.0, 0.25, 0.5, 0.95, 0.99, 1.0)


def of(values: list[float]) -> Sketches:
    return sketch(np.zeros(len(values), np.int64), np.array(values, np.float64), 1)


def add(*parts: Sketches) -> Sketches:
    keys, counts = (np.concatenate([getattr(part, name) for part in parts]) for name in ("keys", "counts"))
    return merge(np.zeros(len(keys), np.int64), keys, counts, 1)


def same(one: Sketches, other: Sketches) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("offsets", "keys", "counts"))


@given(st.lists(NUMBERS, min_size=1, max_size=200))
def test_quantiles_are_within_the_relative_error(values: list[float]) -> None:
    wanted = np.quantile(np.array(values), FRACTIONS, method="lower")
    (found,) = quantiles(of(values), FRACTIONS)
    assert (np.abs(found - wanted) <= np.abs(wanted) * (RELATIVE_ERROR + 1e-9)).all()


@given(NUMBERS)
def test_a_bin_answers_for_its_values_and_keys_sort_as_values_do(value: float) -> None:
    (answer,) = values_of(keys_of(np.array([value])))
    assert abs(answer - value) <= abs(value) * (RELATIVE_ERROR + 1e-9)
    low, high = keys_of(np.array([value, value + abs(value) * 0.05]))
    assert low <= high


@given(*[st.lists(NUMBERS, max_size=50)] * 3)
def test_merges_are_associative_and_commutative_and_equal_the_whole(a: list, b: list, c: list) -> None:
    x, y, z = of(a), of(b), of(c)
    assert same(add(add(x, y), z), add(x, add(y, z)))
    assert same(add(x, y), add(y, x))
    assert same(add(x, y, z), of([*a, *b, *c]))


def test_rows_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(5)
    rows, values = rng.integers(0, 20, 5000), rng.lognormal(0, 3, 5000)
    found = quantiles(sketch(rows, values, 21), (0.5, 0.99))
    for row in range(20):
        wanted = np.quantile(values[rows == row], (0.5, 0.99), method="lower")
        np.testing.assert_allclose(found[row], wanted, rtol=RELATIVE_ERROR + 1e-9)
    assert np.isnan(found[20]).all()


def test_bins_are_bounded_and_high_quantiles_keep_the_promise() -> None:
    values = np.logspace(-100, 100, 20_000)
    one = of(values.tolist())
    assert len(one.keys) == MAX_BINS
    assert one.counts.sum() == len(values)
    (found,) = quantiles(one, (0.96, 0.99, 1.0))
    wanted = np.quantile(values, (0.96, 0.99, 1.0), method="lower")
    np.testing.assert_allclose(found, wanted, rtol=RELATIVE_ERROR + 1e-9)


def test_values_outside_the_range_count_at_its_ends() -> None:
    (found,) = quantiles(of([1e-200, 1e200]), (0.0, 1.0))
    assert found[0] == 0.0
    assert abs(found[1] / 1e140 - 1) <= RELATIVE_ERROR + 1e-9
