"""Selectors, instant and range, and subqueries: what reads samples and says which of them belong to which step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.values import Vector, empty
from workbench.query.histograms.grid import Grid
from workbench.query.index import Row
from workbench.query.promql.nodes import Node, Range, Selector, Subquery
from workbench.query.rollups import gone_text
from workbench.query.samples import Loaded, is_stale, read
from workbench.schema import ROLLUP_US

_LEVEL_OF = {width_us: name for name, width_us in ROLLUP_US.items()}
DEFAULT_STEP_US = 60_000_000
"""Step of a subquery that names none: Prometheus' default evaluation interval."""


def instant_selector(context: Context, selector: Selector) -> Vector:
    """The last sample of every series within the look-back, unless it is a staleness marker; `smoothed`, the line
    between the samples around the step."""
    if selector.extension == "smoothed":
        return _smoothed(context, selector)
    loaded, last, present, native = _last(context, selector)
    values = np.where(present, loaded.values[last], 0.0) if len(loaded.values) else np.zeros(present.shape)
    return Vector(loaded.labels, values, present, native=native)


def timestamps(context: Context, selector: Selector) -> Vector:
    """The time of the sample that `instant_selector` finds, in seconds since 1970."""
    loaded, last, present, native = _last(context, selector)
    out = np.where(present, loaded.times_us[last] / 1e6, 0.0) if len(loaded.values) else np.zeros(present.shape)
    if native is not None and loaded.native is not None:
        out = np.where(native.present, native.fill(loaded.native.times_us / 1e6), out)
        present = present | native.present
    return Vector(loaded.labels, out, present)


def start_timestamps(context: Context, selector: Selector) -> Vector:
    """When the counter of that sample began to count, 0 where that is not known; none unless start times are heeded."""
    if not context.limits.start_times:
        return empty(len(context.times_us))
    loaded, last, present, native = _last(context, selector)
    out = np.zeros(present.shape)
    if loaded.starts_us is not None and len(loaded.starts_us):
        out = np.where(present, loaded.starts_us[last] / 1e6, 0.0)
    if native is not None and loaded.native is not None:
        out = np.where(native.present, native.fill(loaded.native.starts_us / 1e6), out)
        present = present | native.present
    return Vector(loaded.labels, out, present)


def _last(context: Context, selector: Selector) -> tuple[Loaded, np.ndarray, np.ndarray, Grid | None]:
    ends = context.ends_us(selector.when)
    loaded = load(context, selector, ends, context.lookback_us)
    lo, hi = _bounds(context, loaded, ends, context.lookback_us)
    if loaded.reach_us is not None:
        lo = _further_back(loaded, ends, context.lookback_us, lo)
    last = np.maximum(hi - 1, 0)
    present = hi > lo
    native: Grid | None = None
    if loaded.native is not None:
        native, newer = _last_native(loaded, ends, context.lookback_us, last, present)
        present &= ~newer
    if len(loaded.values):
        present &= ~is_stale(loaded.values)[last]
    return loaded, last, present, native


def _last_native(
    loaded: Loaded, ends: np.ndarray, width: int, last: np.ndarray, present: np.ndarray
) -> tuple[Grid, np.ndarray]:
    """The last histogram of every series that is not older than its last float; where there is one, stale or not."""
    from workbench.query.evaluate import windows

    samples = loaded.native
    assert samples is not None
    lo, hi = windows.bounds(samples.times_us, samples.offsets, ends, width)
    there = hi > lo
    newest = np.maximum(hi - 1, 0)
    if len(loaded.times_us) and len(samples.times_us):
        there &= ~(present & (loaded.times_us[last] > samples.times_us[newest]))
    marker = samples.stale[newest] if len(samples.stale) else np.zeros(there.shape, bool)
    return Grid(np.where(there & ~marker, newest, -1), samples.histograms), there


def _further_back(loaded: Loaded, ends: np.ndarray, lookback_us: int, lo: np.ndarray) -> np.ndarray:
    """Where the windows of series begin that have but one sample of each bucket: a bucket earlier."""
    from workbench.query.evaluate import windows

    assert loaded.reach_us is not None
    for reach_us in np.unique(loaded.reach_us[loaded.reach_us > 0]).tolist():
        earlier, _ = windows.bounds(loaded.times_us, loaded.offsets, ends, lookback_us + reach_us)
        lo = np.where((loaded.reach_us == reach_us)[:, None] & (ends < loaded.coarse_until_us), earlier, lo)
    return lo


