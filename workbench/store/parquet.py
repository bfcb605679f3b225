"""Parquet files of the lake: how they are written, and how few bytes of them are read.

Rows are sorted (samples by series and time), so the minimum and maximum that Parquet keeps of each row group say
which groups can hold a series or a time at all; the others are never decoded.
"""

from __future__ import annotations

import functools
import json
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.schema import TABLES, Kind
from workbench.store.committer import full_sync
from workbench.store.layout import sync_folder
from workbench.store.rows import microseconds, take

ROW_GROUP_ROWS = 131_072

# Time stamps and counting numbers lie as deltas; floats byte by byte, which zstd then shrinks.
_DELTAS = ("series", "time", "segment", "row", "count", "first_time", "last_time", "stale_time")
_ZSTD_LEVEL = 1
# The disk's journal takes syncs that wait together in one go: 1,500 small files took 4.9 s with one thread, 0.4 s with
# four, 0.2 s with sixteen.
_SYNC_THREADS = 4


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table as Delta knows it. Bounds of series and time (microseconds) are both included."""

    path: str
    day: str | None
    rows: int
    size_bytes: int
    series: tuple[int, int] | None
    time_us: tuple[int, int] | None
    modified_ms: int = 0

    @property
    def name(self) -> str:
        """File name without folder: `part-…` as sealed, `block-…` or `day-…` as merged."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def partition_values(self) -> dict[str, str | None]:
        """Values of the partition columns, as Delta writes them."""
        return {"day": self.day} if self.day is not None else {}

    def statistics(self, kind: Kind) -> str:
        """The statistics by which other engines leave a file out, as Delta's protocol spells them (JSON)."""
        low: dict[str, Any] = {}
        high: dict[str, Any] = {}
        if self.series is not None:
            low["series"], high["series"] = self.series
        if self.time_us is not None:
            low[kind.time], high[kind.time] = (_iso(us) for us in self.time_us)
        nulls = dict.fromkeys(low, 0)
        return json.dumps({"numRecords": self.rows, "minValues": low, "maxValues": high, "nullCount": nulls})


def file_schema(kind: Kind) -> pa.Schema:
    """Arrow schema inside a file: the stored one without the partition column."""
    return pa.schema([field for field in kind.stored if field.name != "day"])


def write_file(folder: Path, kind: Kind, table: pa.Table, *, day: str | None, prefix: str) -> DataFile:
    """Write sorted rows of one day as one file below the table's folder; durable after `sync_files`."""
    writer = FileWriter(folder, kind, day=day, prefix=prefix)
    try:
        writer.write(table)
        return writer.close()
    except BaseException:
        writer.discard()
        raise


class FileWriter:
    """Writes one file in pieces that come in sorted order; end with `close`, or with `discard`."""

    def __init__(self, folder: Path, kind: Kind, *, day: str | None, prefix: str) -> None:
        name = f"{prefix}-{uuid.uuid4().hex[:16]}.parquet"
        self.kind = kind
        self.day = day
        self.relative = f"day={day}/{name}" if day is not None else name
        self.path = folder / self.relative
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self._series: list[tuple[int, int]] = []
        self._times: list[tuple[int, int]] = []
        self._writer = pq.ParquetWriter(self.path, file_schema(kind), **_encodings(kind.name))

    def write(self, table: pa.Table) -> None:
        """Add rows that follow, in the file's order, those written before."""
        if not table.num_rows:
            return
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        self.rows += table.num_rows
        if "series" in self.kind.key:
            self._series.append(_bounds(table["series"].to_numpy()))
        if self.kind.time:
            self._times.append(_bounds(microseconds(table[self.kind.time])))

    @property
    def size_bytes(self) -> int:
        """Bytes on disk so far."""
        return self.path.stat().st_size

    def close(self) -> DataFile:
        """End the file; what Delta has to know of it. It is durable after `sync_files`."""
        self._writer.close()
        found = self.path.stat()
        return DataFile(
            path=self.relative,
            day=self.day,
            rows=self.rows,
            size_bytes=found.st_size,
            series=_span(self._series),
            time_us=_span(self._times),
            modified_ms=int(found.st_mtime * 1000),
        )

    def discard(self) -> None:
        """Take the file away."""
        try:
            self._writer.close()
        finally:  # it writes a footer, for which a full disk has no room
            self.path.unlink(missing_ok=True)


def sync_files(folder: Path, files: Sequence[DataFile]) -> None:
    """Return when these files of a table, and their names, are on the disk itself."""
    paths = [folder / file.path for file in files]
    if not paths:
        return
    folders = {path.parent for path in paths} | {folder}
    with ThreadPoolExecutor(min(_SYNC_THREADS, len(paths))) as pool:
        for done in (pool.map(sync_file, paths), pool.map(sync_folder, folders)):
            list(done)  # raises what a sync raised


def discard_files(folder: Path, files: Sequence[DataFile]) -> None:
    """Take files away that no commit names."""
    for file in files:
        (folder / file.path).unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Return when the file's bytes are on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        full_sync(descriptor)
    finally:
        os.close(descriptor)


