"""Functions of range vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate import rolled
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.selectors import Windows, windows_of
from workbench.query.evaluate.values import Vector
from workbench.query.index import Row
from workbench.query.names import Labels
from workbench.query.promql.nodes import SCALAR, Call, Node, Range
from workbench.query.promql.text import format_general

_REDUCTIONS = {
    "sum_over_time": "SUM", "avg_over_time": "AVG", "min_over_time": "MIN", "max_over_time": "MAX",
    "count_over_time": "COUNT", "last_over_time": "LAST", "first_over_time": "FIRST", "present_over_time": "PRESENT",
    "stddev_over_time": "STDDEV", "stdvar_over_time": "STDVAR", "changes": "CHANGES", "resets": "RESETS",
    "mad_over_time": "MAD",
}  # fmt: skip
_EXTRAPOLATED = {"rate": (True, True), "increase": (True, False), "delta": (False, False)}
_TIMES = {
    "ts_of_first_over_time": "TIME_OF_FIRST", "ts_of_last_over_time": "TIME_OF_LAST",
    "ts_of_min_over_time": "TIME_OF_MIN", "ts_of_max_over_time": "TIME_OF_MAX",
}  # fmt: skip
_KEEP_NAME = ("last_over_time", "first_over_time")
_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")

RANGE_FUNCTIONS = frozenset(_REDUCTIONS) | frozenset(_EXTRAPOLATED) | frozenset(_TIMES) | {
    "irate", "idelta", "quantile_over_time", "deriv", "predict_linear", "absent_over_time", "integral",
    "double_exponential_smoothing",
}  # fmt: skip
"""Functions of range vectors that are evaluated."""


def call(context: Context, node: Call, range_: Node, parameters: Sequence[np.ndarray]) -> Vector:
    """A function of a range vector; `parameters` are its scalars, float64[k] each."""
    if node.function not in RANGE_FUNCTIONS:
        raise not_evaluated(f"{node.function}()", node)
    vector = _from_rollups(context, node, range_)
    if vector is not None:
        if node.function in ("rate", "increase"):
            _note_gauges(context, vector, range_)
        return vector if node.function in _KEEP_NAME else vector.without_name()
    windows = windows_of(context, range_, node.function)
    _check(context, node, parameters)
    if windows.loaded.starts_us is not None and node.function in ("rate", "increase", "irate", "resets"):
        vector = _by_starts(context, node.function, windows, range_)
    else:
        vector = _apply(node.function, windows, context.times_us, parameters)
    if windows.native_lo is not None:
        from workbench.query.evaluate.native import ranges

        vector = ranges.call(context, node.function, windows, vector, range_)
    if node.function in ("rate", "increase"):
        _note_gauges(context, vector, range_)
    return replace(vector, unnamed=windows.unnamed) if node.function in _KEEP_NAME else vector.without_name()


def _from_rollups(context: Context, node: Call, range_: Node) -> Vector | None:
    if not isinstance(range_, Range) or range_.selector.extension:
        return None
    width, ends = context.duration_us(range_.duration, positive=True), context.ends_us(range_.selector.when)

    def raw(at: Context, rows: Sequence[Row]) -> Vector:
        return _apply(node.function, windows_of(at, range_, node.function, rows), at.times_us, ())

    rows = [context.index.rows[number] for number in context.index.select(range_.selector.matchers)]
    return rolled.call(context, node, node.function, rows, ends, width, raw)


def _check(context: Context, node: Call, parameters: Sequence[np.ndarray]) -> None:
    """Refuse or remark on parameters out of range."""
    scalars = [arg for arg in node.args if arg.type == SCALAR]
    if node.function == "quantile_over_time":
        note_quantiles(context, parameters[0], scalars[0])
    elif node.function == "integral" and parameters:
        wrong = parameters[0][~np.isin(parameters[0], (0, 1, 2))]
        if len(wrong):
            message = f"strategy should be 0, 1, or 2 (default), using 2, got {format_general(float(wrong[-1]))}"
            context.notes.warn(message, scalars[0])
    elif node.function == "double_exponential_smoothing":
        for name, factor in zip(("smoothing", "trend"), parameters, strict=True):
            wrong = factor[~((factor > 0) & (factor < 1))]
            if len(wrong):
                short = {"smoothing": "sf", "trend": "tf"}[name]
                raise QueryError(f"invalid {name} factor. Expected: 0 < {short} < 1, got: {wrong[0]:f}")


def note_quantiles(context: Context, quantiles: np.ndarray, node: Node) -> None:
    """Warn of quantiles outside 0 to 1."""
    for wrong in np.unique(quantiles[~((quantiles >= 0) & (quantiles <= 1))]).tolist():
        context.notes.warn(f"quantile value should be between 0 and 1, got {format_general(wrong)}", node)


def _note_gauges(context: Context, vector: Vector, range_: Node) -> None:
    """Remark on metrics that have a rate and no counter's name."""
    there = vector.present.any(axis=1)
    for name in sorted({dict(vector.labels[row]).get("__name__", "") for row in np.flatnonzero(there).tolist()}):
        if name and not name.endswith(_COUNTER_SUFFIXES):
            message = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket"
            context.notes.info(f'{message}: "{name}"', range_)


