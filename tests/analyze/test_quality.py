"""Checks of data quality: what is declared, and what rows make of it."""

from __future__ import annotations

import contextlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from workbench.analyze import judge_series, judge_table, read_declarations
from workbench.errors import InputError
from workbench.schema import KINDS, STALE_NAN_BITS

NOW_US = 1_800_000_000_000_000
STALE = float(np.array([STALE_NAN_BITS], np.uint64).view(np.float64)[0])


def judged(check: str, series: dict[str, list[tuple[float, float]]]) -> dict[str, tuple[int, list[str]]]:
    """Kind -> (how many fail, why) of samples given as (seconds before now, value)."""
    (declared,) = read_declarations(f"source: s\nchecks:\n  - {{name: c, metric: m, {check}}}", "f")
    labels = [(("__name__", "m"), ("n", name)) for name in series]
    offsets = np.cumsum([0, *(len(rows) for rows in series.values())])
    times = np.array([NOW_US - round(age * 1e6) for rows in series.values() for age, _ in rows], np.int64)
    values = np.array([value for rows in series.values() for _, value in rows], np.float64)
    found = judge_series(declared, labels, offsets, times, values, NOW_US)
    return {one.kind: (one.failed, [row.why for row in one.rows]) for one in found}


def test_a_value_out_of_range_is_named_and_the_bounds_belong_to_it():
    found = judged(
        "range: {low: 0, high: 1}", {"a": [(3, 0.0), (2, 1.0), (1, 1.5)], "b": [(1, float("nan")), (0, STALE)]}
    )
    assert found == {"range": (2, ["is 1.5", "is nan"])}
    assert judged("range: {low: 0}", {"a": [(1, 9e9)]}) == {"range": (0, [])}


def test_a_counter_may_begin_anew_and_never_goes_back_a_little():
    rows = [(5, 100.0), (4, 110.0), (3, 2.0), (2, 50.0), (1, 49.0)]
    assert judged("monotonic: {resets_max: 1}", {"a": rows})["monotonic"] == (
        1,
        ["falls from 50 to 49, which is no reset"],
    )
    assert judged("monotonic: {}", {"a": rows[:4]})["monotonic"] == (1, ["began anew 1 times"])
    # The end of one series and the beginning of the next are no fall.
    assert judged("monotonic: {}", {"a": [(1, 9.0)], "b": [(1, 1.0)]})["monotonic"] == (0, [])


def test_an_old_series_is_named_and_one_that_ended_is_not():
    series = {"old": [(300, 1.0)], "ended": [(300, STALE)], "young": [(5, 1.0)]}
    assert judged("fresh_seconds: 60", series)["freshness"] == (1, ["its newest sample is 300 s old"])
    assert judged("fresh_seconds: 60", {"a": []})["freshness"] == (1, ["no sample within 900 s"])


def test_a_series_is_asked_for_the_time_that_it_was_there():
    full = [(100 - n, 1.0) for n in range(100)]
    series = {"full": full, "half": full[::2], "late": full[90:], "ended": [*full[:50], (49, STALE)]}
    found = judged("complete: {every_seconds: 1, share_min: 0.9}", series)["completeness"]
    assert found == (1, ["50 samples of 100 expected"])


def test_a_label_that_is_missing():
    assert judged("labels: [n, host]", {"a": [(1, 1.0)]})["schema"] == (1, ["has no label host"])


def usage(rows: list[dict]) -> pa.Table:
    base = {"time": NOW_US - 10_000_000, "request_model": "m1", "input_tokens": 5, "operation": "chat"}
    return pa.Table.from_pylist(
        [{**base, "hash": str(n), **row} for n, row in enumerate(rows)], schema=KINDS["usage"].schema
    )


TABLE = """
source: calls
checks:
  - name: whole
    table: usage
    fresh_seconds: 60
    complete: {rows_min: 3}
    columns:
      request_model: {required: true, pattern: "m[0-9]"}
      input_tokens: {low: 0, high: 10}
      operation: {allowed: [chat]}
"""


def test_rows_of_a_table_that_do_not_fit_are_named_by_their_key():
    (check,) = read_declarations(TABLE, "f")
    rows = usage([{}, {"input_tokens": 11}, {"request_model": None}, {"operation": "x", "request_model": "m12"}])
    found = {outcome.kind: outcome for outcome in judge_table(check, rows, NOW_US)}
    assert (found["schema"].checked, found["schema"].failed) == (4, 3)
    assert [(row.what, row.why.split(":")[0]) for row in found["schema"].rows] == [
        ("hash=1", "input_tokens is 11"),
        ("hash=2", "request_model is missing"),
        ("hash=3", "request_model is 'm12'"),
        ("hash=3", "operation is 'x'"),
    ]
    assert "input_tokens > 10" in found["schema"].statement
    assert (found["freshness"].failed, found["completeness"].failed) == (0, 0)
    few = {outcome.kind: outcome.failed for outcome in judge_table(check, usage([]), NOW_US)}
    assert few == {"schema": 0, "freshness": 1, "completeness": 1}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("checks: 1", ["list of `checks`"]),
        ("source: s\nchecks: [{name: A, metric: 'a{', typo: 1, range: {low: x}}]",
         ["small letters", "metric", "typo is unknown", "low must be a number"]),
        ("source: s\nchecks: [{name: a, table: nope, columns: {x: 1}}]", ["must be one of", "must be a mapping"]),
        ("source: s\nchecks: [{name: a, table: usage, columns: {x: {pattern: '('}}}]",
         ["no such column", "no regular"]),
        ("source: s\nchecks: [{name: a, metric: m}, {name: a, metric: n}]", ["given twice"]),
        ("a: [", ["not valid YAML"]),
    ],
)  # fmt: skip
def test_all_faults_of_a_file_are_told_at_once(text, faults):
    with pytest.raises(InputError) as caught:
        read_declarations(text, "f.yaml")
    for fault in faults:
        assert fault in caught.value.message


keys = st.sampled_from(
    ["name", "metric", "table", "range", "columns", "complete", "monotonic", "labels", "window_seconds"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
trees = st.recursive(
    leaves, lambda t: st.lists(t, max_size=3) | st.dictionaries(keys | st.text(max_size=4), t, max_size=5)
)


@profile(deadline=None, max_examples=150)
@given(trees)
def test_no_declaration_crashes_the_reader(tree):
    import yaml

    for document in (
        tree,
        {"source": "s", "checks": [tree]},
        {"source": "s", "checks": [{"name": "a", "metric": "m", "range": tree}]},
    ):
        with contextlib.suppress(InputError):
            read_declarations(yaml.safe_dump(document), "f")
