"""Time columns of files as microseconds since 1970 UTC."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.errors import InputError
from workbench.ingest.files.mapping import TimeField

UNIT_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6, "d": 86400e6}
MAX_TIME_US = 2**53
"""Beyond, a double would not hold it exactly; it is the year 287396."""

# Bounds by size of numbers that count since 1970: from 1973 on in each unit, and far from the next one.
_EPOCH_UNITS = ((1e8, "s"), (1e11, "ms"), (1e14, "us"), (1e17, "ns"))


def times_us(column: pa.ChunkedArray, field: TimeField, *, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(int64[n] µs, bool[n] whether it was readable). Times without a zone are UTC.

    Raises InputError where numbers are too small to count since 1970 and the mapping does not say what they are.
    """
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us"), safe=False) if pa.types.is_date(column.type) else column
        plain = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        found = plain.cast(pa.int64()).fill_null(0).to_numpy()
        return found, column.is_valid().to_numpy()
    if not _is_text(column.type):
        return _numbers(column.cast(pa.float64(), safe=False).to_numpy(), field, where)
    series = column.to_pandas()
    numbers = pd.to_numeric(series, errors="coerce").to_numpy(np.float64)
    if np.isfinite(numbers).mean() > 0.5 if len(numbers) else False:
        return _numbers(numbers, field, where)
    moments = pd.to_datetime(series, format="ISO8601", errors="coerce", utc=True)
    good = moments.notna().to_numpy()
    found = moments.dt.as_unit("us").astype("int64").to_numpy()
    return np.where(good, found, 0), good


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


def _numbers(numbers: np.ndarray, field: TimeField, where: str) -> tuple[np.ndarray, np.ndarray]:
    start_us = 0.0
    if field.step is not None:
        start_us = _start_us(field.start, where)
        factor = field.step * UNIT_US[field.unit]
    else:
        factor = UNIT_US[field.unit or _guess_unit(numbers, field.column, where)]
    scaled = start_us + numbers * factor
    with np.errstate(invalid="ignore"):
        good = np.isfinite(scaled) & (np.abs(scaled) < MAX_TIME_US)
    return np.where(good, np.round(scaled), 0).astype(np.int64), good


def _guess_unit(numbers: np.ndarray, column: str, where: str) -> str:
    finite = np.abs(numbers[np.isfinite(numbers)])
    size = float(np.median(finite)) if len(finite) else 0.0
    fitting = [unit for bound, unit in _EPOCH_UNITS if size >= bound]
    if not fitting:
        raise InputError(
            f"the numbers of {column!r} do not count since 1970", where=where,
            hint=f"Say what they are, e.g. --map {column}=time:60s@2026-01-01T00:00:00Z for rows a minute apart.",
        )  # fmt: skip
    return fitting[-1]


def _start_us(text: str, where: str) -> float:
    try:
        return float(pd.to_datetime(text, format="ISO8601", utc=True).timestamp() * 1e6)
    except ValueError as error:
        raise InputError(f"{text!r} is no time", where=where, hint="Write it as 2026-01-31T12:00:00Z.") from error
