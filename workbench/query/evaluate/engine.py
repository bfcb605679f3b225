"""Expression + view + times -> result. Each node is evaluated once, for all steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import Counter

from workbench import config
from workbench.errors import QueryError, QueryLimit
from workbench.query.evaluate import aggregate, binary, functions, info, labels, overtime, selectors
from workbench.query.evaluate.annotations import INFO, WARNING
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.limits import never, query_budget
from workbench.query.evaluate.native.counting import counting_selectors
from workbench.query.evaluate.values import Scalar, Vector
from workbench.query.histograms.grid import Grid
from workbench.query.index import label_index
from workbench.query.promql import Node, nodes, parse
from workbench.query.promql.text import is_text
from workbench.query.result import Result
from workbench.query.samples import Loaded

if TYPE_CHECKING:
    from workbench.store import HistogramSamples, View

_DEFAULT = config.Query()
_SHORT = 4096
_EVALUATIONS = Counter("workbench_query_evaluations", "Expressions evaluated, by kind of query.", ["kind"])
_SAMPLES = Counter("workbench_query_samples", "Samples read or made by evaluations.")


def instant(
    view: View,
    expr: str | Node,
    time_us: int,
    *,
    limits: config.Query = _DEFAULT,
    canceled: Callable[[], bool] = never,
) -> Result:
    """Evaluate an expression at one time (int64 us since 1970).

    The kind of the result is that of the expression. `canceled` is asked now and then whether nobody waits for the
    answer any more. Raises QuerySyntaxError, NotEvaluated, QueryLimit, QueryCanceled, QueryError.
    """
    node = _parsed(expr) if isinstance(expr, str) else expr
    context = _context(view, node, np.array([time_us], np.int64), 0, limits, (time_us, time_us), canceled)
    _EVALUATIONS.labels("instant").inc()
    bare = _bare(node)
    if (text := _text(bare)) is not None:
        return Result.of_text(text, context.times_us, view.lake_version)
    if isinstance(bare, (nodes.Range, nodes.Subquery)):
        return _said(_matrix(*selectors.samples_of(context, bare), view.lake_version), context, expr)
    return _said(_result(_evaluate(context, node), context, "vector"), context, expr)


def range_query(
    view: View,
    expr: str | Node,
    start_us: int,
    end_us: int,
    step_us: int,
    *,
    limits: config.Query = _DEFAULT,
    canceled: Callable[[], bool] = never,
) -> Result:
    """Evaluate an expression at start, start + step, … up to the end (all int64 us); the result is a matrix.

    Raises QuerySyntaxError, NotEvaluated, QueryLimit, QueryCanceled, QueryError.
    """
    node = _parsed(expr) if isinstance(expr, str) else expr
    if step_us <= 0:
        raise QueryError("zero or negative query resolution step widths are not accepted", hint="Try a positive step.")
    if end_us < start_us:
        raise QueryError("end timestamp must not be before start time")
    if (end_us - start_us) // step_us + 1 > limits.max_steps:
        raise QueryLimit(
            f"exceeded maximum resolution of {limits.max_steps:,} points per timeseries", hint="Take a longer step."
        )
    if node.type not in (nodes.SCALAR, nodes.VECTOR):
        found = nodes.DOCUMENTED_TYPES[node.type]
        raise QueryError(f'invalid expression type "{found}" for range query, must be Scalar or instant Vector')
    _EVALUATIONS.labels("range").inc()
    times_us = np.arange(start_us, end_us + 1, step_us, dtype=np.int64)
    context = _context(view, node, times_us, step_us, limits, (start_us, end_us), canceled)
    return _said(_result(_evaluate(context, node), context, "matrix"), context, expr)


def _parsed(expr: str) -> Node:
    return _remembered(expr) if len(expr) <= _SHORT else parse(expr)


# Dashboards ask the same again and again: a tenth of a short answer's time. Nodes never change.
_remembered = lru_cache(maxsize=512)(parse)


def _context(
    view: View,
    node: Node,
    times_us: np.ndarray,
    step_us: int,
    limits: config.Query,
    edges_us: tuple[int, int],
    canceled: Callable[[], bool],
) -> Context:
    budget = query_budget(limits, canceled)
    counting = counting_selectors(node)
    return Context(view, label_index(view), limits, times_us, edges_us, step_us, _evaluate, budget, counting)


def _evaluate(context: Context, node: Node) -> Scalar | Vector:
    context.check_time()
    match node:
        case nodes.Number():
            return Scalar(np.full(len(context.times_us), node.value))
        case nodes.Paren():
            return _evaluate(context, node.expr)
        case nodes.Unary():
            return _negated(_evaluate(context, node.expr), node.operator)
        case nodes.Selector():
            return selectors.instant_selector(context, node)
        case nodes.Binary():
            return binary.binary(context, node, _evaluate(context, node.left), _evaluate(context, node.right))
        case nodes.Aggregation():
            return _aggregation(context, node)
        case nodes.Call():
            return _call(context, node)
    raise not_evaluated(f"a {node.type} here", node)


def _aggregation(context: Context, node: nodes.Aggregation) -> Vector:
    vector = _evaluate(context, node.expr)
    assert isinstance(vector, Vector)
    parameter: np.ndarray | str | None = None
    if node.parameter is not None:
        parameter = _text(node.parameter, "label name")
        if parameter is None:
            parameter = _evaluate(context, node.parameter).values
    return aggregate.aggregate(context, node, vector, parameter)


def _call(context: Context, node: nodes.Call) -> Scalar | Vector:
    first = _bare(node.args[0]) if node.args else None
    if node.function == "timestamp" and isinstance(first, nodes.Selector):
        return selectors.timestamps(context, first).without_name()
    if node.function == "start_timestamp" and isinstance(first, nodes.Selector):
        return selectors.start_timestamps(context, first).without_name()
    if node.function == "info":
        return info.info(context, node)
    ranges = [arg for arg in node.args if arg.type == nodes.MATRIX]
    if ranges:
        found = [_evaluate(context, arg) for arg in node.args if arg.type == nodes.SCALAR]
        vector = overtime.call(context, node, _bare(ranges[0]), [scalar.values for scalar in found])
        return labels.absent(ranges[0], vector.there) if node.function == "absent_over_time" else vector
    args: list[functions.Argument] = []
    for arg in node.args:
        text = _text(arg)
        args.append(_evaluate(context, arg) if text is None else text)
    return functions.call(context, node, args)


def _bare(node: Node) -> Node:
    while isinstance(node, nodes.Paren):
        node = node.expr
    return node


def _text(node: Node, what: str = "string") -> str | None:
    """The text of a string literal, None for another node. Raises QueryError where its bytes make no text."""
    bare = _bare(node)
    if not isinstance(bare, nodes.Text):
        return None
    if not is_text(bare.value):
        raise QueryError(f"invalid {what} {bare}")
    return bare.value


def _negated(value: Scalar | Vector, operator: str) -> Scalar | Vector:
    if operator == "+":
        return value
    if isinstance(value, Scalar):
        return Scalar(-value.values)
    native = None if value.native is None else value.native.negated()
    return value.with_values(-value.values).with_native(native).without_name()


def _said(result: Result, context: Context, expr: str | Node) -> Result:
    """With what the evaluation had to say."""
    text = expr if isinstance(expr, str) else str(expr)
    warnings, infos = (context.notes.texts(kind, text) for kind in (WARNING, INFO))
    return replace(result, warnings=warnings, infos=infos, samples=context.budget.spent)


def _result(value: Scalar | Vector, context: Context, kind: str) -> Result:
    version = context.view.lake_version
    _SAMPLES.inc(context.budget.spent)
    if isinstance(value, Scalar):
        present = np.ones((1, len(context.times_us)), bool)
        kind = "scalar" if kind == "vector" else kind
        return Result(kind, [{}], context.times_us, value.values[None, :], present, version)
    value = value.finished()
    there = value.there.any(axis=1)
    rows = np.flatnonzero(there).tolist()
    if kind == "matrix":
        rows = sorted(rows, key=lambda row: value.labels[row])
    series = [dict(value.labels[row]) for row in rows]
    native = None if value.native is None else value.native.take(rows)
    return Result(kind, series, context.times_us, value.values[rows], value.present[rows], version, native=native)


def _matrix(loaded: Loaded, unnamed: np.ndarray | None, lake_version: str) -> Result:
    counts = np.diff(loaded.offsets)
    times = np.unique(loaded.times_us)
    if loaded.native is not None:
        counts = counts + np.diff(loaded.native.offsets)
        times = np.union1d(times, loaded.native.times_us)
    rows = np.flatnonzero(counts).tolist()
    values, present = np.zeros((len(rows), len(times))), np.zeros((len(rows), len(times)), bool)
    for place, row in enumerate(rows):
        part = slice(loaded.offsets[row], loaded.offsets[row + 1])
        columns = np.searchsorted(times, loaded.times_us[part])
        values[place, columns] = loaded.values[part]
        present[place, columns] = True
    unnamed = None if unnamed is None else unnamed[rows]
    native = None if loaded.native is None else _native_at(loaded.native, rows, times)
    vector = Vector([loaded.labels[row] for row in rows], values, present, unnamed, native).finished()
    series = [dict(one) for one in vector.labels]
    return Result("matrix", series, times, vector.values, vector.present, lake_version, native=vector.native)


def _native_at(samples: HistogramSamples, rows: list[int], times: np.ndarray) -> Grid:
    which = np.full((len(rows), len(times)), -1, np.int64)
    for place, row in enumerate(rows):
        part = np.arange(samples.offsets[row], samples.offsets[row + 1])
        which[place, np.searchsorted(times, samples.times_us[part])] = part
    return Grid(which, samples.histograms)
