"""Hypothesis strategies for expressions that parse."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from workbench.query.promql.text import format_duration, quote

METRICS = st.sampled_from(["up", "a:b", "sum", "and", "offset", "start", "by", "fill", "step", "x_total"])
LABELS = st.sampled_from(["job", "le", "sum", "on", "bool", "x1", "offset"])
STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DURATIONS = st.integers(1, 10**9).map(lambda ms: format_duration(ms * 1000))
ARITHMETIC = st.sampled_from(["+", "-", "*", "/", "%", "^", "atan2", "==", "> bool"])
SETS = st.sampled_from(["and", "or", "unless", "and on (job)", "or ignoring ()"])
AGGREGATIONS = st.sampled_from(["sum", "avg", "max", "group", "stddev"])
RANKINGS = st.sampled_from(["topk", "bottomk", "quantile", "limitk"])
OVER_TIME = st.sampled_from(["rate", "sum_over_time", "last_over_time", "irate", "deriv", "changes"])
FUNCTIONS = st.sampled_from(["abs", "ceil", "absent", "timestamp", "sort", "sgn"])


@st.composite
def selectors(draw: st.DrawFn) -> str:
    """`name{…}` or `{"name", …}`."""
    quoted = draw(st.booleans())
    name = quote(draw(STRINGS.filter(bool))) if quoted else draw(METRICS)
    label = st.one_of(LABELS, STRINGS.filter(lambda text: text != "__name__").map(quote))
    matchers = draw(st.lists(st.tuples(label, st.sampled_from(["=", "!="]), STRINGS.map(quote)), max_size=3))
    body = ["".join(matcher) for matcher in matchers]
    return "{" + ", ".join([name, *body]) + "}" if quoted else name + "{" + ",".join(body) + "}"


@st.composite
def modified(draw: st.DrawFn, inner: str) -> str:
    """With or without `offset` and `@`."""
    text = inner
    if draw(st.booleans()):
        text += f" offset {draw(st.sampled_from(['', '-']))}{draw(DURATIONS)}"
    if draw(st.booleans()):
        text += draw(st.sampled_from([" @ 1.5", " @ -3", " @ start()", " @ end()", " @ 1_000"]))
    return text


def vectors(
    selector: st.SearchStrategy[str],
    modify: Callable[[str], st.SearchStrategy[str]],
    durations: st.SearchStrategy[str],
) -> st.SearchStrategy[str]:
    """Expressions of type instant vector over such selectors, with modifiers, and ranges."""
    found: st.SearchStrategy[str] = st.deferred(lambda: st.one_of(leaves, inner))
    ranges = st.one_of(
        st.tuples(selector, durations).map(lambda of: f"{of[0]}[{of[1]}]"),
        st.tuples(found, durations, durations).map(lambda of: f"({of[0]})[{of[1]}:{of[2]}]"),
    ).flatmap(modify)
    leaves = st.one_of(selector.flatmap(modify), st.tuples(OVER_TIME, ranges).map(lambda of: f"{of[0]}({of[1]})"))
    labels = st.lists(LABELS, max_size=2).map(", ".join)
    inner = st.one_of(
        st.tuples(AGGREGATIONS, st.sampled_from(["by", "without"]), labels, found).map(
            lambda of: f"{of[0]} {of[1]} ({of[2]}) ({of[3]})"
        ),
        st.tuples(RANKINGS, SCALARS, found).map(lambda of: f"{of[0]}({of[1]}, {of[2]})"),
        st.tuples(FUNCTIONS, found).map(lambda of: f"{of[0]}({of[1]})"),
        st.tuples(found, ARITHMETIC, found).map(" ".join),
        st.tuples(found, SETS, found).map(" ".join),
        st.tuples(found, LABELS, found).map(lambda of: f"{of[0]} / on ({of[1]}) group_left (z) {of[2]}"),
        st.tuples(SCALARS, found).map(lambda of: f"({of[0]} - {of[1]})"),
        found.map(lambda of: f"-{of}"),
        found.map(lambda of: f"({of})"),
    )
    return found


SCALARS: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.floats(width=32).map(lambda value: repr(float(value)).replace("inf", "Inf").replace("nan", "NaN")),
        st.sampled_from(["0x1f", "1_000", "5m", "017", "Inf", "time()", "pi()", "scalar(up)"]),
        st.tuples(SCALARS, st.sampled_from(["+", "-", "*", "^", "== bool"]), SCALARS).map(" ".join),
    )
)

VECTORS = vectors(selectors(), modified, DURATIONS)
EXPRESSIONS = st.one_of(VECTORS, SCALARS)
JUNK = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [*"(){}[],+-*/^%=!~<>@:.#'\"`\\ \n", *"a5m_", "sum", "by", "rate", "offset", "1e", "0x", "bool", "on",
             "group_left", "start()", "=~"]
        ),
        max_size=40,
    ).map("".join),
)  # fmt: skip
"""Text that mostly does not parse."""
