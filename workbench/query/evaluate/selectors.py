"""Selectors, instant and range, and subqueries: what reads samples and says which of them belong to which step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.values import Vector
from workbench.query.promql.nodes import Node, Range, Selector, Subquery
from workbench.query.samples import Loaded, is_stale, read

DEFAULT_STEP_US = 60_000_000
"""Step of a subquery that names none: Prometheus' default evaluation interval."""


def instant_selector(context: Context, selector: Selector) -> Vector:
    """The last sample of every series within the look-back, unless it is a staleness marker; `smoothed`, the line
    between the samples around the step."""
    if selector.extension == "smoothed":
        return _smoothed(context, selector)
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


def _smoothed(context: Context, selector: Selector) -> Vector:
    from workbench.query.evaluate import extended

    ends, reach = context.ends_us(selector.when), context.lookback_us
    loaded = load(context, selector, ends + reach, 2 * reach).without_stale()
    lo, hi = _bounds(context, loaded, ends + reach, 2 * reach)
    values, present = extended.interpolated(loaded.times_us, loaded.values, lo, hi, ends)
    return Vector(loaded.labels, values, present)


@dataclass(frozen=True)
class Windows:
    """Samples and, for every series and step, the index range of those in (end - width, end].

    Extended, the range also holds the samples of one look-back before the window (and after it, `smoothed`).
    """

    loaded: Loaded
    ends_us: np.ndarray
    width_us: int
    lo: np.ndarray
    hi: np.ndarray
    unnamed: np.ndarray | None = None
    """Series (of a subquery) that lose their names, as in `Vector`."""
    extension: str = ""


def windows_of(context: Context, node: Node, function: str) -> Windows:
    """The samples of a range vector, or of a subquery, for a function, and where the window of every step lies.

    Raises QueryError where the function cannot be used with the selector's extension.
    """
    if isinstance(node, Subquery):
        width, ends = context.duration_us(node.duration, positive=True), context.ends_us(node.when)
        loaded, unnamed = _subquery(context, node, ends, width)
        lo, hi = _bounds(context, loaded, ends, width)
        return Windows(loaded, ends, width, lo, hi, unnamed)
    if not isinstance(node, Range):
        raise not_evaluated(f"{node} as a range", node)
    width, ends = context.duration_us(node.duration, positive=True), context.ends_us(node.selector.when)
    extension = node.selector.extension
    before = context.lookback_us if extension else 0
    after = context.lookback_us if extension == "smoothed" else 0
    if extension:
        from workbench.query.evaluate.extended import ALLOWED

        if function not in ALLOWED[extension]:
            allowed = ", ".join(ALLOWED[extension])
            raise QueryError(f"{extension} modifier can only be used with: {allowed} - not with {function}")
    loaded = load(context, node.selector, ends + after, before + width + after).without_stale()
    lo, hi = _bounds(context, loaded, ends + after, before + width + after)
    return Windows(loaded, ends, width, lo, hi, None, extension)


def samples_of(context: Context, node: Range | Subquery) -> tuple[Loaded, np.ndarray | None]:
    """The samples of a range vector at the only step of an instant query, and which series lose their names."""
    if isinstance(node, Subquery):
        windows = windows_of(context, node, "")
        return windows.loaded, windows.unnamed
    width, end = context.duration_us(node.duration, positive=True), context.ends_us(node.selector.when)
    if not node.selector.extension:
        return load(context, node.selector, end, width).without_stale(), None
    from workbench.query.evaluate import extended

    smoothed = node.selector.extension == "smoothed"
    reach = context.lookback_us
    after = reach if smoothed else 0
    loaded = load(context, node.selector, end + after, reach + width + after).without_stale()
    found = extended.with_edges(loaded.times_us, loaded.values, loaded.offsets, int(end[0]), width, smoothed)
    return Loaded(loaded.labels, *found), None


def _subquery(context: Context, node: Subquery, ends_us: np.ndarray, width_us: int) -> tuple[Loaded, np.ndarray | None]:
    """What the inner expression gives at the multiples of its step inside the windows, as if it had been stored."""
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
    loaded = Loaded(vector.labels, offsets, times[columns], vector.values[vector.present])
    return loaded.without_stale(), vector.unnamed


def load(context: Context, selector: Selector, ends_us: np.ndarray, window_us: int) -> Loaded:
    """The samples that windows (end - window, end] can see. Raises NotEvaluated for an exponential histogram."""
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
