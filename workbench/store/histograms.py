"""Native histograms of several series as plain arrays, with a ragged layout of their buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.schema import KINDS

_TYPES = (
    np.int32, np.int8, np.float64, np.float64, np.float64, np.float64,
    np.int64, np.int64, np.float64, np.int64, np.float64,
)  # fmt: skip

KEY_BIAS = 1 << 40
"""A bucket's key is its index plus this, negated on the negative side: keys ascend as the values in buckets do."""


class Histograms(NamedTuple):
    """n native histograms. The buckets of histogram i are [bucket_offsets[i]:bucket_offsets[i + 1]] of keys and counts.

    schemas: int32[n] (-53: bounds of its own, bounds[bound_offsets[i]:bound_offsets[i + 1]]); hints: int8[n]
    (`schema.RESET_UNKNOWN` and its kin); counts, sums, zero_thresholds, zero_counts: float64[n]; keys: int64[m],
    ascending within a histogram, see `KEY_BIAS`; buckets: float64[m], observations; bounds: float64[b].
    """

    schemas: np.ndarray
    hints: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    zero_thresholds: np.ndarray
    zero_counts: np.ndarray
    bucket_offsets: np.ndarray
    keys: np.ndarray
    buckets: np.ndarray
    bound_offsets: np.ndarray
    bounds: np.ndarray

    @property
    def size(self) -> int:
        """How many histograms there are."""
        return len(self.schemas)

    def take(self, places: np.ndarray) -> Histograms:
        """Some of the histograms, in that order."""
        bucket_offsets, buckets_at = _ragged(self.bucket_offsets, places)
        bound_offsets, bounds_at = _ragged(self.bound_offsets, places)
        simple = [column[places] for column in self[:6]]
        buckets = [bucket_offsets, self.keys[buckets_at], self.buckets[buckets_at]]
        return Histograms._make([*simple, *buckets, bound_offsets, self.bounds[bounds_at]])


@dataclass(frozen=True)
class HistogramSamples:
    """Native histograms of several series: those of `ids[i]` are `[offsets[i]:offsets[i + 1]]` of times and histograms.

    ids: int64[n], ascending; offsets: int64[n + 1]; times_us: int64[m], microseconds since 1970 UTC, ascending within a
    series and unique; stale: bool[m], a staleness marker instead of a histogram; starts_us: int64[m], when it began to
    count, 0 where that is not known.
    """

    ids: np.ndarray
    offsets: np.ndarray
    times_us: np.ndarray
    stale: np.ndarray
    starts_us: np.ndarray
    histograms: Histograms

    def where(self, mask: np.ndarray) -> HistogramSamples:
        """Only the samples of a mask, bool[m]."""
        if mask.all():
            return self
        kept = np.flatnonzero(mask)
        return HistogramSamples(
            self.ids,
            np.concatenate(([0], np.cumsum(mask)))[self.offsets].astype(np.int64),
            self.times_us[kept],
            self.stale[kept],
            self.starts_us[kept],
            self.histograms.take(kept),
        )


def no_histograms() -> Histograms:
    """None."""
    none, zero = np.empty(0), np.zeros(1, np.int64)
    whole = none.astype(np.int64)
    return Histograms(
        none.astype(np.int32), none.astype(np.int8), none, none, none, none, zero, whole, none, zero, none
    )


def concatenate_histograms(parts: list[Histograms]) -> Histograms:
    """The histograms of all parts, one after another."""
    if len(parts) == 1:
        return parts[0]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    for place in (6, 9):
        sizes = [np.diff(part[place]) for part in parts]
        columns[place] = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    return Histograms._make(columns)


def from_rows(rows: pa.Table, ids: np.ndarray) -> HistogramSamples:
    """Rows of `samples` of type 1, one per series and time, in any order; `ids` (ascending) holds all their series."""
    series = rows["series"].to_numpy()
    times = rows["time"].cast(pa.int64()).to_numpy()
    order = np.lexsort((times, series))
    rows = rows.take(pa.array(order))
    counts = np.bincount(np.searchsorted(ids, series), minlength=len(ids))
    return HistogramSamples(
        ids,
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        times[order],
        pc.fill_null(rows["stale"], False).to_numpy(),
        pc.fill_null(rows["start_time"].cast(pa.int64()), 0).to_numpy(),
        from_column(rows["histogram"]),
    )