def _smoothed(context: Context, selector: Selector) -> Vector:
    from workbench.query.evaluate import extended

    ends, reach = context.ends_us(selector.when), context.lookback_us
    loaded = load(context, selector, ends + reach, 2 * reach).without_stale()
    lo, hi = _bounds(context, loaded, ends + reach, 2 * reach)
    values, present = extended.interpolated(loaded.times_us, loaded.values, lo, hi, ends)
    floats = Vector(loaded.labels, values, present)
    if loaded.native is None:
        return floats
    from workbench.query.evaluate.native import ranges

    return ranges.smoothed(context, _windows(context, loaded, ends, 0, reach, reach), floats, selector)


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
    native_lo: np.ndarray | None = None
    native_hi: np.ndarray | None = None
    """The same of the histograms, where there are any."""


def _windows(
    context: Context, loaded: Loaded, ends: np.ndarray, width: int, before: int = 0, after: int = 0, **more: Any
) -> Windows:
    """Windows that hold what lies that much before and after them, too."""
    whole = before + width + after
    lo, hi = _bounds(context, loaded, ends + after, whole)
    found = Windows(loaded, ends, width, lo, hi, **more)
    if loaded.native is None:
        return found
    from workbench.query.evaluate import windows

    samples = loaded.native
    native_lo, native_hi = windows.bounds(samples.times_us, samples.offsets, ends + after, whole)
    return replace(found, native_lo=native_lo, native_hi=native_hi)


def windows_of(context: Context, node: Node, function: str, rows: Sequence[Row] | None = None) -> Windows:
    """The samples of a range vector, or of a subquery, for a function, and where the window of every step lies.

    Of a range vector only the samples of `rows`, where they are given.

    Raises QueryError where the function cannot be used with the selector's extension.
    """
    if isinstance(node, Subquery):
        width, ends = context.duration_us(node.duration, positive=True), context.ends_us(node.when)
        loaded, unnamed = _subquery(context, node, ends, width)
        return _windows(context, loaded, ends, width, unnamed=unnamed)
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
    loaded = load(context, node.selector, ends + after, before + width + after, rows).without_stale()
    return _windows(context, loaded, ends, width, before, after, extension=extension)


def samples_of(context: Context, node: Range | Subquery) -> tuple[Loaded, np.ndarray | None]:
    """The samples of a range vector at the only step of an instant query, and which series lose their names."""
    if isinstance(node, Subquery):
        windows = windows_of(context, node, "")
        return windows.loaded, windows.unnamed
    width, end = context.duration_us(node.duration, positive=True), context.ends_us(node.selector.when)
    if not node.selector.extension:
        return load(context, node.selector, end, width).without_stale(), None
    from workbench.query.evaluate import extended

    extension = node.selector.extension
    smoothed = extension == "smoothed"
    reach = context.lookback_us
    after = reach if smoothed else 0
    loaded = load(context, node.selector, end + after, reach + width + after).without_stale()
    if loaded.native is not None and len(loaded.native.times_us):
        raise QueryError(f"{extension} modifier is not supported with histograms")
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
    native = None if vector.native is None else vector.native.as_samples(times)
    loaded = Loaded(vector.labels, offsets, times[columns], vector.values[vector.present], native)
    return loaded.without_stale(), vector.unnamed


def load(
    context: Context, selector: Selector, ends_us: np.ndarray, window_us: int, rows: Sequence[Row] | None = None
) -> Loaded:
    """The samples that windows (end - window, end] can see, of some rows of the selector or of all."""
    if rows is None:
        rows = [context.index.rows[number] for number in context.index.select(selector.matchers)]
    first, last = int(ends_us.min()) - window_us + 1, int(ends_us.max())
    loaded = read(context.view, rows, first, last, context.budget, counting=selector.span in context.counting)
    if context.limits.start_times:
        from workbench.query.evaluate.starts import with_starts

        loaded = with_starts(context.view, rows, loaded)
    if loaded.reach_us is not None:
        context.notes.info(gone_text(_LEVEL_OF[int(loaded.reach_us.max())]), selector)
    return loaded


def _bounds(context: Context, loaded: Loaded, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    context.count(len(loaded.labels) * len(ends))
    if len(ends) == 1 and loaded.reach_us is None:
        # What was loaded is the window: an instant query needs no kernel, hence no compiler.
        return loaded.offsets[:-1, None], loaded.offsets[1:, None]
    from workbench.query.evaluate import windows

    return windows.bounds(loaded.times_us, loaded.offsets, ends, width)
