"""Pieces of time, series after series: buckets of a roll-up and, after the last, samples folded the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from workbench.schema import ROLLUP_US

if TYPE_CHECKING:
    from workbench.store import View


MERGED: dict[str, tuple[str, ...]] = {
    "sum_over_time": ("sum",),
    "avg_over_time": ("sum", "count"),
    "min_over_time": ("min",),
    "max_over_time": ("max",),
    "count_over_time": ("count",),
    "first_over_time": ("first",),
    "last_over_time": ("last",),
    "present_over_time": ("count",),
    "resets": ("first", "last", "resets"),
    "changes": ("first", "last", "changes"),
    "rate": ("count", "first_time", "first", "last_time", "last", "lost_to_resets"),
    "increase": ("count", "first_time", "first", "last_time", "last", "lost_to_resets"),
    "delta": ("count", "first_time", "first", "last_time", "last", "lost_to_resets"),
}
"""Function -> the columns of a roll-up that it is answered from."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of n series: those of series s are [offsets[s]:offsets[s + 1]], each ending at its `times_us`, ascending.

    `rows` holds the columns of `schema.ROLLUPS` that were asked for. Only pieces with a sample are there.
    """

    offsets: np.ndarray
    times_us: np.ndarray
    rows: pa.Table

    def column(self, name: str) -> np.ndarray:
        """A column as numpy; times as int64 microseconds."""
        column = self.rows[name]
        return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_numpy()


def read_pieces(
    view: View, level: str, ids: np.ndarray, start_us: int, end_us: int, until_us: int, columns: Sequence[str]
) -> Pieces:
    """The pieces of series (ids ascending) that make up (start_us, end_us].

    They are buckets of the level up to `until_us`, behind it samples folded into buckets of the same width. Both ends
    are multiples of the width.
    """
    from workbench.store import fold

    names = list(dict.fromkeys(("series", "time", "count", *columns)))
    parts = []
    if start_us < min(until_us, end_us):
        parts.append(view.rollups(level, ids, start_us + 1, min(until_us, end_us), names[2:]).select(names))
    if until_us < end_us:
        found = view.samples(ids, max(until_us, start_us) + 1, end_us)
        tail = fold(found.ids, found.offsets, found.times_us, found.values, ROLLUP_US[level])
        parts.append(tail.select(names))
    rows = pa.concat_tables(parts)
    series, times = rows["series"].to_numpy(), rows["time"].cast(pa.int64()).to_numpy()
    order = np.lexsort((times, series)) if len(parts) > 1 else np.arange(len(series))
    order = order[rows["count"].to_numpy()[order] > 0]
    rows = rows.take(pa.array(order))
    offsets = np.searchsorted(series[order], ids)
    return Pieces(np.append(offsets, len(order)).astype(np.int64), times[order], rows)
