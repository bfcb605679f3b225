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
    ids = np.unique(np.array([number for row in rows for number in row.ids], np.int64))
    found = view.samples(ids, start_us, end_us)
    times: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for row in rows:
        places = np.searchsorted(ids, sorted(row.ids))
        slices = [slice(found.offsets[place], found.offsets[place + 1]) for place in places]
        row_times = np.concatenate([found.times_us[part] for part in slices])
        row_values = np.concatenate([found.values[part] for part in slices])
        if row.kind == "info":
            row_times = np.unique(row_times[~is_stale(row_values)])
            row_values = np.ones(len(row_times))
        elif len(slices) > 1:
            row_times, row_values = _last_wins(row_times, row_values)
        times.append(row_times)
        values.append(row_values)
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in times]))).astype(np.int64)
    return Loaded([row.labels for row in rows], offsets, _joined(times, np.int64), _joined(values, np.float64))


def _last_wins(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort by time; of equal times the one that stood last (the highest series id) stays."""
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.append(times[1:] != times[:-1], True) if len(times) else np.empty(0, bool)
    return times[last], values[last]


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)
