"""Native histograms of many series at many steps: which of a set of histograms stands where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.query.histograms.shown import as_text
from workbench.schema import GAUGE, RESET_UNKNOWN
from workbench.store import Histograms, HistogramSamples, concatenate_histograms, no_histograms


@dataclass(frozen=True)
class Grid:
    """`which` int64[n, k]: the place, among `held`, of the histogram of series i at step j; -1 where there is none."""

    which: np.ndarray
    held: Histograms

    @property
    def present(self) -> np.ndarray:
        """bool[n, k]: where there is a histogram."""
        return np.asarray(self.which >= 0)

    @property
    def places(self) -> np.ndarray:
        """The places of all cells that hold one, series after series."""
        return self.which[self.which >= 0]

    def take(self, rows: np.ndarray | Sequence[int]) -> Grid:
        """Some of the series, in that order."""
        return Grid(self.which[rows], self.held)

    def where(self, mask: np.ndarray) -> Grid:
        """Only the cells of a mask."""
        return Grid(np.where(mask, self.which, -1), self.held)

    def negated(self) -> Grid:
        """All of them times -1."""
        held = scaled(self.held, np.full(self.held.size, -1.0))
        return Grid(self.which, held._replace(hints=np.full(held.size, GAUGE, np.int8)))

    def texts(self) -> dict[int, str]:
        """The text of each histogram that stands anywhere, by its place among those held."""
        return {place: as_text(self.held, place) for place in np.unique(self.places).tolist()}

    def as_samples(self, times_us: np.ndarray) -> HistogramSamples:
        """As if they had been stored at these times, int64[k]; series are numbered."""
        n = len(self.which)
        offsets = np.concatenate(([0], np.cumsum(self.present.sum(axis=1)))).astype(np.int64)
        _, columns = np.nonzero(self.present)
        held = self.held.take(self.places)
        # Those in between are not seen: whether one counts on from the other is to be found out again.
        hints = np.where(held.hints == GAUGE, GAUGE, RESET_UNKNOWN).astype(np.int8)
        held = held._replace(hints=hints)
        none = np.zeros(held.size, np.int64)
        return HistogramSamples(np.arange(n), offsets, times_us[columns], none.astype(bool), none, held)

    def fill(self, values: np.ndarray, blank: float = 0.0) -> np.ndarray:
        """float64[n, k]: a value per histogram held, where it stands."""
        if not len(values):
            return np.full(self.which.shape, blank)
        return np.where(self.which >= 0, values[self.which], blank)


def scattered(held: Histograms, mask: np.ndarray) -> Grid:
    """Histograms put, in their order, into the cells of a mask."""
    which = np.full(mask.shape, -1, np.int64)
    which[mask] = np.arange(held.size)
    return Grid(which, held)


def no_grid(shape: tuple[int, ...]) -> Grid:
    """Cells without histograms."""
    return Grid(np.full(shape, -1, np.int64), no_histograms())


def joined(
    upper: Grid | None, lower: Grid | None, upper_shape: tuple[int, ...], lower_shape: tuple[int, ...]
) -> Grid | None:
    """The rows of one grid above those of another; None where neither is one."""
    if upper is None and lower is None:
        return None
    above, below = upper or no_grid(upper_shape), lower or no_grid(lower_shape)
    moved = np.where(below.which >= 0, below.which + above.held.size, -1)
    return Grid(np.concatenate((above.which, moved)), concatenate_histograms([above.held, below.held]))


def overlaid(grids: Sequence[Grid]) -> Grid:
    """Grids of one shape, whose histograms stand in different cells, as one."""
    which = np.full(grids[0].which.shape, -1, np.int64)
    before = 0
    for grid in grids:
        which = np.where(grid.present, grid.which + before, which)
        before += grid.held.size
    return Grid(which, concatenate_histograms([grid.held for grid in grids]))


def scaled(held: Histograms, factors: np.ndarray) -> Histograms:
    """Histogram i multiplied by factors[i]; without the buckets that become empty, as NaN does not."""
    with np.errstate(all="ignore"):
        return _changed(held, held.buckets * np.repeat(factors, np.diff(held.bucket_offsets)), lambda x: x * factors)


def divided(held: Histograms, divisors: np.ndarray) -> Histograms:
    """Histogram i divided by divisors[i]; one divided by 0 has no buckets."""
    with np.errstate(all="ignore"):
        per_bucket = np.repeat(divisors, np.diff(held.bucket_offsets))
        return _changed(held, np.where(per_bucket == 0, 0.0, held.buckets / per_bucket), lambda x: x / divisors)


def _changed(held: Histograms, buckets: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> Histograms:
    kept = buckets != 0
    ends = np.concatenate(([0], np.cumsum(kept)))[held.bucket_offsets]
    return held._replace(
        counts=change(held.counts),
        sums=change(held.sums),
        zero_counts=change(held.zero_counts),
        bucket_offsets=ends,
        keys=held.keys[kept],
        buckets=buckets[kept],
    )
