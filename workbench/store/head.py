"""The head: recent samples in memory, so that recent queries never touch the disk.

A log-structured merge: what arrives is appended to an unsorted tail; a query sorts the tail into a run, and runs are
merged so that their sizes fall geometrically. It holds every sample with a time from `complete_from_us` on, and of the
older ones at least those that are not in the lake yet.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from workbench.store.samples import NO_LIMIT_US, Run, drop_before, empty_run, gather, merge_runs, sort_run

_SLACK = 1.125  # pruning copies everything, so it waits until an eighth could go


class Snapshot(NamedTuple):
    """What the head held at one moment."""

    runs: tuple[Run, ...]
    complete_from_us: int

    def samples(self, ids: np.ndarray, start_us: int, end_us: int) -> Run:
        """The samples of `ids` (ascending, unique) with start <= time <= end, newest row of each time."""
        parts = [gather(run, ids, start_us, end_us) for run in self.runs]
        if not parts:
            return gather(empty_run(), ids, start_us, end_us)
        merged = parts.pop()
        while parts:
            merged = merge_runs(parts.pop(), merged)
        return merged


class Head:
    """Recent samples of all series; thread-safe. `add` is quick, for the thread that acknowledges writes."""

    def __init__(self, complete_from_us: int = NO_LIMIT_US) -> None:
        self._guard = threading.Lock()  # guards _tail, _tail_rows, latest_us
        self._merging = threading.Lock()  # guards _runs and complete_from_us; taken before _guard
        self._tail: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._tail_rows = 0
        self._runs: list[Run] = []
        self._complete_from_us = complete_from_us
        self.latest_us = 0

    @property
    def rows(self) -> int:
        """Samples held, doubles in the tail included."""
        return self._tail_rows + sum(run.rows for run in self._runs)

    def add(self, series: np.ndarray, times: np.ndarray, values: np.ndarray, sequences: np.ndarray) -> None:
        """Append rows; the arrays are kept, not copied. int64, int64, float64, int64, all of one length."""
        if not len(series):
            return
        latest = int(times.max())
        with self._guard:
            self._tail.append((series, times, values, sequences))
            self._tail_rows += len(series)
            self.latest_us = max(self.latest_us, latest)

    def snapshot(self) -> Snapshot:
        """What is there now, sorted."""
        with self._merging:
            self._sort_tail()
            return Snapshot(tuple(self._runs), self._complete_from_us)

    def prune(self, bound_us: int, sealed: int, max_rows: int) -> None:
        """Let go of what is older than the bound, and of the oldest over `max_rows`; never of what is not sealed.

        `sealed` is the highest sequence that the lake is known to hold. `complete_from_us` rises at once, the memory
        follows when it pays.
        """
        with self._merging:
            self._sort_tail()
            self._complete_from_us = max(self._complete_from_us, bound_us)
            held = sum(run.rows for run in self._runs)
            old = sum(int(np.count_nonzero(run.times < self._complete_from_us)) for run in self._runs)
            if held > max_rows * _SLACK:
                times = np.concatenate([run.times for run in self._runs])
                oldest = len(times) - max_rows
                self._complete_from_us = max(self._complete_from_us, int(np.partition(times, oldest)[oldest]))
            elif old * _SLACK < held * (_SLACK - 1):
                return
            kept = [drop_before(run, self._complete_from_us, sealed) for run in self._runs]
            self._runs = [run for run in kept if run.rows]

    def _sort_tail(self) -> None:
        with self._guard:
            taken = list(self._tail)
        if not taken:
            return
        columns = [np.concatenate(column) if len(taken) > 1 else column[0] for column in zip(*taken, strict=True)]
        self._runs.append(sort_run(*columns))
        with self._guard:
            del self._tail[: len(taken)]
            self._tail_rows -= len(columns[0])
        while len(self._runs) > 1 and self._runs[-2].rows < 2 * self._runs[-1].rows:
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(merge_runs(older, newer))
