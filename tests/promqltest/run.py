"""Runs the commands of a script against the evaluator and compares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tests.promqltest.histogram import Histogram, histogram_of
from tests.promqltest.own_bounds import with_own_bounds
from tests.promqltest.script import Broken, Clear, Eval, Expectation, Load, read
from tests.promqltest.series import STALE, Value
from tests.query.arrays import SECOND, ArrayView
from workbench import config
from workbench.errors import QueryError
from workbench.query import Result, instant, parse, range_query
from workbench.query.histograms.grid import Grid
from workbench.query.promql import Node, nodes

EPSILON = 1e-6
"""Relative to the sum of both, as the format's own runner compares."""

LIMITS = config.Query(start_times=True)
"""Start times are heeded, as the format's own runner has it."""

# What depends on the time of evaluation even where all selectors are pinned by `@`.
_UNPINNED = frozenset((
    "days_in_month", "day_of_month", "day_of_week", "day_of_year", "end", "hour", "minute", "month", "year",
    "predict_linear", "range", "start", "step", "time", "timestamp",
))  # fmt: skip
_OF_QUERY = re.compile(r"(start|end|range|step)\(\)", re.IGNORECASE)


class Mismatch(Exception):
    """What came is not what the script expects."""


@dataclass(frozen=True)
class Outcome:
    """What became of one `eval`: its line and expression, and why it failed (empty: it passed)."""

    line: int
    expr: str
    failure: str


def run(text: str) -> Iterator[Outcome]:
    """Run a script; one outcome per `eval`, and one per command that cannot be read or loaded."""
    loaded: list[Load] = []
    view = ArrayView()
    for command in read(text):
        match command:
            case Clear():
                loaded, view = [], ArrayView()
            case Load():
                loaded.append(command)
                view = view_of(loaded)
            case Broken():
                yield Outcome(command.line, "", command.reason)
            case Eval():
                try:
                    check(view, command)
                    yield Outcome(command.line, command.expr, "")
                except (Mismatch, QueryError) as error:
                    yield Outcome(command.line, command.expr, str(error))
                except Exception as error:  # a defect of the evaluator fails its case alone
                    yield Outcome(command.line, command.expr, f"{type(error).__name__}: {error}")


def view_of(loads: Iterable[Load]) -> ArrayView:
    """A view that holds what was loaded. Series that are loaded twice have the samples of both."""
    found: dict[tuple[tuple[str, str], ...], dict[int, Value]] = {}
    starts: dict[tuple[tuple[str, str], ...], dict[int, int | None]] = {}
    for load in loads:
        for labels, _, began in load.series:
            known = starts.setdefault(tuple(sorted(labels.items())), {})
            known.update((place * load.step_us, start) for place, start in enumerate(began) if start is not None)
        given = [(labels, values) for labels, values, _ in load.series]
        for labels, values in [*given, *(with_own_bounds(given) if load.with_nhcb else ())]:
            samples = found.setdefault(tuple(sorted(labels.items())), {})
            samples.update((place * load.step_us, value) for place, value in enumerate(values) if value is not None)
    return view_of_series(((dict(labels), sorted(samples.items())) for labels, samples in found.items()), starts)


def view_of_series(
    series: Iterable[tuple[dict[str, str], Sequence[tuple[int, Value]]]],
    starts: Mapping[tuple[tuple[str, str], ...], Mapping[int, int | None]] = MappingProxyType({}),
) -> ArrayView:
    """A view of series, each with its samples (time in us, value) in the order of time; when they began to count."""
    view = ArrayView()
    for labels, samples in series:
        began = starts.get(tuple(sorted(labels.items())), {})
        name = labels.pop("__name__", "")
        floats = [(time, value) for time, value in samples if isinstance(value, float)]
        if floats:
            view.metric(
                name,
                labels,
                [time / SECOND for time, _ in floats],
                [value for _, value in floats],
                starts_us=[began.get(time) for time, _ in floats],
            )
        native = [(time, value.stored()) for time, value in samples if isinstance(value, Histogram)]
        if native:
            view.native(
                name,
                labels,
                [time / SECOND for time, _ in native],
                [value for _, value in native],
                starts_us=[began.get(time) for time, _ in native],
            )
    return view


