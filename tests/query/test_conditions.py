"""What is left unread could not have met the condition: whatever the condition is."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.dataset as ds
from hypothesis import given
from hypothesis import strategies as st

from workbench.query.relational.conditions import EVER_US, columns_of, survivors, time_bounds
from workbench.schema import TIME

SCHEMA = pa.schema([("time", TIME), ("name", pa.string()), ("value", pa.float64())])
TIMES = st.integers(0, 20)
NAMES = st.sampled_from(["a", "b", "c"])


def compare(field: str, literal: pa.Scalar):
    column = ds.field(field)
    return st.sampled_from(
        [column < literal, column <= literal, column > literal, column >= literal, column == literal, column != literal]
    )


leaves = st.one_of(
    TIMES.map(lambda t: pa.scalar(t, TIME)).flatmap(lambda s: compare("time", s)),
    NAMES.map(pa.scalar).flatmap(lambda s: compare("name", s)),
    st.floats(0, 3).map(pa.scalar).flatmap(lambda s: compare("value", s)),
    st.lists(NAMES, min_size=1, max_size=2).map(lambda names: ds.field("name").isin(names)),
    st.just(ds.field("value").is_valid()),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]), st.tuples(inner, inner).map(lambda p: p[0] | p[1])
    ),
    max_leaves=5,
)
tables = st.lists(st.tuples(TIMES, NAMES, st.one_of(st.none(), st.floats(0, 3))), max_size=20)


@given(conditions, tables)
def test_no_row_that_meets_a_condition_is_outside_its_bounds_or_ruled_out(condition, rows):
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    met = table.filter(condition)
    bounds = time_bounds(condition, SCHEMA, "time")
    names = ["a", "b", "c"]
    kept = {names[number] for number in survivors(condition, SCHEMA, [ds.field("name") == name for name in names])}
    for row in met.to_pylist():
        at = int(row["time"].timestamp() * 1e6)
        assert bounds is not None
        assert bounds[0] <= at <= bounds[1]
        assert row["name"] in kept


def test_bounds_are_exact():
    time = ds.field("time")
    at = {number: pa.scalar(number, TIME) for number in (3, 5, 9)}
    assert time_bounds((time > at[3]) & (time <= at[9]), SCHEMA, "time") == (4, 9)
    assert time_bounds((time == at[3]) | (time == at[9]), SCHEMA, "time") == (3, 9)
    assert time_bounds(ds.field("name") == "a", SCHEMA, "time") == (-EVER_US, EVER_US)
    assert time_bounds((time > at[9]) & (time < at[3]), SCHEMA, "time") is None
    assert time_bounds((time >= at[5]) & (ds.field("value") > 1), SCHEMA, "time") == (5, EVER_US)


def test_the_columns_of_a_condition():
    condition = (ds.field("name") == "a") & ds.field("value").is_valid()
    assert columns_of(condition, SCHEMA) == ["name", "value"]
