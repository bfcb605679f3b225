"""CSV and Parquet files as chunks of a table, each row with the line that it stands in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from workbench.errors import InputError
from workbench.ingest.files.piece import BadRow

MAX_HEADER_BYTES = 2**20
CSV_BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Chunk:
    """Rows of a file, in their order.

    `lines` (int64[rows]): 1-based line of each (Parquet: row); `bad`: lines between them that are no rows; `share`: how
    much of the file is read with this chunk. Cells of a CSV are text.
    """

    table: pa.Table
    lines: np.ndarray
    bad: list[BadRow]
    share: float

    def bad_rows(self, mask: np.ndarray, message: str, reason: str = "bad_row") -> list[BadRow]:
        """The marked rows (bool[rows]) as bad ones; a blank line is no row."""
        found = []
        for row in np.flatnonzero(mask).tolist():
            text = ",".join(str(value) for value in self.table.slice(row, 1).to_pylist()[0].values())
            if text.strip(","):
                found.append(BadRow(int(self.lines[row]), message, text, reason))
        return found


def parquet_schema(path: Path) -> pa.Schema:
    """Schema of a Parquet file. Raises InputError where it is none."""
    try:
        schema = pq.read_schema(path)
        schema.names  # noqa: B018  decodes them
        return schema
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise InputError(f"not a Parquet file: {error}", where=str(path)) from error


def parquet_chunks(path: Path, rows: int, *, columns: list[str] | None = None) -> Iterator[Chunk]:
    """Chunks of `rows` rows of a Parquet file. Raises InputError."""
    parquet_schema(path)
    file = pq.ParquetFile(path)
    done, total = 0, max(1, file.metadata.num_rows)
    for batch in file.iter_batches(rows, columns=columns):
        lines = np.arange(done + 1, done + 1 + batch.num_rows)
        done += batch.num_rows
        yield Chunk(pa.Table.from_batches([batch]), lines, [], done / total)


def csv_chunks(path: Path) -> Iterator[Chunk]:
    """Chunks of a CSV file with a header, plain or compressed (.gz, .bz2, .zst). Raises InputError."""
    bad: list[BadRow] = []

    def skip(row: pv.InvalidRow) -> str:
        text = row.text or ""
        if text.strip():
            bad.append(BadRow(row.number or 0, f"{row.actual_columns} columns, not {row.expected_columns}", text))
        skipped.append(row.number or 0)
        return "skip"

    skipped: list[int] = []
    # All columns as text: a type guessed from the first block would fail on the first odd value of a later one.
    convert = pv.ConvertOptions(column_types=dict.fromkeys(_header(path), pa.string()), strings_can_be_null=False)
    parse = pv.ParseOptions(invalid_row_handler=skip, ignore_empty_lines=False)
    read = pv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES)  # else rows have no numbers
    line, taken, size = 2, 0, max(1, path.stat().st_size)
    try:
        with (
            pa.input_stream(str(path), compression="detect") as stream,
            pv.open_csv(stream, read, parse, convert) as reader,
        ):
            for batch in reader:
                lines, line = _lines(line, batch.num_rows, skipped)
                taken += batch.nbytes
                yield Chunk(pa.Table.from_batches([batch]), lines, bad, min(0.99, taken / size))
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
    if any("\ufffd" in name for name in names):
        raise InputError("the header is not UTF-8", where=f"{path}:1")
    if len(set(names)) != len(names):
        raise InputError("a column is named twice", where=f"{path}:1")
    return names


def _lines(first: int, count: int, skipped: list[int]) -> tuple[np.ndarray, int]:
    """Line of each of `count` rows from `first` on, leaving out those skipped; and where the next ones begin."""
    left_out = sorted(n for n in skipped if n >= first)
    lines = np.arange(first, first + count + len(left_out))
    lines = lines[~np.isin(lines, left_out)][:count]
    return lines, int(lines[-1]) + 1 if count else first
