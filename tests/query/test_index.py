"""Matchers find the rows that a look at every row would find."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.arrays import ArrayView
from workbench.query import Matcher, label_index
from workbench.store import Identity

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y", "xy", "x\ny"]), max_size=3)
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["a", "b", "c", "d", "__name__"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "x", "x.*", "x|y", ".+", ".*", "m", "(?i)X", "x.y"]),
)


def meets(labels: dict[str, str], matcher: Matcher) -> bool:
    value = labels.get(matcher.label, "")
    found = (
        value == matcher.value
        if "~" not in matcher.operator
        else re.fullmatch(matcher.value, value, re.DOTALL) is not None
    )
    return found != matcher.negative


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["m", "n"]), LABELS), max_size=12), st.lists(MATCHERS, max_size=3))
def test_select_finds_what_a_scan_finds(series, matchers):
    view = ArrayView()
    for name, labels in series:
        view.metric(name, labels, [0], [0])
    index = label_index(view)
    expected = [number for number, row in enumerate(index.rows) if all(meets(dict(row.labels), m) for m in matchers)]
    assert index.select(matchers).tolist() == expected


def test_it_learns_what_is_registered_later():
    view = ArrayView()
    view.metric("m", {"a": "1"}, [0], [0])
    index = label_index(view)
    assert index.names() == ["m"]
    view.metric("n", {"a": "2"}, [0], [0])
    assert label_index(view) is index
    assert index.names() == ["m", "n"]
    assert index.values("a") == ["1", "2"]
    assert index.labels() == ["__name__", "a"]


def test_a_question_asked_again_finds_what_came_in_between():
    view = ArrayView()
    view.metric("m", {"a": "1"}, [0], [0])
    wanted = [Matcher("a", "=~", ".+"), Matcher("a", "!=", "3")]
    assert label_index(view).select(wanted).tolist() == [0]
    assert label_index(view).select(wanted).tolist() == [0]
    for value in "23":
        view.metric("m", {"a": value}, [0], [0])
    assert label_index(view).select(wanted).tolist() == [0, 1]
    for value in range(300):  # more than are remembered
        assert len(label_index(view).select([Matcher("a", "=", str(value))])) == (value in (1, 2, 3))
    assert label_index(view).select(wanted).tolist() == [0, 1]


def test_series_that_are_logged_again_stay_one():
    view = ArrayView()
    number = view.metric("m", {}, [0], [0])
    label_index(view)
    from dataclasses import replace

    view.registry.add([replace(view.registry.get(number), source="token:1")])
    assert [row.ids for row in label_index(view).rows] == [[number]]


def test_series_with_the_same_translation_share_a_row():
    view = ArrayView()
    resource = (("service.name", "s"),)
    for scope_unit in ("", "{x}"):
        view.put(Identity("otel", "m", "gauge", scope_unit, "", resource, ()), [0], [0])
    assert [row.ids for row in label_index(view).rows] == [[1, 2]]


def test_metadata_is_found_by_the_name_of_the_family_and_of_its_parts():
    view = ArrayView()
    for part in ("bucket", "sum", "count"):
        view.put(Identity("otel", "d", "histogram", "s", "", (), (), part, 1.0), [0], [0], "how long")
    view.put(Identity("otel", "c", "counter", "By", "", (), ()), [0], [0], "how much")
    index = label_index(view)
    assert index.families() == ["c_bytes_total", "d_seconds"]
    assert index.metadata("d_seconds_bucket") == index.metadata("d_seconds") == ("histogram", "s", "how long")
    assert index.metadata("c_bytes_total") == ("counter", "By", "how much")
    with pytest.raises(KeyError):
        index.metadata("nothing")


def test_a_pattern_that_backtracks_elsewhere_is_answered():
    values = ["a" * 5000 + "!"]
    assert not Matcher("x", "=~", "(a+)+b").matches(values).any()
    assert np.array_equal(Matcher("x", "!~", "(a|aa)+$").matches(values), [True])