@functools.cache
def _encodings(kind_name: str) -> dict[str, Any]:
    """Options of the Parquet writer for a kind. Encodings by measurement: `docs/store.md`."""
    kind = TABLES[kind_name]
    schema = file_schema(kind)
    deltas = {name: "DELTA_BINARY_PACKED" for name in (*_DELTAS, kind.time) if name in schema.names}
    floats = {f.name: "BYTE_STREAM_SPLIT" for f in schema if f.type == pa.float64() and f.name != "bound"}
    memory = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), memory)
    leaves = pq.ParquetFile(pa.BufferReader(memory.getvalue())).schema
    paths = [leaves.column(i).path for i in range(len(leaves))]
    return {
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "use_dictionary": [path for path in paths if path not in deltas and path not in floats],
        "column_encoding": {**deltas, **floats},
        "write_statistics": True,
        "write_page_checksum": True,
    }


@dataclass(frozen=True)
class _Groups:
    """The row groups of one file: bounds of series and time, by group number."""

    metadata: pq.FileMetaData
    series: np.ndarray | None
    times: np.ndarray | None


def read_rows(
    path: str,
    kind: Kind,
    columns: Sequence[str],
    *,
    ids: np.ndarray | None = None,
    start_us: int | None = None,
    end_us: int | None = None,
) -> pa.Table:
    """Rows of one file: of the sorted `ids` (all if None), with `start_us` <= time <= `end_us`."""
    groups = _groups(path, kind.name)
    chosen = _choose(groups, ids, start_us, end_us)
    file = pq.ParquetFile(path, metadata=groups.metadata, memory_map=True, pre_buffer=False)
    table = file.read_row_groups(chosen.tolist(), columns=list(columns), use_threads=False)
    keep = None
    if ids is not None:
        keep = _rows_of(table["series"].to_numpy(), ids)
    if kind.time and (start_us is not None or end_us is not None):
        times = microseconds(table[kind.time])
        if keep is not None:
            times = times[keep]
        inside = np.ones(len(times), bool)
        if start_us is not None:
            inside &= times >= start_us
        if end_us is not None:
            inside &= times <= end_us
        keep = np.flatnonzero(inside) if keep is None else keep[inside]
    return table if keep is None or len(keep) == table.num_rows else take(table, keep)


def read_span(path: str, kind: Kind, low: int, high: int, *, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one file with `low` <= series < `high`; all columns, or these and `series`."""
    groups = _groups(path, kind.name)
    assert groups.series is not None
    chosen = np.flatnonzero((groups.series[:, 1] >= low) & (groups.series[:, 0] < high))
    file = pq.ParquetFile(path, metadata=groups.metadata, memory_map=True, pre_buffer=False)
    table = file.read_row_groups(chosen.tolist(), columns=columns and list(columns), use_threads=False)
    first, last = np.searchsorted(table["series"].to_numpy(), [low, high])
    return table.slice(first, last - first)


def series_groups(path: str, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Lowest series, and number of rows, of each row group of one file."""
    groups = _groups(path, kind.name)
    assert groups.series is not None
    rows = [groups.metadata.row_group(i).num_rows for i in range(groups.metadata.num_row_groups)]
    return groups.series[:, 0], np.array(rows, np.int64)


def _rows_of(series: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Positions of the rows of some series in a sorted column."""
    starts = np.searchsorted(series, ids, "left")
    counts = np.searchsorted(series, ids, "right") - starts
    total = int(counts.sum())
    if not total:
        return np.empty(0, np.int64)
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(total)


def _choose(groups: _Groups, ids: np.ndarray | None, start_us: int | None, end_us: int | None) -> np.ndarray:
    keep = np.ones(groups.metadata.num_row_groups, bool)
    if ids is not None and groups.series is not None:
        keep &= holds_any(groups.series[:, 0], groups.series[:, 1], ids)
    if groups.times is not None:
        if start_us is not None:
            keep &= groups.times[:, 1] >= start_us
        if end_us is not None:
            keep &= groups.times[:, 0] <= end_us
    return np.flatnonzero(keep)


def holds_any(low: np.ndarray, high: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """For each range low..high (both included): whether one of the sorted ids lies in it."""
    return np.searchsorted(ids, low, "left") < np.searchsorted(ids, high, "right")


@functools.lru_cache(maxsize=4096)
def _groups(path: str, kind_name: str) -> _Groups:
    # Files never change once written, so what their footers say can be kept.
    metadata = pq.read_metadata(path)
    kind = TABLES[kind_name]
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    series = _group_bounds(metadata, names.index("series")) if "series" in names else None
    times = _group_bounds(metadata, names.index(kind.time)) if kind.time else None
    return _Groups(metadata, series, times)


def _group_bounds(metadata: pq.FileMetaData, column: int) -> np.ndarray:
    found = np.empty((metadata.num_row_groups, 2), np.int64)
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(column).statistics
        found[group] = statistics.min_raw, statistics.max_raw
    return found


def _bounds(values: np.ndarray) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _span(bounds: list[tuple[int, int]]) -> tuple[int, int] | None:
    return (min(low for low, _ in bounds), max(high for _, high in bounds)) if bounds else None


def _iso(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
