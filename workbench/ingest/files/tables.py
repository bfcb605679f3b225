"""CSV and Parquet files, long or wide, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.ingest.files.chunks import Chunk, csv_chunks, parquet_chunks, parquet_schema
from workbench.ingest.files.mapping import Layout, lay_out
from workbench.ingest.files.piece import Piece
from workbench.ingest.files.times import times_us
from workbench.ingest.points import Member
from workbench.store import Identity

PIECE_SAMPLES = 2**19
"""Samples a piece aims at: enough for good Parquet row groups, small enough to hold several in memory."""

_NOT_A_NUMBER = frozenset({"nan", "na", "n/a", "null", "none", ""})


def read_parquet(path: Path, mapping: Mapping[str, str]) -> Iterator[Piece]:
    """Pieces of a Parquet file. Lines are rows, from 1. Raises InputError."""
    schema = parquet_schema(path)
    text = frozenset(f.name for f in schema if not (_is_number(f.type) or pa.types.is_temporal(f.type)))
    layout = lay_out(schema.names, text, mapping, where=str(path))
    columns = [layout.time.column, *layout.values, *layout.labels, *([layout.name] if layout.name else [])]
    rows = max(1, PIECE_SAMPLES // len(layout.values))
    for chunk in parquet_chunks(path, rows, columns=list(dict.fromkeys(columns))):
        yield _piece(chunk, layout, path)


def read_csv(path: Path, mapping: Mapping[str, str]) -> Iterator[Piece]:
    """Pieces of a CSV file with a header, plain or compressed (.gz, .bz2, .zst). Raises InputError."""
    layout: Layout | None = None
    for chunk in csv_chunks(path):
        layout = layout or lay_out(chunk.table.column_names, _text_columns(chunk.table), mapping, where=str(path))
        yield _piece(chunk, layout, path)


def _text_columns(table: pa.Table) -> frozenset[str]:
    """Columns of a CSV that hold text: most of their cells are no numbers."""
    found = set()
    for name in table.column_names:
        cells = table[name].slice(0, 1000).to_pandas()
        if not _parse_numbers(cells)[1].mean() > 0.5:
            found.add(name)
    return frozenset(found)


def _parse_numbers(cells: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(float64[n], which are numbers or say that they are none, which are empty)."""
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    known = ~np.isnan(numbers)
    empty = np.zeros(len(numbers), bool)
    for place in np.flatnonzero(~known):
        word = str(cells.iloc[place]).strip().lower()
        known[place] = word in _NOT_A_NUMBER
        empty[place] = known[place] and word != "nan"
    return numbers, known, empty


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _piece(chunk: Chunk, layout: Layout, path: Path) -> Piece:
    table, lines = chunk.table, chunk.lines
    times, good = times_us(table[layout.time.column], layout.time, where=str(path))
    bad = chunk.bad + chunk.bad_rows(~good, f"{layout.time.column} is no time")
    groups, rows_of_group = _groups(table, layout)
    parts = []
    for number, column in enumerate(layout.values):
        values, known, empty = _values(table[column])
        bad += chunk.bad_rows(good & ~known, f"{column} is no number")
        kept = np.flatnonzero(good & known & ~empty)
        parts.append((groups[kept] * len(layout.values) + number, times[kept], values[kept], lines[kept]))
    members = [_member(table, int(row), layout, column, path) for row in rows_of_group for column in layout.values]
    series, kept_times, kept_values, kept_lines = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Piece(members, series, kept_times, kept_values, kept_lines, bad, chunk.share)


def _groups(table: pa.Table, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Number of the group that a row belongs to by name and labels, and a row of each group."""
    groups = np.zeros(table.num_rows, np.int64)
    for column in [*layout.labels, *([layout.name] if layout.name else [])]:
        codes, known = pd.factorize(table[column].to_pandas(), use_na_sentinel=False)
        _, groups = np.unique(groups * len(known) + codes, return_inverse=True)
    _, first = np.unique(groups, return_index=True)
    return groups, first


def _member(table: pa.Table, row: int, layout: Layout, column: str, path: Path) -> Member:
    name = _cell(table, layout.name, row) if layout.name else path.name.split(".")[0]
    labels = {label: _cell(table, source, row) for source, label in layout.labels.items()}
    if len(layout.values) > 1:
        labels.setdefault("column", column)
    attributes = tuple(sorted((label, value) for label, value in labels.items() if value))
    return Member(Identity("prometheus", name, "unknown", "", "", (), attributes), "", "")


def _cell(table: pa.Table, column: str, row: int) -> str:
    value = table[column][row].as_py()
    return "" if value is None else str(value)


def _values(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if _is_number(column.type) or pa.types.is_boolean(column.type):
        valid = column.is_valid().to_numpy()
        return column.cast(pa.float64(), safe=False).to_numpy(), np.ones(len(valid), bool), ~valid
    return _parse_numbers(column.to_pandas())
