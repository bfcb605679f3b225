"""Rows of the index -> their samples, laid out series after series. What several ids share becomes one series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench import schema
from workbench.errors import QueryLimit
from workbench.query.index import Row
from workbench.query.names import Labels
from workbench.query.rollups import Levels, filled

if TYPE_CHECKING:
    from workbench.store import HistogramSamples, Samples, View


def _unchecked() -> None:
    """Nothing ends the query but its samples."""


@dataclass
class Budget:
    """How many samples may still be read; `check` raises when the query has to end for another reason."""

    limit: int
    spent: int = 0
    check: Callable[[], None] = _unchecked

    @property
    def left(self) -> int:
        """Samples that may still be read or made."""
        return self.limit - self.spent

    def spend(self, samples: int) -> None:
        """Account for samples read or made. Raises QueryLimit if they are too many, and what `check` raises."""
        self.check()
        self.spent += samples
        if self.spent > self.limit:
            raise QueryLimit(
                f"query would load too many samples into memory ({self.spent:,} of {self.limit:,})",
                hint="Select fewer series, a shorter time or a longer step; or raise query.max_samples.",
            )


@dataclass(frozen=True)
class Loaded:
    """Samples of n series: series s has times_us[offsets[s]:offsets[s+1]], ascending, and values likewise.

    `native` holds the native histograms of the same n series; None where none has any.

    Where samples have gone for their age, the last of each bucket of a roll-up stands for them: until
    `coarse_until_us`, of the series whose `reach_us` (int64[n], width of the bucket) is not 0.
    """

    labels: Sequence[Labels]
    offsets: np.ndarray
    times_us: np.ndarray
    values: np.ndarray
    native: HistogramSamples | None = None
    reach_us: np.ndarray | None = None
    coarse_until_us: int = 0
    starts_us: np.ndarray | None = None

    def without_stale(self) -> Loaded:
        """Without staleness markers, as range vectors see a series."""
        native = None if self.native is None else self.native.where(~self.native.stale)
        stale = is_stale(self.values)
        if not stale.any():
            return replace(self, native=native)
        kept = np.concatenate(([0], np.cumsum(~stale)))
        return replace(
            self,
            offsets=kept[self.offsets],
            times_us=self.times_us[~stale],
            values=self.values[~stale],
            native=native,
            starts_us=None if self.starts_us is None else self.starts_us[~stale],
        )


def is_stale(values: np.ndarray) -> np.ndarray:
    """Which values are staleness markers: told from other NaNs by their bits."""
    return np.ascontiguousarray(values).view(np.uint64) == np.uint64(schema.STALE_NAN_BITS)


def read(
    view: View, rows: Sequence[Row], start_us: int, end_us: int, budget: Budget, *, counting: bool = False
) -> Loaded:
    """The samples of some rows, both ends included, in an order of the rows that suits the store.

    `counting`: of native histograms nothing but count and sum is wanted; then resets are marked among their hints.
    Raises QueryLimit, through the budget, before much more was read than it allows.
    """
    histograms = [row for row in rows if row.kind == "histogram"]
    if not histograms:
        return _read_floats(view, rows, start_us, end_us, budget)
    from workbench.query.histograms.reading import beside

    loaded = _read_floats(view, [row for row in rows if row.kind != "histogram"], start_us, end_us, budget)
    return beside(view, loaded, histograms, start_us, end_us, budget, counting=counting)


def _read_floats(view: View, rows: Sequence[Row], start_us: int, end_us: int, budget: Budget) -> Loaded:
    if not rows:
        return Loaded([], np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
    if all(row.kind == "float" and len(row.ids) == 1 for row in rows):
        ordered = sorted(rows, key=lambda row: row.ids[0])
        found, reach_us = _fetch(view, np.array([row.ids[0] for row in ordered], np.int64), start_us, end_us, budget)
        loaded = Loaded([row.labels for row in ordered], found.offsets, found.times_us, found.values, reach_us=reach_us)
    else:
        loaded = _merged(view, rows, start_us, end_us, budget)
    return loaded if loaded.reach_us is None else replace(loaded, coarse_until_us=Levels.of(view.rolled()).gone_us)


def _fetch(
    view: View, ids: np.ndarray, start_us: int, end_us: int, budget: Budget
) -> tuple[Samples, np.ndarray | None]:
    """Samples of series, in several steps where one could exceed the budget by far, and how far they reach back."""
    from workbench.store import Samples

    # At one sample a second, the densest that is usual, this many series fit. What was read tells how dense they are.
    seconds = max((end_us - start_us) // 1_000_000, 1)
    size = max(budget.left // seconds, 1)
    parts: list[Samples] = []
    reaches: list[np.ndarray | None] = []
    at = 0
    while at < len(ids) or not parts:
        part, reach_us = filled(view, view.samples(ids[at : at + size], start_us, end_us), start_us, end_us)
        parts.append(part)
        reaches.append(reach_us)
        at += size
        budget.spend(len(part.times_us))
        # Half of what is left, should the rest be as dense.
        size = max(int(budget.left * size / max(2 * len(part.times_us), 1)), 1)
    if len(parts) == 1:
        return parts[0], reaches[0]
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    whole = Samples(
        ids, offsets, np.concatenate([p.times_us for p in parts]), np.concatenate([p.values for p in parts])
    )
    if all(reach is None for reach in reaches):
        return whole, None
    spelled = [np.zeros(len(p), np.int64) if r is None else r for p, r in zip(parts, reaches, strict=True)]
    return whole, np.concatenate(spelled)


def _merged(view: View, rows: Sequence[Row], start_us: int, end_us: int, budget: Budget) -> Loaded:
    """Bring the samples of all ids of a row together: by time, of equal times that of the highest id."""
    sizes = [len(row.ids) for row in rows]
    ids = np.concatenate([np.sort(np.array(row.ids, np.int64)) for row in rows])
    distinct, place = np.unique(ids, return_inverse=True)
    found, reach_us = _fetch(view, distinct, start_us, end_us, budget)
    counts = np.diff(found.offsets)[place]
    # Where each sample of each id of each row was found, and which row it belongs to.
    before = np.cumsum(counts) - counts
    index = np.repeat(found.offsets[:-1][place] - before, counts) + np.arange(counts.sum())
    owner = np.repeat(np.repeat(np.arange(len(rows)), sizes), counts)
    times, values = found.times_us[index], found.values[index]
    info = np.array([row.kind == "info" for row in rows])[owner]
    kept = ~(info & is_stale(values))
    owner, times, values = owner[kept], times[kept], np.where(info, 1.0, values)[kept]
    order = np.lexsort((times, owner))
    owner, times, values = owner[order], times[order], values[order]
    last = np.append((times[1:] != times[:-1]) | (owner[1:] != owner[:-1]), True)[: len(times)]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owner[last], minlength=len(rows))))).astype(np.int64)
    if reach_us is not None:
        reach_us = np.maximum.reduceat(reach_us[place], np.cumsum([0, *sizes[:-1]]))
    return Loaded([row.labels for row in rows], offsets, times[last], values[last], reach_us=reach_us)