def check(view: ArrayView, case: Eval) -> None:
    """Evaluate and compare, an instant query also pinned to its time by `@` and as the middle of a range.

    Raises Mismatch, QueryError.
    """
    if case.step_us:
        compare(case, evaluate(view, case, case.expr, case.start_us, case.end_us, case.step_us))
        return
    for expr, time_us in [(case.expr, case.start_us), *pinned(case.expr, case.start_us)]:
        result = evaluate(view, case, expr, time_us)
        compare(case, result, placed=expr == case.expr)
        alone = case.range_vector or case.text is not None or case.expects.keys() & {"ordered", "fail"}
        if alone or result is None or _OF_QUERY.search(expr):
            continue
        minute = 60 * SECOND
        found = range_query(view, expr, time_us - minute, time_us + minute, minute, limits=LIMITS)
        compare(case, _at(found, 1, result.kind), said=False)


def evaluate(view: ArrayView, case: Eval, expr: str, start_us: int, end_us: int = 0, step_us: int = 0) -> Result | None:
    """The result, or None where the case expects a failure and got that one. Raises Mismatch, QueryError."""
    wanted = case.expects.get("fail")
    try:
        if not step_us:
            result = instant(view, expr, start_us, limits=LIMITS)
        else:
            result = range_query(view, expr, start_us, end_us, step_us, limits=LIMITS)
    except QueryError as error:
        if not wanted:
            raise
        if not wanted[0].holds(error.message):
            raise Mismatch(f"fails with other words: {error.message}") from None
        return None
    if wanted:
        raise Mismatch("does not fail")
    return result


