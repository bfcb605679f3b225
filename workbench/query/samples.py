"""Rows of the index -> their samples, laid out series after series. What several ids share becomes one series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench import schema
from workbench.query.index import Row
from workbench.query.names import Labels

if TYPE_CHECKING:
    from workbench.store import View


@dataclass(frozen=True)
class Loaded:
    """Samples of n series: series s has times_us[offsets[s]:offsets[s+1]], ascending, and values likewise."""

    labels: Sequence[Labels]
    offsets: np.ndarray
    times_us: np.ndarray
    values: np.ndarray

    def without_stale(self) -> Loaded:
        """Without staleness markers, as range vectors see a series."""
        stale = is_stale(self.values)
        if not stale.any():
            return self
        kept = np.concatenate(([0], np.cumsum(~stale)))
        return Loaded(self.labels, kept[self.offsets], self.times_us[~stale], self.values[~stale])


def is_stale(values: np.ndarray) -> np.ndarray:
    """Which values are staleness markers: told from other NaNs by their bits."""
    return np.ascontiguousarray(values).view(np.uint64) == np.uint64(schema.STALE_NAN_BITS)


def read(view: View, rows: Sequence[Row], start_us: int, end_us: int) -> Loaded:
    """The samples of some rows, both ends included, in an order of the rows that suits the store."""
    if all(row.kind == "float" and len(row.ids) == 1 for row in rows):
        ordered = sorted(rows, key=lambda row: row.ids[0])
        found = view.samples(np.array([row.ids[0] for row in ordered], np.int64), start_us, end_us)
        return Loaded([row.labels for row in ordered], found.offsets, found.times_us, found.values)
    return _merged(view, rows, start_us, end_us)


def _merged(view: View, rows: Sequence[Row], start_us: int, end_us: int) -> Loaded:
    """Bring the samples of all ids of a row together: by time, of equal times that of the highest id."""
    sizes = [len(row.ids) for row in rows]
    ids = np.concatenate([np.sort(np.array(row.ids, np.int64)) for row in rows])
    distinct, place = np.unique(ids, return_inverse=True)
    found = view.samples(distinct, start_us, end_us)
    counts = np.diff(found.offsets)[place]
    # Where in `found` each sample of each id of each row lies, and which row it belongs to.
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
    return Loaded([row.labels for row in rows], offsets, times[last], values[last])
