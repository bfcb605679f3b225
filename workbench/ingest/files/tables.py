"""CSV and Parquet files, long or wide, piece by piece."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from workbench.errors import InputError
from workbench.ingest.files.mapping import Layout, lay_out
from workbench.ingest.files.piece import BadRow, Piece
from workbench.ingest.files.times import times_us
from workbench.ingest.points import Member
from workbench.store import Identity

PIECE_SAMPLES = 2**19
"""Samples a piece aims at: enough for good Parquet row groups, small enough to hold several in memory."""

MAX_HEADER_BYTES = 2**20
CSV_BLOCK_BYTES = 8 * 2**20
_NOT_A_NUMBER = frozenset({"nan", "na", "n/a", "null", "none", ""})


def read_parquet(path: Path, mapping: Mapping[str, str]) -> Iterator[Piece]:
    """Pieces of a Parquet file. Lines are rows, from 1. Raises InputError."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"not a Parquet file: {error}", where=str(path)) from error
    schema = file.schema_arrow
    text = frozenset(f.name for f in schema if not (_is_number(f.type) or pa.types.is_temporal(f.type)))
    layout = lay_out(schema.names, text, mapping, where=str(path))
    columns = [layout.time.column, *layout.values, *layout.labels, *([layout.name] if layout.name else [])]
    done, total = 0, file.metadata.num_rows
    for batch in file.iter_batches(max(1, PIECE_SAMPLES // len(layout.values)), columns=list(dict.fromkeys(columns))):
        lines = np.arange(done + 1, done + 1 + batch.num_rows)
        done += batch.num_rows
        yield _piece(pa.Table.from_batches([batch]), layout, lines, [], done / total, path)


def read_csv(path: Path, mapping: Mapping[str, str]) -> Iterator[Piece]:
    """Pieces of a CSV file with a header, plain or compressed (.gz, .bz2, .zst). Raises InputError."""
    bad: list[BadRow] = []

    def skip(row: pv.InvalidRow) -> str:
        text = row.text or ""
        if text.strip():
            bad.append(BadRow(row.number or 0, f"{row.actual_columns} columns, not {row.expected_columns}", text))
        skipped.append(row.number or 0)
        return "skip"

    skipped: list[int] = []
    header = _header(path)
    # All columns as text: a type guessed from the first block would fail on the first odd value of a later one.
    convert = pv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
    parse = pv.ParseOptions(invalid_row_handler=skip, ignore_empty_lines=False)
    read = pv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES)  # else rows have no numbers
    layout: Layout | None = None
    line, taken, size = 2, 0, max(1, path.stat().st_size)
    try:
        with (
            pa.input_stream(str(path), compression="detect") as stream,
            pv.open_csv(stream, read, parse, convert) as reader,
        ):
            for batch in reader:
                table = pa.Table.from_batches([batch])
                layout = layout or lay_out(header, _text_columns(table), mapping, where=str(path))
                lines, line = _lines(line, batch.num_rows, skipped)
                taken += batch.nbytes
                yield _piece(table, layout, lines, bad, min(0.99, taken / size), path)
                bad = []
    except pa.ArrowInvalid as error:
        raise InputError(f"not readable as CSV: {error}", where=str(path)) from error


def _header(path: Path) -> list[str]:
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            beginning = stream.read(MAX_HEADER_BYTES).decode("utf-8-sig", "replace")
        names = next(csv.reader(io.StringIO(beginning)))
    except (OSError, csv.Error, StopIteration) as error:
        raise InputError("not readable as CSV: it has no header", where=str(path)) from error
    if len(set(names)) != len(names):
        raise InputError("a column is named twice", where=f"{path}:1")
    return names


def _lines(first: int, count: int, skipped: list[int]) -> tuple[np.ndarray, int]:
    """Line of each of `count` rows from `first` on, leaving out those skipped; and where the next ones begin."""
    left_out = sorted(n for n in skipped if n >= first)
    lines = np.arange(first, first + count + len(left_out))
    lines = lines[~np.isin(lines, left_out)][:count]
    return lines, int(lines[-1]) + 1 if count else first


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


def _piece(table: pa.Table, layout: Layout, lines: np.ndarray, bad: list[BadRow], share: float, path: Path) -> Piece:
    times, good = times_us(table[layout.time.column], layout.time, where=str(path))
    bad = bad + _bad_rows(table, lines, ~good, f"{layout.time.column} is no time")
    groups, rows_of_group = _groups(table, layout)
    parts = []
    for number, column in enumerate(layout.values):
        values, known, empty = _values(table[column])
        bad += _bad_rows(table, lines, good & ~known, f"{column} is no number")
        kept = np.flatnonzero(good & known & ~empty)
        parts.append((groups[kept] * len(layout.values) + number, times[kept], values[kept], lines[kept]))
    members = [_member(table, int(row), layout, column, path) for row in rows_of_group for column in layout.values]
    series, kept_times, kept_values, kept_lines = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Piece(members, series, kept_times, kept_values, kept_lines, bad, share)


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


def _bad_rows(table: pa.Table, lines: np.ndarray, mask: np.ndarray, message: str) -> list[BadRow]:
    found = []
    for row in np.flatnonzero(mask).tolist():
        text = ",".join(str(value) for value in table.slice(row, 1).to_pylist()[0].values())
        if text.strip(","):  # a blank line is no row
            found.append(BadRow(int(lines[row]), message, text))
    return found
