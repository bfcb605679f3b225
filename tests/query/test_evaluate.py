"""What the scripts cannot say: limits, refusals by name, OpenTelemetry series, large inputs against plain numpy."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.promqltest.series import STALE
from tests.query.arrays import SECOND, ArrayView
from tests.query.grammar import vectors
from workbench import config
from workbench.errors import QueryError, QueryLimit, QuerySyntaxError
from workbench.query import instant, parse, range_query
from workbench.query.evaluate.functions import VECTOR_FUNCTIONS
from workbench.query.evaluate.overtime import RANGE_FUNCTIONS
from workbench.query.promql import FUNCTIONS
from workbench.store import Identity

SAMPLE_ARGS = {"scalar": "1", "vector": "m", "matrix": "m[5m]", "string": '"s"'}


@pytest.fixture
def view():
    view = ArrayView()
    view.metric("m", {"a": "1"}, range(0, 600, 10), range(60))
    view.metric("m", {"a": "2"}, range(0, 600, 10), range(60))
    return view


def ask(view, expr, at_s=600, **limits):
    return instant(view, expr, at_s * SECOND, limits=config.Query(**limits))


def test_every_function_is_evaluated():
    assert set(FUNCTIONS) == VECTOR_FUNCTIONS | RANGE_FUNCTIONS


@pytest.mark.parametrize("name", sorted(VECTOR_FUNCTIONS | RANGE_FUNCTIONS))
def test_functions_that_are_said_to_be_there_answer(view, name):
    assert name in FUNCTIONS
    args = [SAMPLE_ARGS[kind] for kind in FUNCTIONS[name].args]
    if name == "info":
        args[1] = '{a="b"}'
    if name == "double_exponential_smoothing":
        args[1:] = ["0.5", "0.5"]
    if name == "label_replace":
        args[1:] = ['"b"', '"$1"', '"a"', '"(.*)"']
    expr = f"{name}({', '.join(args)})"
    ask(view, expr)
    range_query(view, expr, 0, 600 * SECOND, 60 * SECOND)


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("sum_over_time(m[5m] smoothed)", "smoothed modifier can only be used with: delta, increase, rate - not with"),
        ("irate(m[5m] anchored)", "anchored modifier can only be used with: changes, delta, increase, rate, resets"),
        ("topk(NaN, m)", "Parameter value is NaN"),
        ("limit_ratio(NaN, m)", "Ratio value is NaN"),
        ("double_exponential_smoothing(m[5m], 0.5, 1)", "invalid trend factor. Expected: 0 < tf < 1, got: 1.000000"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_prometheus_words(view, expr, message):
    with pytest.raises(QueryError, match=re.escape(message)):
        ask(view, expr)


def test_an_answer_says_what_may_surprise_and_where(view):
    assert ask(view, "1 +\n  rate(m[5m])").infos == (
        'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "m" (2:8)',
    )
    assert ask(view, "quantile(1.5, m)").warnings == (
        "PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:10)",
    )
    assert range_query(view, "sort(m)", 0, 60 * SECOND, 30 * SECOND).warnings
    assert ask(view, "sort(m)").warnings == ask(view, "sort(m)").infos == ()


def test_limits(view):
    with pytest.raises(QueryLimit, match="too many samples"):
        ask(view, "sum_over_time(m[10m])", max_samples=100)
    with pytest.raises(QueryLimit, match="too many samples"):
        range_query(view, "m", 0, 600 * SECOND, SECOND, limits=config.Query(max_samples=1_000))
    with pytest.raises(QueryLimit, match="11 points"):
        range_query(view, "m", 0, 600 * SECOND, SECOND, limits=config.Query(max_steps=11))
    with pytest.raises(QueryLimit, match="too many samples"):
        ask(view, "sum_over_time(m[10y:1ms])")
    with pytest.raises(QueryLimit, match="timed out"):
        ask(view, "m", timeout_seconds=0)
    assert len(range_query(view, "m", 0, 10 * SECOND, SECOND, limits=config.Query(max_steps=11))) == 2


def test_what_could_exceed_the_limit_by_far_is_read_in_steps():
    view = ArrayView()
    for number in range(50):
        view.metric("m", {"n": str(number)}, range(0, 10_000, 100), range(100))
    read: list[int] = []
    whole = view.samples

    def samples(ids, *range_us):
        found = whole(ids, *range_us)
        read.append(len(found.times_us))
        return found

    view.samples = samples
    result = ask(view, "sum_over_time(m[3h])", at_s=10_000, max_samples=6_000)
    assert result.values.tolist() == [[4950]] * 50
    assert [labels["n"] for labels in result.labels] == [str(number) for number in range(50)]
    assert sum(read) == 5_000
    assert 1 < len(read) < 20
    read.clear()
    with pytest.raises(QueryLimit, match="too many samples"):
        ask(view, "sum_over_time(m[3h])", at_s=10_000, max_samples=1_000)
    assert sum(read) <= 2_000


def test_bad_ranges_are_refused(view):
    with pytest.raises(QueryError, match="zero or negative"):
        range_query(view, "m", 0, 10, 0)
    with pytest.raises(QueryError, match="end timestamp"):
        range_query(view, "m", 10, 0, 1)
    with pytest.raises(QueryError, match="invalid expression type"):
        range_query(view, "m[5m]", 0, 10, 1)
    with pytest.raises(QuerySyntaxError):
        range_query(view, "m[", 0, 10, 1)
    with pytest.raises(QueryError, match="greater than 0"):
        ask(view, "rate(m[5m - 10m])")
    for duration in ("5m ^ 100", "(-2) ^ 0.5", "5m / 0", "5m % 0", "10 ^ 30"):
        with pytest.raises(QueryError, match="out of range"):
            ask(view, f"rate(m[{duration}])")
        with pytest.raises(QueryError, match="out of range"):
            ask(view, f"m offset ({duration})")
    with pytest.raises(QuerySyntaxError, match="out of bounds"):
        ask(view, "m @ 1e13")
    for expr in ('count_values("", m)', 'label_replace(m, "", "x", "a", ".*")', 'label_join(m, "", "-", "a")'):
        with pytest.raises(QueryError, match="label name"):
            ask(view, expr)
    assert ask(view, 'label_replace(m, "a.b", "$1", "a", "(.*)")').labels[0]["a.b"] == "1"


def test_the_lookback_is_a_setting(view):
    assert len(ask(view, "m", at_s=700, lookback_seconds=60)) == 0
    assert len(ask(view, "m", at_s=640, lookback_seconds=60)) == 2


def test_durations_are_computed(view):
    result = range_query(view, "count_over_time(m[step() * 2])", 300 * SECOND, 360 * SECOND, 30 * SECOND)
    assert result.values.tolist() == [[6, 6, 6]] * 2
    assert ask(view, "count_over_time(m[min_of(1m, 5m) + 10])").values.tolist() == [[6], [6]]


RESOURCE = (("os.type", "linux"), ("service.instance.id", "1"), ("service.name", "api"), ("service.version", "2"))


def otel(name, type_="gauge", attributes=(), part="", bound=None, resource=RESOURCE):
    return Identity("otel", name, type_, "s", "cumulative", resource, tuple(attributes), part, bound)


def test_opentelemetry_series_are_asked_by_their_prometheus_names():
    view = ArrayView()
    view.put(otel("cpu.time", "counter", [("cpu.mode", "user")]), [0, 60 * SECOND], [10, 40])
    found = ask(view, 'delta(cpu_time_seconds_total{cpu_mode="user"}[2m])', 60)
    assert found.labels == [{"cpu_mode": "user", "instance": "1", "job": "api", "service_version": "2"}]
    assert found.values[0, 0] == 60
    assert ask(view, 'rate(cpu_time_seconds_total{cpu_mode="user"}[1m])', 60).labels == []


def test_target_info_is_1_wherever_its_resource_has_samples():
    view = ArrayView()
    view.put(otel("a"), [0, 10 * SECOND], [5, 6])
    view.put(otel("b"), [400 * SECOND], [7])
    view.put(otel("b", resource=(("service.name", "other"),)), [0], [7])
    labels = {"__name__": "target_info", "instance": "1", "job": "api", "os_type": "linux", "service_version": "2"}
    result = range_query(view, "target_info", 0, 800 * SECOND, 200 * SECOND)
    assert result.labels == [labels]
    assert result.present.tolist() == [[True, True, True, True, False]]
    assert set(result.values[result.present]) == {1.0}
    joined = ask(view, "b_seconds * on (job, instance) group_left (os_type) target_info", 400)
    assert joined.labels == [{"instance": "1", "job": "api", "os_type": "linux", "service_version": "2"}]


def test_classic_histograms_are_asked_by_their_parts():
    view = ArrayView()
    for bound, count in ((0.1, 1.0), (1.0, 3.0), (math.inf, 4.0)):
        view.put(otel("d", "histogram", part="bucket", bound=bound), [0], [count])
    view.put(otel("d", "histogram", part="count"), [0], [4])
    view.put(otel("d", "histogram", part="sum"), [0], [2.5])
    assert [labels["le"] for labels in ask(view, "d_seconds_bucket", 0).labels] == ["0.1", "1", "+Inf"]
    assert ask(view, "histogram_quantile(0.5, d_seconds_bucket)", 0).values[0, 0] == pytest.approx(0.55)
    assert ask(view, "d_seconds_sum / d_seconds_count", 0).values[0, 0] == 0.625


def test_series_with_the_same_translation_are_one_and_the_higher_id_wins_a_tie():
    view = ArrayView()
    view.put(Identity("otel", "m", "gauge", "{a}", "", (), ()), [0, 10 * SECOND], [1, 2])
    view.put(Identity("otel", "m", "gauge", "{b}", "", (), ()), [10 * SECOND, 20 * SECOND], [30, 40])
    result = range_query(view, "m", 0, 20 * SECOND, 10 * SECOND)
    assert result.labels == [{"__name__": "m"}]
    assert result.values.tolist() == [[1, 30, 40]]
    assert ask(view, "count_over_time(m[1m])", 20).values.tolist() == [[3]]


def test_a_string_and_a_scalar_keep_their_kind(view):
    assert ask(view, '("x")').text == "x"
    assert ask(view, "1 + 2").kind == "scalar"
    result = range_query(view, "1 + 2", 0, 10 * SECOND, 10 * SECOND)
    assert (result.kind, result.labels, result.values.tolist()) == ("matrix", [{}], [[3, 3]])


def test_the_lake_version_is_told(view):
    assert ask(view, "m").lake_version == "m1"


SMALL = vectors(
    st.sampled_from(["up", "up{job='a'}", "x_total", '{job=~".+"}']),
    lambda text: st.sampled_from([text, text, f"{text} offset 20s", f"{text} @ 30", f"{text} @ end() offset 5s"]),
    st.sampled_from(
        ["10s", "30s", "25s", "1m", "2 * (10 + 5)", "min_of(1m, 35s)", "(-2) ^ 0.5", "10 ^ 30", "5 % 0", "-1 + 2"]
    ),
)
VALUES = st.sampled_from([0.0, 1.0, -2.5, math.nan, math.inf, STALE])
POINTS = st.lists(st.tuples(st.integers(0, 90), VALUES), max_size=9)


@settings(max_examples=60, deadline=None)
@given(SMALL, st.lists(POINTS, min_size=4, max_size=4))
def test_a_range_query_is_its_instant_queries_and_only_query_errors_come_out(expr, points):
    view = ArrayView()
    names = [("up", "a"), ("up", "b"), ("x_total", "a"), ("x_total", "b")]
    for (name, job), found in zip(names, points, strict=True):
        ordered = dict(sorted(found))
        view.metric(name, {"job": job, "le": "1"}, list(ordered), list(ordered.values()))
    times = [40 * SECOND, 55 * SECOND, 70 * SECOND]
    limits = config.Query(lookback_seconds=20)
    parse(expr)
    try:
        whole = range_query(view, expr, times[0], times[-1], 15 * SECOND, limits=limits)
    except QueryError:
        return
    for place, time_us in enumerate(times):
        pinned = expr.replace("@ end()", "@ 70")
        single = instant(view, pinned, time_us, limits=limits)
        there = [row for row in range(len(whole)) if whole.present[row, place]]
        expected = {frozenset(whole.labels[row].items()): whole.values[row, place] for row in there}
        pairs = zip(single.labels, single.values[:, 0], strict=True)
        found = {frozenset(labels.items()): value for labels, value in pairs}
        assert found.keys() == expected.keys()
        for labels, value in found.items():
            np.testing.assert_allclose(value, expected[labels], rtol=1e-9, atol=1e-12)


SERIES = st.lists(
    st.tuples(st.integers(0, 60), st.floats(-1e6, 1e6, width=32)), max_size=25, unique_by=lambda point: point[0]
).map(sorted)


@settings(max_examples=60, deadline=None)
@given(st.lists(SERIES, min_size=1, max_size=4), st.integers(1, 30), st.integers(1, 7), st.integers(0, 20))
def test_windows_agree_with_a_plain_look_at_every_sample(series, width, step, start):
    view = ArrayView()
    for number, points in enumerate(series):
        view.metric("m", {"n": str(number)}, [time for time, _ in points], [value for _, value in points])
    reduce = {"sum": math.fsum, "min": min, "max": max, "count": len, "last": lambda values: values[-1], "avg": np.mean}
    steps = range(start, start + 5 * step + 1, step)
    for name, of in reduce.items():
        result = range_query(
            view, f"{name}_over_time(m[{width}s])", steps[0] * SECOND, steps[-1] * SECOND, step * SECOND
        )
        found = {
            (labels["n"], place): result.values[row, place]
            for row, labels in enumerate(result.labels)
            for place in np.flatnonzero(result.present[row])
        }
        expected = {}
        for number, points in enumerate(series):
            for place, end in enumerate(steps):
                inside = [value for time, value in points if end - width < time <= end]
                if inside:
                    expected[(str(number), place)] = of(inside)
        assert found.keys() == expected.keys()
        assert all(math.isclose(found[key], expected[key], rel_tol=1e-9, abs_tol=1e-6) for key in found)
