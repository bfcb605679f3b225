"""Which files of a table a read has to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.store import parquet
from workbench.store.parquet import DataFile
from workbench.store.rows import DAY_US, day_start_us


@dataclass(frozen=True)
class Snapshot:
    """The files of one table at one version, and their bounds as arrays for pruning (times in microseconds)."""

    files: tuple[DataFile, ...]
    series: np.ndarray
    times: np.ndarray

    def overlapping(self, ids: np.ndarray | None, start_us: int | None, end_us: int | None) -> list[DataFile]:
        """Files that can hold a row of these series in this time."""
        keep = np.ones(len(self.files), bool)
        if ids is not None:
            keep &= parquet.holds_any(self.series[:, 0], self.series[:, 1], ids)
        if start_us is not None:
            keep &= self.times[:, 1] >= start_us
        if end_us is not None:
            keep &= self.times[:, 0] <= end_us
        return [self.files[i] for i in np.flatnonzero(keep)]


def snapshot_of(files: Sequence[DataFile]) -> Snapshot:
    """The snapshot of some files."""
    # A file of another make may lack statistics: then only its day bounds it, and its series are unknown.
    bottom, top = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    series = [file.series or (bottom, top) for file in files]
    times = [file.time_us or _day_bounds(file.day) or (bottom, top) for file in files]
    return Snapshot(
        tuple(files),
        np.array(series, np.int64).reshape(-1, 2),
        np.array(times, np.int64).reshape(-1, 2),
    )


def _day_bounds(day: str | None) -> tuple[int, int] | None:
    return None if day is None else (day_start_us(day), day_start_us(day) + DAY_US - 1)
