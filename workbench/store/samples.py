"""Samples of several series as compressed sparse rows, and the kernels that sort, merge and cut them.

A `Run` is sorted by series id, then time, with one row per (series, time). `sequences` says which of two rows is newer:
segment << 40 | row, so the highest (segment, row) wins wherever two runs meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

NO_LIMIT_US = np.iinfo(np.int64).max
_SPARSE = 16  # ids spread over more than this many times their rows are ranked by sorting instead of counting


@dataclass(frozen=True)
class Samples:
    """Float samples of several series: those of `ids[i]` are `[offsets[i]:offsets[i + 1]]` of times and values.

    ids: int64[n], ascending; offsets: int64[n + 1]; times_us: int64[m], microseconds since 1970 UTC, ascending within a
    series and unique; values: float64[m]. A staleness marker has the bit pattern `schema.STALE_NAN_BITS`. A series
    without samples in the range is there, and empty.
    """

    ids: np.ndarray
    offsets: np.ndarray
    times_us: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


class Run(NamedTuple):
    """A sorted, unique run of samples: `Samples` and the sequence of every row."""

    ids: np.ndarray
    offsets: np.ndarray
    times: np.ndarray
    values: np.ndarray
    sequences: np.ndarray

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self.times)


def empty_run() -> Run:
    """A run of nothing."""
    none = np.empty(0, np.int64)
    return Run(none, np.zeros(1, np.int64), none, np.empty(0, np.float64), none)


def compile_kernels() -> None:
    """Compile, or load from the cache, all kernels: seconds that no query should have to wait for."""
    one = np.ones(1, np.int64)
    run = sort_run(one, one, np.ones(1), one)
    drop_before(merge_runs(run, gather(run, one, 0, 1)), 0, 0)


def sort_run(series: np.ndarray, times: np.ndarray, values: np.ndarray, sequences: np.ndarray) -> Run:
    """Bring rows in any order into a run; of equal (series, time) the highest sequence stays."""
    if not len(series):
        return empty_run()
    low, high = int(series.min()), int(series.max())
    if high - low < _SPARSE * len(series) + 4096:
        ids = np.arange(low, high + 1)
        ranks = series - low
    else:
        ids, ranks = np.unique(series, return_inverse=True)
    return Run(*_sort(ids, ranks, times, values, sequences))


@njit(cache=True, nogil=True)
def _sort(ids, ranks, times, values, sequences):  # type: ignore[no-untyped-def]
    """Counting sort by series, which keeps the order of arrival; times are sorted only where that is not theirs."""
    n = len(ids)
    starts = np.zeros(n + 1, np.int64)
    for rank in ranks:
        starts[rank + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    fill = starts[:-1].copy()
    m = len(times)
    t, v, s = np.empty(m, np.int64), np.empty(m, np.float64), np.empty(m, np.int64)
    for row in range(m):
        at = fill[ranks[row]]
        fill[ranks[row]] += 1
        t[at], v[at], s[at] = times[row], values[row], sequences[row]
    kept_ids = np.empty(n, np.int64)
    offsets = np.zeros(n + 1, np.int64)
    series = 0
    out = 0
    for i in range(n):
        lo, hi = starts[i], starts[i + 1]
        if lo == hi:
            continue
        for at in range(lo + 1, hi):
            if t[at] < t[at - 1]:
                order = np.argsort(t[lo:hi], kind="mergesort") + lo
                t[lo:hi], v[lo:hi], s[lo:hi] = t[order], v[order], s[order]
                break
        first = out
        for at in range(lo, hi):
            if out > first and t[out - 1] == t[at]:
                if s[at] >= s[out - 1]:
                    v[out - 1], s[out - 1] = v[at], s[at]
            else:
                t[out], v[out], s[out] = t[at], v[at], s[at]
                out += 1
        kept_ids[series] = ids[i]
        series += 1
        offsets[series] = out
    return kept_ids[:series].copy(), offsets[: series + 1].copy(), t[:out].copy(), v[:out].copy(), s[:out].copy()


def merge_runs(left: Run, right: Run) -> Run:
    """The union of two runs; of equal (series, time) the highest sequence stays."""
    return Run(*_merge(*left, *right))


@njit(cache=True, nogil=True)
def _merge(ids_a, offsets_a, t_a, v_a, s_a, ids_b, offsets_b, t_b, v_b, s_b):  # type: ignore[no-untyped-def]
    room = len(t_a) + len(t_b)
    t, v, s = np.empty(room, np.int64), np.empty(room, np.float64), np.empty(room, np.int64)
    ids = np.empty(len(ids_a) + len(ids_b), np.int64)
    offsets = np.zeros(len(ids) + 1, np.int64)
    i = j = n = out = 0
    while i < len(ids_a) or j < len(ids_b):
        a = a_end = b = b_end = 0
        if j == len(ids_b) or (i < len(ids_a) and ids_a[i] <= ids_b[j]):
            ids[n] = ids_a[i]
        else:
            ids[n] = ids_b[j]
        if i < len(ids_a) and ids_a[i] == ids[n]:
            a, a_end = offsets_a[i], offsets_a[i + 1]
            i += 1
        if j < len(ids_b) and ids_b[j] == ids[n]:
            b, b_end = offsets_b[j], offsets_b[j + 1]
            j += 1
        while a < a_end or b < b_end:
            both = a < a_end and b < b_end
            if both and t_a[a] == t_b[b]:
                if s_a[a] > s_b[b]:
                    t[out], v[out], s[out] = t_a[a], v_a[a], s_a[a]
                else:
                    t[out], v[out], s[out] = t_b[b], v_b[b], s_b[b]
                a += 1
                b += 1
            elif b == b_end or (both and t_a[a] < t_b[b]):
                t[out], v[out], s[out] = t_a[a], v_a[a], s_a[a]
                a += 1
            else:
                t[out], v[out], s[out] = t_b[b], v_b[b], s_b[b]
                b += 1
            out += 1
        n += 1
        offsets[n] = out
    return ids[:n].copy(), offsets[: n + 1].copy(), t[:out].copy(), v[:out].copy(), s[:out].copy()


def gather(run: Run, ids: np.ndarray, start_us: int, end_us: int) -> Run:
    """The samples of `ids` (ascending) with start <= time <= end; a series without any is there, and empty."""
    return Run(*_gather(*run, ids, start_us, end_us))


@njit(cache=True, nogil=True)
def _gather(run_ids, run_offsets, times, values, sequences, ids, start, end):  # type: ignore[no-untyped-def]
    n = len(ids)
    firsts = np.zeros(n, np.int64)
    offsets = np.zeros(n + 1, np.int64)
    at = 0
    for i in range(n):
        at += np.searchsorted(run_ids[at:], ids[i])
        count = 0
        if at < len(run_ids) and run_ids[at] == ids[i]:
            lo, hi = run_offsets[at], run_offsets[at + 1]
            firsts[i] = lo + np.searchsorted(times[lo:hi], start)
            count = max(lo + np.searchsorted(times[lo:hi], end, side="right") - firsts[i], 0)
        offsets[i + 1] = offsets[i] + count
    m = offsets[n]
    t, v, s = np.empty(m, np.int64), np.empty(m, np.float64), np.empty(m, np.int64)
    for i in range(n):
        lo, count = firsts[i], offsets[i + 1] - offsets[i]
        to = offsets[i]
        t[to : to + count] = times[lo : lo + count]
        v[to : to + count] = values[lo : lo + count]
        s[to : to + count] = sequences[lo : lo + count]
    return ids.copy(), offsets, t, v, s


def drop_before(run: Run, bound_us: int, sealed: int) -> Run:
    """The run without the rows that are older than the bound and not newer than the sequence `sealed`."""
    return Run(*_drop(*run, bound_us, sealed))


@njit(cache=True, nogil=True)
def _drop(ids, offsets, times, values, sequences, bound, sealed):  # type: ignore[no-untyped-def]
    keep = (times >= bound) | (sequences > sealed)
    counts = np.zeros(len(ids) + 1, np.int64)
    kept_ids = np.empty(len(ids), np.int64)
    n = out = 0
    for i in range(len(ids)):
        before = out
        for at in range(offsets[i], offsets[i + 1]):
            out += keep[at]
        if out > before:
            kept_ids[n] = ids[i]
            n += 1
            counts[n] = out
    return kept_ids[:n].copy(), counts[: n + 1].copy(), times[keep], values[keep], sequences[keep]


def float_rows(
    rows: pa.Table | pa.RecordBatch, first_sequence: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Series, times, values and sequences of the float samples among rows that have segment and row, or follow on."""
    if first_sequence is None:
        sequences = numbers(rows.column("segment")) << 40 | numbers(rows.column("row"))
    else:
        sequences = np.arange(first_sequence, first_sequence + rows.num_rows)
    types = rows.column("type")
    series, times = numbers(rows.column("series")), numbers(rows.column("time").cast(pa.int64()))
    known = "value" in rows.schema.names
    values = numbers(rows.column("value")) if known else np.full(rows.num_rows, np.nan)
    floats = numbers(types) == 0
    if floats.all():
        return series, times, values, sequences
    return series[floats], times[floats], values[floats], sequences[floats]


def numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column as numpy has it."""
    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