def from_column(column: pa.ChunkedArray) -> Histograms:
    """Values of `schema.NATIVE_HISTOGRAM`; what is null becomes one without observations."""
    kind = KINDS["samples"].schema.field("histogram").type
    if not len(column):
        return no_histograms()
    packed = column.combine_chunks()
    field = dict(zip((field.name for field in kind), packed.flatten(), strict=True))
    positive_sizes, positive_indexes, positive_counts = _side(field, "positive")
    negative_sizes, negative_indexes, negative_counts = _side(field, "negative")
    starts = np.concatenate(([0], np.cumsum(positive_sizes + negative_sizes)))
    keys, buckets = np.empty(starts[-1], np.int64), np.empty(starts[-1])
    # The negative side comes first, and from its end.
    at = np.repeat(starts[:-1] + negative_sizes - 1, negative_sizes) - _within(negative_sizes)
    keys[at], buckets[at] = -(negative_indexes + KEY_BIAS), negative_counts
    at = np.repeat(starts[:-1] + negative_sizes, positive_sizes) + _within(positive_sizes)
    keys[at], buckets[at] = positive_indexes + KEY_BIAS, positive_counts
    bound_sizes = pc.fill_null(pc.list_value_length(field["custom_bounds"]), 0).to_numpy()
    missing = {"schema": 0, "reset_hint": 0, "count": 0.0, "sum": np.nan, "zero_threshold": 0.0, "zero_count": 0.0}
    simple = [pc.fill_null(field[name], value).to_numpy() for name, value in missing.items()]
    bound_offsets = np.concatenate(([0], np.cumsum(bound_sizes)))
    return _made([*simple, starts, keys, buckets, bound_offsets, field["custom_bounds"].flatten().to_numpy()])


def histogram_values(held: Histograms) -> list[dict[str, Any]]:
    """Each as a value of `schema.NATIVE_HISTOGRAM`: what `from_column` reads."""
    names = ("schema", "reset_hint", "count", "sum", "zero_threshold", "zero_count")
    found = []
    for place, simple in enumerate(zip(*(column.tolist() for column in held[:6]), strict=True)):
        part = slice(held.bucket_offsets[place], held.bucket_offsets[place + 1])
        populated = held.buckets[part] != 0
        keys, counts = held.keys[part][populated], held.buckets[part][populated]
        value: dict[str, Any] = dict(zip(names, simple, strict=True))
        # The negative side is kept from its end.
        for side, there, step in (("positive", keys > 0, 1), ("negative", keys < 0, -1)):
            value[f"{side}_indexes"] = (np.abs(keys[there]) - KEY_BIAS)[::step].tolist()
            value[f"{side}_counts"] = counts[there][::step].tolist()
        value["custom_bounds"] = held.bounds[held.bound_offsets[place] : held.bound_offsets[place + 1]].tolist()
        found.append(value)
    return found


def _made(columns: Sequence[np.ndarray]) -> Histograms:
    """From columns of any origin: kernels are compiled once per type, and what Arrow lends may not be written to."""
    return Histograms._make(np.require(one, kind, ("C", "W")) for one, kind in zip(columns, _TYPES, strict=True))


def _side(field: dict[str, pa.Array], side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(how many buckets each has, their indexes, their counts)."""
    indexes, counts = field[f"{side}_indexes"], field[f"{side}_counts"]
    sizes = pc.fill_null(pc.list_value_length(indexes), 0).to_numpy().astype(np.int64)
    return sizes, indexes.flatten().to_numpy().astype(np.int64), counts.flatten().to_numpy()


def _within(sizes: np.ndarray) -> np.ndarray:
    """0, 1, … for each size."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)


def _ragged(offsets: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """New offsets, and where the parts of these places are."""
    sizes = np.diff(offsets)[places]
    at = np.repeat(offsets[:-1][places], sizes) + _within(sizes)
    return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64), at


def histograms_to_tables(found: HistogramSamples) -> list[pa.Table]:
    """Columns of series, of samples, of buckets and of bounds, to be sent elsewhere."""
    held = found.histograms
    columns = dict(zip(Histograms._fields[:6], held[:6], strict=True))
    sizes = {"bucket_count": np.diff(held.bucket_offsets), "bound_count": np.diff(held.bound_offsets)}
    samples = {"time": found.times_us, "stale": found.stale, "start": found.starts_us, **columns, **sizes}
    return [
        pa.table({"offset": found.offsets}),
        pa.table(samples),
        pa.table({"key": held.keys, "bucket": held.buckets}),
        pa.table({"bound": held.bounds}),
    ]


def histograms_from_tables(ids: np.ndarray, tables: list[pa.Table]) -> HistogramSamples:
    """What `histograms_to_tables` sent, of series with these ids (ascending)."""
    offsets, samples, buckets, bounds = tables
    column = {name: samples[name].to_numpy() for name in samples.column_names}
    starts = {
        name: np.concatenate(([0], np.cumsum(column[name]))).astype(np.int64)
        for name in ("bucket_count", "bound_count")
    }
    simple = [column[name] for name in Histograms._fields[:6]]
    ragged = [buckets["key"].to_numpy(), buckets["bucket"].to_numpy()]
    held = _made([*simple, starts["bucket_count"], *ragged, starts["bound_count"], bounds["bound"].to_numpy()])
    return HistogramSamples(ids, offsets["offset"].to_numpy(), column["time"], column["stale"], column["start"], held)
