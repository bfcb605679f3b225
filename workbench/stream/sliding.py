"""Sliding windows of 1 min, 5 min, 15 min and 1 h over every series: the kernel.

Samples wait in raw panes of 5 s until the watermark has left them behind by the lateness bound; then the pane closes
and is folded to one row per series. Closed panes of 5 s are added up to panes of 1 min, those to panes of 5 min, each
level kept as long as its windows need it. So a late sample is as good as one in time, and memory does not grow.

The rule for late and repeated samples. `closed_us` is the watermark less the lateness bound, rounded down to 5 s.
A sample before it is ignored and counted as too late; any other counts once: of samples with the same series and time
the first to arrive. So a batch that is sent again never counts twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from workbench.stream.kernel import Batch, Bounds, Counts
from workbench.stream.panes import Segment, combine, fold, increases
from workbench.stream.sketch import quantiles

SECOND_US = 1_000_000
WINDOWS_SECONDS = (60, 300, 900, 3600)
QUANTILES = (0.5, 0.95, 0.99)

WIDTHS_US = (5 * SECOND_US, 60 * SECOND_US, 300 * SECOND_US)
"""Width of the panes of each level; a window starts at the edge of a pane of its level."""

LEVEL_OF_WINDOW = {60: 0, 300: 0, 900: 1, 3600: 2}
"""From which level a window is added up: 12 to 60 panes each, so its length is exact to 1/12 or better."""

KEPT_US = (360 * SECOND_US, 960 * SECOND_US, 3900 * SECOND_US)
"""How long closed panes of a level are kept: its longest window, and a pane (at least 1 min) before it, where the
step into a counter's first value starts."""


@dataclass(frozen=True)
class Pane:
    """Raw samples of 5 s in order of arrival: chunks of (series, times_us, values)."""

    chunks: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...] = ()
    size: int = 0

    def add(self, batch: Batch) -> Pane:
        """The pane with these samples too; the arrays are copied.

        Chunks shrink from one to the next, so n samples lie in at most log2(n) + 1 however small the batches are.
        """
        chunks = list(self.chunks)
        chunk = (batch.series.copy(), batch.times_us.copy(), batch.values.copy())
        while chunks and len(chunks[-1][0]) <= len(chunk[0]):
            series, times_us, values = (np.concatenate(pair) for pair in zip(chunks.pop(), chunk, strict=True))
            chunk = (series, times_us, values)
        return Pane((*chunks, chunk), self.size + len(batch))

    @cached_property
    def folded(self) -> tuple[Segment, int]:
        """The samples as one row per series, and how many were repeated. Kept, as a page asks every second."""
        series, times_us, values = (np.concatenate(column) for column in zip(*self.chunks, strict=True))
        return fold(series, times_us, values)


@dataclass(frozen=True)
class State:
    """What the kernel knows. `open` holds raw panes and `levels` closed ones, by the time at which they start."""

    bounds: Bounds
    watermark_us: int = 0
    closed_us: int = 0
    open: Mapping[int, Pane] = field(default_factory=dict)
    levels: tuple[Mapping[int, Segment], ...] = ({}, {}, {})


@dataclass(frozen=True)
class Windows:
    """Windows of several series, one row for each that has samples. `rate` is per second, of a counter.

    series, window_seconds, end_us, count int64[n]; sum, mean, min, max, rate float64[n]; quantiles float64[n, 3].
    """

    series: np.ndarray
    window_seconds: np.ndarray
    end_us: np.ndarray
    count: np.ndarray
    sum: np.ndarray
    mean: np.ndarray
    min: np.ndarray
    max: np.ndarray
    rate: np.ndarray
    quantiles: np.ndarray


def initial(bounds: Bounds | None = None) -> State:
    """A kernel that has seen nothing."""
    return State(bounds or Bounds())


def step(state: State, batch: Batch) -> tuple[State, Counts]:
    """Take a batch: first its watermark, then its samples, then close the panes that are complete."""
    bounds = state.bounds
    watermark_us = max(state.watermark_us, batch.watermark_us)
    closed_us = max(state.closed_us, _down(watermark_us - bounds.lateness_us, WIDTHS_US[0]))
    finite = np.isfinite(batch.values)
    late = finite & (batch.times_us < closed_us)
    early = finite & (batch.times_us > watermark_us + bounds.future_us)
    good = finite & ~late & ~early
    opened, taken = _add(state.open, batch if good.all() else batch.take(good), bounds)
    counts = Counts(
        taken=taken,
        too_late=int(late.sum()),
        too_early=int(early.sum()),
        not_finite=len(batch) - int(finite.sum()),
        over_bound=int(good.sum()) - taken,
    )
    moved = replace(state, watermark_us=watermark_us, open=opened)
    if closed_us == state.closed_us:
        return moved, counts
    return _close(moved, closed_us, counts)


def observe(state: State) -> Windows:
    """All windows that end at the watermark."""
    return windows(state)