def _by_starts(context: Context, name: str, of: Windows, range_: Node) -> Vector:
    """Functions of counters that heed their start times."""
    from workbench.query.evaluate import extended, starts

    loaded, lo, hi = of.loaded, of.lo, of.hi
    assert loaded.starts_us is not None
    samples = (loaded.times_us, loaded.values, loaded.starts_us)
    if name == "irate":
        out, present = starts.last_two(*samples, lo, hi)
    elif name == "resets":
        if of.extension:
            lo = extended.anchors(loaded.times_us, lo, hi, of.ends_us, of.width_us)
        out, present = starts.resets(*samples, lo, hi)
    elif of.extension:
        smoothed = of.extension == "smoothed"
        out, present = starts.change(*samples, lo, hi, of.ends_us, of.width_us, context.lookback_us, smoothed)
        out = out / (of.width_us / 1e6) if name == "rate" else out
    else:
        out, present = starts.extrapolated(*samples, lo, hi, of.ends_us, of.width_us, name == "rate")
        note_overlaps(context, loaded.labels, starts.overlaps(loaded.times_us, loaded.starts_us, lo, hi), range_)
    return Vector(loaded.labels, out, present)


def note_overlaps(context: Context, labels: Sequence[Labels], overlaps: np.ndarray, range_: Node) -> None:
    """Warn of samples whose start lies before the sample before them: bool[n, k]."""
    counts: dict[str, int] = {}
    for row in np.flatnonzero(overlaps.any(axis=1)).tolist():
        name = dict(labels[row]).get("__name__", "")
        counts[name] = counts.get(name, 0) + int(overlaps[row].sum())
    for name, count in counts.items():
        message = f'sample has start time that overlaps with previous sample timestamp for metric "{name}"'
        context.notes.warn(message, range_, f" ({count} occurrences)" if count > 1 else "")


def _apply(name: str, of: Windows, steps_us: np.ndarray, parameters: Sequence[np.ndarray]) -> Vector:
    from workbench.query.evaluate import extended, reductions, windows

    times, values, lo, hi = of.loaded.times_us, of.loaded.values, of.lo, of.hi
    if name in _EXTRAPOLATED:
        counter, per_second = _EXTRAPOLATED[name]
        if of.extension:
            smoothed = of.extension == "smoothed"
            out, present = extended.change(times, values, lo, hi, of.ends_us, of.width_us, smoothed, counter)
            out = out / (of.width_us / 1e6) if per_second else out
        else:
            out, present = windows.extrapolated(times, values, lo, hi, of.ends_us, of.width_us, counter, per_second)
    elif name in _REDUCTIONS:
        if of.extension:
            lo = extended.anchors(times, lo, hi, of.ends_us, of.width_us)
        out, present = reductions.over_time(getattr(reductions, _REDUCTIONS[name]), values, lo, hi)
    elif name in _TIMES:
        out, present = reductions.time_of(getattr(reductions, _TIMES[name]), times, values, lo, hi)
    elif name in ("irate", "idelta"):
        out, present = windows.last_two(times, values, lo, hi, name == "irate")
    elif name == "quantile_over_time":
        out, present = reductions.quantile_over_time(values, lo, hi, parameters[0])
    elif name == "absent_over_time":
        out, present = np.ones(lo.shape), hi > lo
    elif name == "integral":
        asked = parameters[0] if parameters else np.full(len(steps_us), float(reductions.TRAPEZOIDS))
        strategies = np.where(np.isin(asked, (0, 1, 2)), asked, reductions.TRAPEZOIDS).astype(np.int64)
        out, present = reductions.integral(times, values, lo, hi, strategies)
    elif name == "double_exponential_smoothing":
        out, present = reductions.smoothing(values, lo, hi, parameters[0], parameters[1])
    else:
        origins = np.full_like(steps_us, windows.FIRST_SAMPLE) if name == "deriv" else steps_us
        slope, intercept, present = windows.regression(times, values, lo, hi, origins)
        out = slope if name == "deriv" else intercept + slope * parameters[0]
    return Vector(of.loaded.labels, out, present)
