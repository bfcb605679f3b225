"""A limited view answers as if what it hides had never been sent, through every exit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.arrays import SECOND, ArrayView
from tests.query.grammar import VECTORS
from workbench import config
from workbench.errors import Forbidden, InputError
from workbench.query import (
    Condition,
    Matcher,
    contains,
    label_index,
    limited,
    matchers_text,
    parse_matchers,
    prometheus_response,
    select,
    sql,
)
from workbench.store import Identity

NOW_S = 1_700_000_000
ENDPOINTS = [
    "query_exemplars",
    "query",
    "query_range",
    "series",
    "labels",
    "label/job/values",
    "label/__name__/values",
    "metadata",
]
TEXTS = st.sampled_from(["", "a", "b", "ab", "1"])
LABELS = st.sampled_from(["job", "le", "sum", "on", "x1"])
MATCHERS = st.builds(
    Matcher, st.one_of(LABELS, st.just("__name__")), st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "a", "b", "a|b", ".+", "a.*", "up"]),
)  # fmt: skip
SERIES = st.tuples(
    st.sampled_from(["up", "sum", "by", "x_total"]),
    st.dictionaries(LABELS, TEXTS, max_size=4),
    st.sampled_from(["gauge", "counter", "unknown"]),
)
EXPRESSIONS = st.one_of(
    VECTORS,
    st.sampled_from(
        ['{__name__=~".+"}', 'count({__name__=~".+"})', "absent(up)", 'absent(sum{job="b"})', "up or sum or by",
         'count by (job) ({__name__=~".*"})', 'topk(2, {job!="x"})', 'max_over_time({job=~"a|b"}[5m])',
         'absent_over_time(x_total[5m])', "sum(up) by (le)", 'group({x1=""}) without (job)', "up unless on (job) sum"]
    ),
)  # fmt: skip


def view_of(series) -> ArrayView:
    view = ArrayView()
    for number, (name, labels, type_), value in series:
        identity = Identity("prometheus", name, type_, "", "", (), tuple(sorted(labels.items())))
        made = view.put(
            identity, [NOW_S * SECOND - 5 * SECOND, NOW_S * SECOND], [value, value + 1], f"help of {number}"
        )
        view.exemplar(made, NOW_S - 5, value, number=str(number))
    return view


def answers(view, expr: str) -> list[tuple[int, bytes]]:
    parameters = [("query", expr), ("start", str(NOW_S - 30)), ("end", str(NOW_S)), ("step", "15"), ("limit", "50")]
    return [
        prometheus_response(view, endpoint, [*parameters, *more], now_us=NOW_S * SECOND, limits=config.Query())
        for endpoint in ENDPOINTS
        for more in ([], [("match[]", '{__name__=~".+"}')])
    ]


@settings(deadline=None, max_examples=150)
@given(st.lists(SERIES, max_size=8), st.lists(MATCHERS, min_size=1, max_size=3), EXPRESSIONS)
def test_what_is_hidden_is_as_if_it_had_never_been_sent(series, matchers, expr):
    numbered = [(number, one, float(number * 1000)) for number, one in enumerate(series)]
    condition = Condition(matchers)
    shown = [one for one in numbered if condition.shows({"__name__": one[1][0], **one[1][1]})]
    assert answers(limited(view_of(numbered), matchers), expr) == answers(view_of(shown), expr)


STATEMENTS = [
    "SELECT metric, job, value, labels FROM measurements ORDER BY ALL",
    "SELECT count(*), sum(value), max(time) FROM measurements WHERE metric = 'up'",
    "SELECT * FROM metrics ORDER BY metric",
    "SELECT job, avg(value) FROM measurements GROUP BY job ORDER BY job",
]


@settings(deadline=None, max_examples=25)
@given(st.lists(SERIES, max_size=6), st.lists(MATCHERS, min_size=1, max_size=2), st.sampled_from(STATEMENTS))
def test_sql_sees_no_more(series, matchers, statement):
    numbered = [(number, one, float(number * 1000)) for number, one in enumerate(series)]
    shown = [one for one in numbered if Condition(matchers).shows({"__name__": one[1][0], **one[1][1]})]
    limited_answer = sql(limited(view_of(numbered), matchers), statement, now_us=NOW_S * SECOND)
    assert limited_answer.to_pylist() == sql(view_of(shown), statement, now_us=NOW_S * SECOND).to_pylist()


@given(st.lists(MATCHERS, max_size=3))
def test_matchers_read_back(matchers):
    text = matchers_text(matchers)
    assert set(parse_matchers(text)) == set(matchers)


@pytest.mark.parametrize(
    "text", ["", "up", 'up{job="a"}', '{job="a"}[5m]', '{job="a"} offset 1m', '{job="a"', '{job=~"("}', '{a="b"} or x']
)
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(InputError):
        parse_matchers(text)


@settings(deadline=None, max_examples=200)
@given(st.lists(MATCHERS, max_size=2), st.lists(MATCHERS, max_size=2), st.lists(SERIES, max_size=8))
def test_who_contains_rows_sees_them_all(wide, narrow, series):
    if contains(wide, narrow):
        for name, labels, _ in series:
            found = {"__name__": name, **labels}
            assert Condition(wide).shows(found) or not Condition(narrow).shows(found)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("{}", '{a="1"}', True),
        ('{a="1"}', "{}", False),
        ('{a=~"1|2"}', '{a="2", b="x"}', True),
        ('{a=~"1|2|3"}', '{a=~"1|3"}', True),
        ('{a=~"1|2"}', '{a=~"1|3"}', False),
        ('{a!="1"}', '{a="2"}', True),
        ('{a=~".+"}', '{a=~"x.*"}', False),  # true, but regular expressions are not compared
    ],
)
def test_containing(wide, narrow, expected):
    assert contains(parse_matchers(wide), parse_matchers(narrow)) is expected


@pytest.fixture
def targets() -> ArrayView:
    """Two OpenTelemetry targets; `target_info` has labels that the series have not."""
    view = ArrayView()
    for number, host in enumerate(("alpha", "beta")):
        resource = (("os.type", host), ("service.instance.id", host), ("service.name", "s"))
        identity = Identity("otel", "queue.length", "gauge", "", "", resource, (("domain", host),))
        view.put(identity, [NOW_S * SECOND], [40.0 + number])
    return view


def names(view, expr: str) -> set[str]:
    _, body = prometheus_response(view, "query", [("query", expr)], now_us=NOW_S * SECOND, limits=config.Query())
    return {one["metric"].get("__name__", "") for one in json.loads(body)["data"]["result"]}


def test_target_info_is_shown_with_its_series(targets):
    for matchers in ('{domain="alpha"}', '{instance="alpha"}'):
        view = limited(targets, parse_matchers(matchers))
        assert names(view, '{__name__=~".+"}') == {"queue_length", "target_info"}
        assert label_index(view).values("os_type") == ["alpha"]
    # A label that only `target_info` has is none of the series' own.
    assert names(limited(targets, parse_matchers('{os_type="alpha"}')), '{__name__=~".+"}') == set()


def test_hidden_series_are_empty_and_new_ones_are_followed(targets):
    view = limited(targets, parse_matchers('{domain="alpha"}'))
    found = view.samples(np.array([2, 1]), 0, 2**62)
    assert (found.ids.tolist(), found.offsets.tolist(), found.values.tolist()) == ([1, 2], [0, 1, 1], [40.0])
    assert len(view.registry) == 1
    with pytest.raises(KeyError):
        view.registry.get(2)
    identity = Identity("otel", "queue.length", "gauge", "", "", (), (("domain", "alpha"), ("node", "x")))
    targets.put(identity, [NOW_S * SECOND], [50.0])
    assert select(view, "queue_length", 0, 2**62).to_pandas()["value"].tolist() == [40.0, 50.0]


def test_limits_add_up_and_nothing_is_no_limit(targets):
    once = limited(targets, parse_matchers('{domain=~"alpha|beta"}'))
    twice = limited(once, parse_matchers('{domain!="alpha"}'))
    assert select(twice, "queue_length", 0, 2**62).to_pandas()["value"].tolist() == [41.0]
    assert limited(targets, ()) is targets


def test_files_are_refused(targets):
    with pytest.raises(Forbidden):
        limited(targets, parse_matchers('{domain="alpha"}')).files("samples")