def windows(state: State, series: np.ndarray | None = None, at_us: int | None = None) -> Windows:
    """The windows of these series (int64 ids; default all) that end at `at_us` (default: the watermark).

    A window of W seconds reaches from the edge of a pane at most W before `at_us` to the end of the 5 s pane in which
    `at_us` lies; `rate` divides by the time from that edge to `at_us`. `at_us` may lie between the end of the closed
    panes and the watermark; an earlier one is answered as the former, a later one as if nothing had come since.
    """
    at_us = max(state.watermark_us if at_us is None else at_us, state.closed_us)
    wanted = None if series is None else np.unique(np.asarray(series, np.int64))
    return _join([_window(state, seconds, wanted, at_us) for seconds in WINDOWS_SECONDS])


def _down(time_us: int, width_us: int) -> int:
    return time_us // width_us * width_us


def _add(panes: Mapping[int, Pane], batch: Batch, bounds: Bounds) -> tuple[Mapping[int, Pane], int]:
    """The open panes with these samples, and how many of them fitted."""
    room = bounds.open_samples - sum(pane.size for pane in panes.values())
    if len(batch) > room:
        batch = batch.take(slice(max(room, 0)))
    if not len(batch):
        return panes, 0
    starts = batch.times_us // WIDTHS_US[0] * WIDTHS_US[0]
    found, taken = dict(panes), 0
    for start in np.unique(starts).tolist():
        pane = found.get(start, Pane())
        rows = np.flatnonzero(starts == start)[: max(bounds.pane_samples - pane.size, 0)]
        if len(rows):
            found[start] = pane.add(batch.take(rows))
        taken += len(rows)
    return found, taken


def _close(state: State, closed_us: int, counts: Counts) -> tuple[State, Counts]:
    """Fold the open panes before `closed_us`, add up what is complete on every level, forget what no window needs."""
    opened = dict(state.open)
    levels = [dict(level) for level in state.levels]
    repeated = over = 0
    for start in sorted(start for start in opened if start < closed_us):
        segment, again = opened.pop(start).folded
        levels[0][start] = segment.head(state.bounds.series)
        repeated += again
        over += int(segment.count[state.bounds.series :].sum())
    for level in range(1, len(WIDTHS_US)):
        width_us = WIDTHS_US[level]
        before, after = _down(state.closed_us, width_us), _down(closed_us, width_us)
        parts: dict[int, list[Segment]] = {}
        for start in sorted(start for start in levels[level - 1] if before <= start < after):
            parts.setdefault(_down(start, width_us), []).append(levels[level - 1][start])
        levels[level].update({start: combine(segments).head(state.bounds.series) for start, segments in parts.items()})
    for panes, kept_us in zip(levels, KEPT_US, strict=True):
        for start in [start for start in panes if start < closed_us - kept_us]:
            del panes[start]
    counts = counts + Counts(repeated=repeated, over_bound=over)
    return replace(state, closed_us=closed_us, open=opened, levels=tuple(levels)), counts


def _window(state: State, seconds: int, wanted: np.ndarray | None, at_us: int) -> Windows:
    level = LEVEL_OF_WINDOW[seconds]
    start_us = _down(at_us, WIDTHS_US[level]) + WIDTHS_US[level] - seconds * SECOND_US
    earlier: list[Segment] = []
    inside: list[Segment] = []
    for pane_us, segment in _segments(state, level, at_us):
        chosen = segment if wanted is None else segment.select(wanted)
        (inside if pane_us >= start_us else earlier).append(chosen)
    rows = combine(inside)
    grown = rows.increase + _step_into(rows, earlier)
    number = len(rows)
    return Windows(
        rows.series,
        np.full(number, seconds),
        np.full(number, at_us),
        rows.count,
        rows.sum,
        rows.sum / rows.count,
        rows.min,
        rows.max,
        grown / max((at_us - start_us) / SECOND_US, 1e-6),
        np.clip(quantiles(rows.sketches, QUANTILES), rows.min[:, None], rows.max[:, None]),
    )


def _segments(state: State, level: int, at_us: int) -> Iterator[tuple[int, Segment]]:
    """Panes up to `at_us`, oldest first: those of `level`, then of the levels below for what is not added up yet."""
    from_us = 0
    for lower in range(level, -1, -1):
        for start in sorted(state.levels[lower]):
            if from_us <= start <= at_us:
                yield start, state.levels[lower][start]
        from_us = _down(state.closed_us, WIDTHS_US[lower])
    for start in sorted(state.open):
        if start <= at_us:
            yield start, state.open[start].folded[0].head(state.bounds.series)


def _step_into(rows: Segment, earlier: list[Segment]) -> np.ndarray:
    """The step from the last value before the window to the first one inside; 0 where nothing is known before."""
    before = np.full(len(rows), np.nan)
    for segment in earlier:
        places = np.searchsorted(rows.series, segment.series)
        places[places == len(rows)] = 0
        same = rows.series[places] == segment.series if len(rows) else np.zeros(len(segment), bool)
        before[places[same]] = segment.last[same]
    return np.where(np.isnan(before), 0.0, increases(before, rows.first))


def _join(parts: list[Windows]) -> Windows:
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Windows.__annotations__}
    order = np.lexsort((columns["window_seconds"], columns["series"]))
    return Windows(**{name: column[order] for name, column in columns.items()})
