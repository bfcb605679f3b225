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

_LARGE_ROWS = 1 << 18  # merging more would keep a query waiting for milliseconds


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
    """Recent samples of all series; thread-safe.

    `add` is quick, for the thread that acknowledges writes. A query sorts what was added since the last one and merges
    small runs alone; large ones are merged by `prune`, which nobody waits for.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards _tail, _tail_rows, latest_us
        self._merging = threading.Lock()  # guards _runs and the two times; taken before _guard
        self._pruning = threading.Lock()  # one prune at a time; taken before _merging
        self._tail: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._tail_rows = 0
        self._runs: list[Run] = []  # the large ones first
        self._complete_from_us = NO_LIMIT_US
        self._pruned_to_us = 0
        self.latest_us = 0

    @property
    def rows(self) -> int:
        """Samples held, doubles not yet merged included."""
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

    def now_complete_from(self, time_us: int) -> None:
        """Every sample from that time on was added, as far as it was not pruned since."""
        with self._merging:
            self._complete_from_us = max(time_us, self._pruned_to_us)

    def snapshot(self) -> Snapshot:
        """What is there now, sorted."""
        with self._merging:
            self._sort_tail()
            return Snapshot(tuple(self._runs), self._complete_from_us)

    def prune(self, bound_us: int, sealed: int, max_rows: int) -> None:
        """Let go of what is older than the bound, and of the oldest over `max_rows`; never of what is not sealed.

        `sealed` is the highest sequence that the lake is known to hold. `complete_from_us` rises before anything goes.
        """
        with self._pruning:
            runs = self.snapshot().runs
            if sum(run.rows for run in runs) > max_rows:
                times = np.concatenate([run.times for run in runs])
                oldest = len(times) - max_rows
                bound_us = max(bound_us, int(np.partition(times, oldest)[oldest]))
            with self._merging:
                self._pruned_to_us = max(self._pruned_to_us, bound_us)
                self._complete_from_us = max(self._complete_from_us, bound_us)
                large = [run for run in self._runs if run.rows >= _LARGE_ROWS]
            # Nobody else touches the large runs, so queries go on with them while their successors are made.
            kept: list[Run] = []
            for run in large:
                _push(kept, drop_before(run, bound_us, sealed))
            with self._merging:
                small = [drop_before(run, bound_us, sealed) for run in self._runs[len(large) :]]
                self._runs = [run for run in [*kept, *small] if run.rows]

    def _sort_tail(self) -> None:
        with self._guard:
            taken = list(self._tail)
        if not taken:
            return
        columns = [np.concatenate(column) if len(taken) > 1 else column[0] for column in zip(*taken, strict=True)]
        _push(self._runs, sort_run(*columns), below=_LARGE_ROWS)
        with self._guard:
            del self._tail[: len(taken)]
            self._tail_rows -= len(columns[0])


def _push(runs: list[Run], run: Run, *, below: int = NO_LIMIT_US) -> None:
    """Append a run, and merge from the end until sizes fall geometrically; never into one of `below` rows."""
    runs.append(run)
    while len(runs) > 1 and runs[-2].rows < min(2 * runs[-1].rows, below):
        newer, older = runs.pop(), runs.pop()
        runs.append(merge_runs(older, newer))
