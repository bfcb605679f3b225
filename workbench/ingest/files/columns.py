"""Columns of a file -> columns of a table: the known names, the cells as the table's types, the rest as a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import InputError
from workbench.ingest.files.mapping import IGNORE, TimeField
from workbench.ingest.files.times import times_us

NULLS = ("", "NULL", "null", "None", "NaN", "nan", "N/A")
"""Cells of a text file that say that there is nothing."""


@dataclass(frozen=True)
class Fields:
    """Which column of a file is which field of a table; `rest` (column -> key) goes into the map of other columns."""

    known: Mapping[str, str]
    rest: Mapping[str, str]


def assign(
    columns: Sequence[str], names: Mapping[str, Sequence[str]], mapping: Mapping[str, str], *, where: str
) -> Fields:
    """Field -> column, by the mapping (COLUMN=FIELD, a column may be a pattern) and else by well-known names.

    `names`: field -> names under which files have it, compared without case, dots and underscores. A mapped field that
    the table does not have is the key under which the rest keeps the column. Raises InputError.
    """
    given = _mapped(columns, mapping, where)
    known = {field: column for column, field in given.items() if field in names}
    for field in names:
        doubles = [column for column, other in given.items() if other == field]
        if len(doubles) > 1:
            raise InputError(f"columns {' and '.join(doubles)} are both {field}", where=where)
    plain = {_plain(column): column for column in reversed(columns) if column not in given}
    for field, others in names.items():
        found = next((plain[_plain(name)] for name in (field, *others) if _plain(name) in plain), None)
        if field not in known and found is not None:
            known[field] = found
    used = set(known.values())
    rest = {column: given.get(column, column) for column in columns if column not in used}
    return Fields(known, {column: key for column, key in rest.items() if key != IGNORE})


def texts(column: pa.ChunkedArray) -> pa.Array:
    """Cells as text, null where there is nothing; lists and maps as JSON."""
    if pa.types.is_nested(column.type):
        found = pa.array([None if cell is None else _json(cell) for cell in column.to_pylist()], pa.string())
    else:
        found = _flat(column.cast(pa.string()))
    nothing = pc.is_in(pc.utf8_trim_whitespace(found), value_set=pa.array(NULLS))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), found)


def numbers(column: pa.ChunkedArray, *, whole: bool = False) -> tuple[pa.Array, np.ndarray]:
    """Cells as float64 (`whole`: int64), null where there is nothing; and which could be read: bool[rows]."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        cells = texts(column)
        empty = cells.is_null().to_numpy(zero_copy_only=False)
        found = pd.to_numeric(cells.to_pandas(), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    else:
        empty = column.is_null().to_numpy()
        found = column.cast(pa.float64(), safe=False).to_numpy()
        empty |= np.isnan(found)
    good = empty | np.isfinite(found)
    if whole:
        good &= empty | ((found == np.round(found)) & (np.abs(found) < 2**63))
        return pa.array(np.where(good & ~empty, found, 0).astype(np.int64), mask=empty | ~good), good
    return pa.array(np.where(good, found, 0.0), mask=empty | ~good), good


def moments(column: pa.ChunkedArray, name: str, *, where: str) -> tuple[pa.Array, np.ndarray]:
    """Cells as int64 microseconds since 1970 UTC, null where there is no time; and which are times: bool[rows]."""
    found, good = times_us(column, TimeField(name), where=where)
    return pa.array(found, pa.int64(), mask=~good), good


def maps(columns: Mapping[str, pa.Array], rows: int) -> pa.MapArray:
    """One map a row: key -> text of the columns that have one there, in the order of the keys."""
    keys = sorted(columns)
    if not keys:
        return pa.array([[]] * rows, pa.map_(pa.string(), pa.string()))
    there = np.stack([columns[key].is_valid().to_numpy(zero_copy_only=False) for key in keys], axis=1)
    row, key = np.nonzero(there)
    items = pa.concat_arrays([columns[one] for one in keys]).take(pa.array(key * rows + row))
    offsets = np.concatenate(([0], np.cumsum(there.sum(axis=1)))).astype(np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), pa.array(keys).take(pa.array(key)), items)


def _mapped(columns: Sequence[str], mapping: Mapping[str, str], where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern, field in mapping.items():
        matching = [pattern] if pattern in columns else [column for column in columns if fnmatchcase(column, pattern)]
        if not matching:
            raise InputError(f"there is no column {pattern!r}", where=where, hint=f"Columns: {', '.join(columns)}.")
        found.update({column: field for column in matching if column not in found})
    return found


def _plain(name: str) -> str:
    return name.lower().replace(".", "").replace("_", "").replace(" ", "")


def _flat(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _json(cell: Any) -> str:
    pairs = isinstance(cell, list) and bool(cell) and all(isinstance(one, tuple) for one in cell)
    return orjson.dumps(dict(cell) if pairs else cell, default=str).decode()