def pinned(expr: str, time_us: int) -> list[tuple[str, int]]:
    """The same question with `@` behind every selector, to ask at other times; none where that says something else."""
    node, safe = _pin(parse(expr), time_us)
    if not safe:
        return []
    others = [-10 * time_us, 0, time_us // 5, time_us, 10 * time_us] if time_us else [-SECOND, 0, SECOND]
    return [(str(node), other - other % 1000) for other in others]


def _pin(node: Node, time_us: int) -> tuple[Node, bool]:
    """The tree with all selectors pinned, and whether it then gives the same at all times."""
    match node:
        case nodes.Selector() | nodes.Subquery():
            pins = node.when.at_us is None and not node.when.at_edge
            return (replace(node, when=replace(node.when, at_us=time_us)) if pins else node), True
        case nodes.Range():
            selector, _ = _pin(node.selector, time_us)
            return replace(node, selector=selector), True
        case nodes.Call():
            args = [_pin(arg, time_us) for arg in node.args]
            safe = node.function not in _UNPINNED and all(one for _, one in args)
            return replace(node, args=tuple(arg for arg, _ in args)), safe
        case nodes.Aggregation():
            inner, safe = _pin(node.expr, time_us)
            if node.parameter is None:
                return replace(node, expr=inner), safe
            parameter, also = _pin(node.parameter, time_us)
            return replace(node, expr=inner, parameter=parameter), safe and also
        case nodes.Binary():
            left, safe = _pin(node.left, time_us)
            right, also = _pin(node.right, time_us)
            return replace(node, left=left, right=right), safe and also
        case nodes.Unary() | nodes.Paren():
            inner, safe = _pin(node.expr, time_us)
            return replace(node, expr=inner), safe
    return node, True


def _at(result: Result, column: int, kind: str) -> Result:
    """One step of a range result as the result of an instant query."""
    there = result.present[:, column]
    if result.native is not None:
        there = there | (result.native.which[:, column] >= 0)
    rows = np.flatnonzero(there)
    return replace(
        result,
        kind=kind,
        labels=[result.labels[row] for row in rows.tolist()],
        times_us=result.times_us[column : column + 1],
        values=result.values[rows, column : column + 1],
        present=result.present[rows, column : column + 1],
        native=result.native and Grid(result.native.which[rows, column : column + 1], result.native.held),
    )


def compare(case: Eval, result: Result | None, *, said: bool = True, placed: bool = True) -> None:
    """Hold a result against what is expected, with what was `said` beside it or without. Raises Mismatch.

    `placed`: places that are named are those of the script's own text.
    """
    if result is None:
        return
    if said:
        _compare_annotations(case.expects, result, placed)
    if result.kind == "string":
        if result.text != case.text:
            raise Mismatch(f"the text is {result.text!r}")
    elif result.kind == "scalar":
        if case.scalar is None:
            raise Mismatch(f"a scalar came: {result.values[0, 0]}")
        if not same(float(result.values[0, 0]), case.scalar):
            raise Mismatch(f"{result.values[0, 0]} is not {case.scalar}")
    elif case.scalar is not None:
        raise Mismatch(f"a scalar is expected, a {result.kind} came")
    else:
        _compare_series(case, result)


def _compare_annotations(expects: Mapping[str, Sequence[Expectation]], result: Result, placed: bool) -> None:
    """`placed`: the expression is written as the script has it, so places in it are what the script says."""
    for kind, found in (("warn", result.warnings), ("info", result.infos)):
        if f"no_{kind}" in expects and found:
            raise Mismatch(f"unexpected: {', '.join(found)}")
        wanted = expects.get(kind, [])
        if not wanted:
            continue
        for one in wanted:
            if not any(one.holds(said, placed=placed) for said in found):
                raise Mismatch(f"no {kind} says {one.text or one.pattern or 'anything'}: {list(found)}")
        for said in found:
            if not any(one.holds(said, placed=placed) for one in wanted):
                raise Mismatch(f"unexpected: {said}")


def _compare_series(case: Eval, result: Result) -> None:
    if result.kind == "matrix" and not case.range_vector:
        keys = [sorted(labels.items()) for labels in result.labels]
        if keys != sorted(keys):
            raise Mismatch("the series of a range query are not sorted by labels")
    wanted = {tuple(sorted(labels.items())): (place, values) for place, (labels, values) in enumerate(case.expected)}
    found = {tuple(sorted(labels.items())): row for row, labels in enumerate(result.labels)}
    if missing := wanted.keys() - found.keys():
        raise Mismatch(f"missing: {[dict(one) for one in missing]}; there: {result.labels}")
    if surplus := found.keys() - wanted.keys():
        shown = [(dict(one), _points(result, found[one])) for one in surplus]
        raise Mismatch(f"unexpected: {shown}")
    for labels, (place, values) in wanted.items():
        row = found[labels]
        if "ordered" in case.expects and row != place:
            raise Mismatch(f"{dict(labels)} is at place {row}, not {place}")
        points = _points(result, row)
        expected = {_time(case, step): value for step, value in enumerate(values) if value is not None}
        if result.kind == "vector":
            points = dict.fromkeys((case.start_us,), *points.values())
        if points.keys() != expected.keys() or not all(same(points[time], expected[time]) for time in expected):
            raise Mismatch(f"{dict(labels)}: {points} is not {expected}")


def _time(case: Eval, step: int) -> int:
    if case.range_vector:
        start, _, step_us = case.range_vector
        return start + step * step_us
    return case.start_us + step * case.step_us


def _points(result: Result, row: int) -> dict[int, Any]:
    columns = np.flatnonzero(result.present[row])
    found: dict[int, Value] = {int(result.times_us[column]): float(result.values[row, column]) for column in columns}
    if result.native is not None:
        for column in np.flatnonzero(result.native.which[row] >= 0):
            found[int(result.times_us[column])] = histogram_of(result.native.held, result.native.which[row, column])
    return found


def same(a: Value, b: Value) -> bool:
    """Whether two values are equal but for rounding. NaN equals NaN; a staleness marker only itself."""
    if isinstance(a, Histogram) and isinstance(b, Histogram):
        return a.close_to(b, same)
    if not isinstance(a, float) or not isinstance(b, float):
        return False
    stale = np.float64(STALE).view(np.uint64)
    marks = [np.float64(value).view(np.uint64) == stale for value in (a, b)]
    if any(marks):
        return all(marks)
    if a == b or (np.isnan(a) and np.isnan(b)):
        return True
    if a == 0 or b == 0 or not np.isfinite(a - b):
        return abs(a - b) < EPSILON * np.finfo(float).tiny
    return bool(abs(a - b) / min(abs(a) + abs(b), np.finfo(float).max) < EPSILON)
