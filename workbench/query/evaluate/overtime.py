"""Selectors and functions of range vectors: what reads samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.values import Vector
from workbench.query.promql.nodes import Call, Node, Range, Selector, Subquery
from workbench.query.samples import Loaded, is_stale, read

_REDUCTIONS = {
    "sum_over_time": "SUM", "avg_over_time": "AVG", "min_over_time": "MIN", "max_over_time": "MAX",
    "count_over_time": "COUNT", "last_over_time": "LAST", "first_over_time": "FIRST", "present_over_time": "PRESENT",
    "stddev_over_time": "STDDEV", "stdvar_over_time": "STDVAR", "changes": "CHANGES", "resets": "RESETS",
}  # fmt: skip
_EXTRAPOLATED = {"rate": (True, True), "increase": (True, False), "delta": (False, False)}
DEFAULT_STEP_US = 60_000_000
"""Step of a subquery that names none: Prometheus' default evaluation interval."""

_KEEP_NAME = ("last_over_time", "first_over_time")

RANGE_FUNCTIONS = frozenset(_REDUCTIONS) | frozenset(_EXTRAPOLATED) | {
    "irate", "idelta", "quantile_over_time", "deriv", "predict_linear", "absent_over_time",
}  # fmt: skip
"""Functions of range vectors that are evaluated."""


def instant_selector(context: Context, selector: Selector) -> Vector:
    """The last sample of every series within the look-back, unless it is a staleness marker."""
    loaded, last, present = _last(context, selector)
    if not len(loaded.values):
        return Vector(loaded.labels, np.zeros(present.shape), present)
    return Vector(loaded.labels, np.where(present, loaded.values[last], 0.0), present)


def timestamps(context: Context, selector: Selector) -> Vector:
    """The time of the sample that `instant_selector` finds, in seconds since 1970."""
    loaded, last, present = _last(context, selector)
    if not len(loaded.values):
        return Vector(loaded.labels, np.zeros(present.shape), present)
    return Vector(loaded.labels, np.where(present, loaded.times_us[last] / 1e6, 0.0), present)


def _last(context: Context, selector: Selector) -> tuple[Loaded, np.ndarray, np.ndarray]:
    ends = context.ends_us(selector.when)
    loaded = load(context, selector, ends, context.lookback_us)
    lo, hi = _bounds(context, loaded, ends, context.lookback_us)
    last = np.maximum(hi - 1, 0)
    present = hi > lo
    if len(loaded.values):
        present &= ~is_stale(loaded.values)[last]
    return loaded, last, present


@dataclass(frozen=True)
class Windows:
    """Samples and, for every series and step, the index range of those in (end - width, end]."""

    loaded: Loaded
    ends_us: np.ndarray
    width_us: int
    lo: np.ndarray
    hi: np.ndarray
    unnamed: np.ndarray | None = None
    """Series (of a subquery) that lose their names, as in `Vector`."""


def call(context: Context, node: Call, range_: Node, parameters: Sequence[np.ndarray]) -> Vector:
    """A function of a range vector; `parameters` are its scalars, float64[k] each."""
    if node.function not in RANGE_FUNCTIONS:
        raise not_evaluated(f"{node.function}()", node)
    windows = windows_of(context, range_)
    vector = _apply(node.function, windows, context.times_us, parameters)
    return replace(vector, unnamed=windows.unnamed) if node.function in _KEEP_NAME else vector.without_name()


def windows_of(context: Context, node: Node) -> Windows:
    """The samples of a range vector, or of a subquery, and where the window of every step begins and ends."""
    if isinstance(node, Subquery):
        width, ends = context.duration_us(node.duration, positive=True), context.ends_us(node.when)
        loaded, unnamed = _subquery(context, node, ends, width)
    elif isinstance(node, Range):
        width, ends = context.duration_us(node.duration, positive=True), context.ends_us(node.selector.when)
        loaded, unnamed = load(context, node.selector, ends, width), None
    else:
        raise not_evaluated(f"{node} as a range", node)
    loaded = loaded.without_stale()
    lo, hi = _bounds(context, loaded, ends, width)
    return Windows(loaded, ends, width, lo, hi, unnamed)


def _subquery(context: Context, node: Subquery, ends_us: np.ndarray, width_us: int) -> tuple[Loaded, np.ndarray | None]:
    """What the inner expression gives at the multiples of its step inside the windows, as if it had been stored."""
    if node.aligned:
        raise not_evaluated("an aligned subquery", node)
    step_us = context.duration_us(node.step, positive=True) if node.step else DEFAULT_STEP_US
    first = ((int(ends_us.min()) - width_us) // step_us + 1) * step_us
    last = int(ends_us.max())
    context.count(max(last - first, 0) // step_us)
    times = np.arange(first, last + 1, step_us, dtype=np.int64)
    if not len(times):
        return Loaded([], np.zeros(1, np.int64), times, np.empty(0)), None
    vector = context.evaluate(context.at(times), node.expr)
    assert isinstance(vector, Vector)
    context.count(vector.present.size)
    offsets = np.concatenate(([0], np.cumsum(vector.present.sum(axis=1)))).astype(np.int64)
    _, columns = np.nonzero(vector.present)
    return Loaded(vector.labels, offsets, times[columns], vector.values[vector.present]), vector.unnamed


def load(context: Context, selector: Selector, ends_us: np.ndarray, window_us: int) -> Loaded:
    """The samples that windows (end - window, end] can see. Raises NotEvaluated for an exponential histogram."""
    if selector.extension:
        raise not_evaluated(f"the {selector.extension} modifier", selector)
    rows = [context.index.rows[number] for number in context.index.select(selector.matchers)]
    if selector.name and any(row.kind == "histogram" for row in rows):
        raise not_evaluated("an exponential histogram", selector)
    rows = [row for row in rows if row.kind != "histogram"]
    return read(context.view, rows, int(ends_us.min()) - window_us + 1, int(ends_us.max()), context.budget)


def _bounds(context: Context, loaded: Loaded, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    context.count(len(loaded.labels) * len(ends))
    if len(ends) == 1:
        # What was loaded is the window: an instant query needs no kernel, hence no compiler.
        return loaded.offsets[:-1, None], loaded.offsets[1:, None]
    from workbench.query.evaluate import windows

    return windows.bounds(loaded.times_us, loaded.offsets, ends, width)


def _apply(name: str, of: Windows, steps_us: np.ndarray, parameters: Sequence[np.ndarray]) -> Vector:
    from workbench.query.evaluate import windows

    times, values = of.loaded.times_us, of.loaded.values
    if name in _REDUCTIONS:
        out, present = windows.over_time(getattr(windows, _REDUCTIONS[name]), values, of.lo, of.hi)
    elif name in _EXTRAPOLATED:
        counter, per_second = _EXTRAPOLATED[name]
        out, present = windows.extrapolated(times, values, of.lo, of.hi, of.ends_us, of.width_us, counter, per_second)
    elif name in ("irate", "idelta"):
        out, present = windows.last_two(times, values, of.lo, of.hi, name == "irate")
    elif name == "quantile_over_time":
        out, present = windows.quantile_over_time(values, of.lo, of.hi, parameters[0])
    elif name == "absent_over_time":
        out, present = np.ones(of.lo.shape), of.hi > of.lo
    else:
        slope, intercept, present = windows.regression(times, values, of.lo, of.hi, steps_us)
        out = slope if name == "deriv" else intercept + slope * parameters[0]
    return Vector(of.loaded.labels, out, present)
