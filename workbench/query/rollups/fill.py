"""Where samples have gone for their age: which series lost some, and what stands for these samples.

For a plain selector, and for functions that roll-ups cannot answer, every bucket whose samples have gone gives its last
sample, at its own time, and the staleness marker that ended the series in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from workbench import schema
from workbench.query.rollups.levels import Levels
from workbench.schema import ROLLUP_US
from workbench.store import Samples

if TYPE_CHECKING:
    from workbench.store import View

_STALE = np.array([schema.STALE_NAN_BITS], np.uint64).view(np.float64)[0]


def filled(view: View, found: Samples, start_us: int, end_us: int) -> tuple[Samples, np.ndarray | None]:
    """Samples with what stands for those that have gone, and by how much longer each series has to be looked back for.

    The second is int64[n] in microseconds, 0 for a series that has all its samples; None if that are all.
    """
    levels = Levels.of(view.rolled())
    if start_us >= levels.gone_us:
        return found, None
    stretches = list(_stretches(levels, start_us, min(end_us, levels.gone_us)))
    # Whole buckets are compared, so all samples of those at the ends are needed.
    whole = view.samples(found.ids, min(start_us, stretches[-1][1] + 1), max(end_us, stretches[0][2]))
    reach = np.zeros(len(found.ids), np.int64)
    for level, first_us, last_us in stretches:
        there = counts_by_bucket(whole, level, first_us, last_us)
        rows = view.rollups(level, found.ids, first_us + 1, last_us, ("count", "last_time", "last", "stale_time"))
        series = np.searchsorted(found.ids, rows["series"].to_numpy())
        ends = _us(rows["time"])
        lost = there.missing(series, ends, rows["count"].to_numpy())
        if lost.any():
            whole = _with_buckets(whole, level, series[lost], ends[lost], rows.filter(pa.array(lost)))
            reach[np.unique(series[lost])] = ROLLUP_US[level]
    if not reach.any():
        return found, None
    return _between(whole, np.where(reach > 0, -(2**62), start_us), end_us), reach


def poorer(view: View, ids: np.ndarray, level: str, start_us: int, end_us: int) -> np.ndarray:
    """Which series (ids ascending) have fewer samples in (start, end] than their buckets know of: bool[n].

    Both ends are multiples of the level's width.
    """
    if end_us <= start_us:
        return np.zeros(len(ids), bool)
    found = view.samples(ids, start_us + 1, end_us)
    rows = view.rollups(level, ids, start_us + 1, end_us, ("count",))
    known = np.bincount(
        np.searchsorted(ids, rows["series"].to_numpy()), weights=rows["count"].to_numpy(), minlength=len(ids)
    )
    return _present(found) < known


class _Counts:
    """How many samples each bucket of each series has."""

    def __init__(self, keys: np.ndarray, counts: np.ndarray, width_us: int) -> None:
        self._keys, self._counts, self._width_us = keys, counts, width_us

    def missing(self, series: np.ndarray, ends_us: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Which of these buckets know of more samples than there are."""
        wanted = _key(series, ends_us // self._width_us)
        place = np.searchsorted(self._keys, wanted)
        same = place < len(self._keys)
        same[same] = self._keys[place[same]] == wanted[same]
        have = np.zeros(len(wanted), np.int64)
        have[same] = self._counts[place[same]]
        return have < known


def counts_by_bucket(found: Samples, level: str, start_us: int, end_us: int) -> _Counts:
    """Count the samples of (start, end] by series and bucket."""
    width_us = ROLLUP_US[level]
    owner = np.repeat(np.arange(len(found.ids)), np.diff(found.offsets))
    inside = (found.times_us > start_us) & (found.times_us <= end_us) & ~_is_stale(found.values)
    keys, counts = np.unique(_key(owner[inside], -(-found.times_us[inside] // width_us)), return_counts=True)
    return _Counts(keys, counts, width_us)


def _stretches(levels: Levels, start_us: int, end_us: int) -> Iterator[tuple[str, int, int]]:
    """The time from start to end, cut by the finest level that has it: (level, start, end), at bounds of buckets."""
    upper = end_us
    for level, width_us in ROLLUP_US.items():
        floor_us = levels.let_go_us[level] if level != "rollup_1d" else start_us
        lower = max(start_us, floor_us)
        if lower < upper:
            # Whole buckets, and one more: of the first one asked for, the last sample may come too late.
            yield level, (lower // width_us - 1) * width_us, -(-upper // width_us) * width_us
            upper = lower


def _with_buckets(found: Samples, level: str, series: np.ndarray, ends_us: np.ndarray, rows: pa.Table) -> Samples:
    """Samples with those of some buckets replaced by what stands for them."""
    width_us = ROLLUP_US[level]
    owner = np.repeat(np.arange(len(found.ids)), np.diff(found.offsets))
    buckets = np.sort(_key(series, ends_us // width_us))
    own = _key(owner, -(-found.times_us // width_us))
    place = np.minimum(np.searchsorted(buckets, own), len(buckets) - 1)
    kept = buckets[place] != own
    last = rows["count"].to_numpy() > 0
    ended = ~rows["stale_time"].is_null().to_numpy()
    parts = [
        (owner[kept], found.times_us[kept], found.values[kept]),
        (series[last], _us(rows["last_time"].filter(pa.array(last))), rows["last"].to_numpy()[last]),
        (series[ended], _us(rows["stale_time"].filter(pa.array(ended))), np.full(int(ended.sum()), _STALE)),
    ]
    owner, times, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((times, owner))
    offsets = np.searchsorted(owner[order], np.arange(len(found.ids) + 1))
    return Samples(found.ids, offsets.astype(np.int64), times[order], values[order])


def _between(found: Samples, starts_us: np.ndarray, end_us: int) -> Samples:
    """The samples of each series between its start and the end, both included."""
    kept = (found.times_us <= end_us) & (found.times_us >= np.repeat(starts_us, np.diff(found.offsets)))
    before = np.concatenate(([0], np.cumsum(kept)))
    return Samples(found.ids, before[found.offsets], found.times_us[kept], found.values[kept])


def _key(series: np.ndarray, bucket: np.ndarray) -> np.ndarray:
    # Minutes since 1970 fit in 32 bits for long.
    return (series.astype(np.int64) << np.int64(32)) | bucket


def _present(found: Samples) -> np.ndarray:
    """Samples of each series, staleness markers not counted."""
    real = np.concatenate(([0], np.cumsum(~_is_stale(found.values))))
    return np.diff(real[found.offsets])


def _is_stale(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint64) == np.uint64(schema.STALE_NAN_BITS)


def _us(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.int64()).to_numpy()
