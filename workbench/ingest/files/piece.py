"""What every reader of files hands on: a piece of a file as columns, with what could not be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from workbench.ingest.points import Member


@dataclass(frozen=True)
class BadRow:
    """A row that is no sample: its 1-based line (Parquet: row), a reason of `REASONS`, what is wrong, its text."""

    line: int
    message: str
    text: str = ""
    reason: str = "bad_row"


@dataclass(frozen=True)
class Piece:
    """Samples of a piece of a file.

    `members`: the distinct series; `series` (int64[n]): index into them; `times_us` (int64[n]); `values` (float64[n]);
    `lines` (int64[n]): where each sample stands. `share`: how much of the file is read once this piece is.
    """

    members: list[Member]
    series: np.ndarray
    times_us: np.ndarray
    values: np.ndarray
    lines: np.ndarray
    bad: list[BadRow]
    share: float


@dataclass(frozen=True)
class RecordPiece:
    """Rows of a table other than samples, from a piece of a file: `batch` has the schema of `kind`."""

    kind: str
    batch: pa.RecordBatch
    bad: list[BadRow]
    share: float
