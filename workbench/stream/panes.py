"""Panes: the samples of a stretch of time, folded to one row per series. Windows are sums of panes.

A row keeps what adds up: count, sum, least and greatest value, first and last value, the increase of a counter, and
the bins of a quantile sketch. All of it is exact but the sketch, and nothing depends on the order of arrival.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.stream.sketch import Sketches, merge, sketch


@dataclass(frozen=True)
class Segment:
    """One row per series, sorted by series id. Arrays of equal length; never written after they are made.

    series int64; count int64; sum, min, max, first, last, increase float64 in the series' unit. `increase` adds the
    steps between the samples inside; a step down is a restart of the counter and counts as the new value.
    """

    series: np.ndarray
    count: np.ndarray
    sum: np.ndarray
    min: np.ndarray
    max: np.ndarray
    first: np.ndarray
    last: np.ndarray
    increase: np.ndarray
    sketches: Sketches

    def __len__(self) -> int:
        return len(self.series)

    def select(self, series: np.ndarray) -> Segment:
        """The rows of these series (int64, sorted, unique), where there are any."""
        return self._take(np.flatnonzero(np.isin(self.series, series, assume_unique=True)))

    def head(self, rows: int) -> Segment:
        """The first rows: those of the series that were registered first."""
        return self._take(np.arange(min(rows, len(self))))

    def _take(self, rows: np.ndarray) -> Segment:
        if len(rows) == len(self):
            return self
        return Segment(**{name: getattr(self, name)[rows] for name in PLAIN}, sketches=self.sketches.take(rows))


PLAIN = tuple(field.name for field in dataclasses.fields(Segment) if field.name != "sketches")
"""The columns of a segment that are plain arrays."""


def fold(series: np.ndarray, times_us: np.ndarray, values: np.ndarray) -> tuple[Segment, int]:
    """Fold samples in order of arrival into a segment; also how many of them repeated a (series, time) seen before.

    Of samples with the same series and time the first to arrive counts. Values must be finite.
    """
    order = np.lexsort((times_us, series))  # stable: equal pairs stay in order of arrival
    series, times_us, values = series[order], times_us[order], values[order]
    fresh = np.ones(len(series), bool)
    fresh[1:] = (series[1:] != series[:-1]) | (times_us[1:] != times_us[:-1])
    series, values = series[fresh], values[fresh]
    starts = np.flatnonzero(np.diff(series, prepend=series[:1] - 1))
    ends = np.append(starts, len(series))[1:]
    steps = np.zeros(len(values))
    steps[1:] = increases(values[:-1], values[1:])
    steps[starts] = 0.0
    segment = Segment(
        series[starts],
        ends - starts,
        _reduce(np.add, values, starts),
        _reduce(np.minimum, values, starts),
        _reduce(np.maximum, values, starts),
        values[starts],
        values[ends - 1],
        _reduce(np.add, steps, starts),
        sketch(np.repeat(np.arange(len(starts)), ends - starts), values, len(starts)),
    )
    return segment, len(order) - len(series)


def combine(segments: Sequence[Segment]) -> Segment:
    """Add up segments that follow one another in time, oldest first."""
    if len(segments) == 1:
        return segments[0]

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(segment, name) for segment in segments] or [np.empty(0)])

    series = column("series").astype(np.int64)
    order = np.argsort(series, kind="stable")
    series = series[order]
    starts = np.flatnonzero(np.diff(series, prepend=series[:1] - 1))
    ends = np.append(starts, len(series))[1:]
    first, last = column("first")[order], column("last")[order]
    steps = column("increase")[order]
    between = np.zeros(len(series))
    between[1:] = increases(last[:-1], first[1:])
    between[starts] = 0.0
    return Segment(
        series[starts],
        _reduce(np.add, column("count").astype(np.int64)[order], starts),
        _reduce(np.add, column("sum")[order], starts),
        _reduce(np.minimum, column("min")[order], starts),
        _reduce(np.maximum, column("max")[order], starts),
        first[starts],
        last[ends - 1],
        _reduce(np.add, steps + between, starts),
        _combine_sketches([segment.sketches for segment in segments], order, starts, ends),
    )


def increases(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """By how much a counter grew from each value to the next; after a restart it grew by all that it shows."""
    with np.errstate(over="ignore"):
        return np.where(after >= before, after - before, after)


def _combine_sketches(parts: list[Sketches], order: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Sketches:
    """Sketches of the combined rows: `order` sorted the rows of all parts, `starts` and `ends` bound the new ones."""
    target = np.empty(len(order), np.int64)
    target[order] = np.repeat(np.arange(len(starts)), ends - starts)
    lengths = np.concatenate([np.diff(part.offsets) for part in parts] or [np.empty(0, np.int64)])
    keys = np.concatenate([part.keys for part in parts] or [np.empty(0, np.int16)])
    counts = np.concatenate([part.counts for part in parts] or [np.empty(0, np.uint32)])
    return merge(np.repeat(target, lengths), keys, counts, len(starts))


def _reduce(how: np.ufunc, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # a sum beyond float64 is infinite
        reduced: np.ndarray = how.reduceat(values, starts) if len(starts) else values[:0]
    return reduced
