"""Native histograms of a result as a table of buckets and as an array over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from workbench.query.histograms.shown import buckets_of

if TYPE_CHECKING:
    import xarray as xr

    from workbench.query.result import Result


def as_table(result: Result) -> pa.Table:
    """One row per populated bucket: a text column per label, `time` (UTC), `lower`, `upper`, `count` (float64)."""
    rows, steps, edges = _buckets(result)
    names = sorted({name for labels in result.labels for name in labels})
    data: dict[str, pa.Array] = {}
    for name in names:
        own = f"label_{name}" if name in ("time", "lower", "upper", "count") else name
        data[own] = pa.array([result.labels[row].get(name, "") for row in rows], pa.string())
    data["time"] = pa.array(result.times_us[steps], pa.timestamp("us", tz="UTC"))
    for place, name in enumerate(("lower", "upper", "count")):
        data[name] = pa.array(edges[:, place])
    return pa.table(data)


def as_xarray(result: Result) -> xr.DataArray:
    """Dims `series`, `time`, `bucket`: observations; `lower` and `upper` are coordinates along `bucket`."""
    import xarray as xr

    rows, steps, edges = _buckets(result)
    distinct, place = np.unique(edges[:, :2], axis=0, return_inverse=True)
    values = np.zeros((len(result.labels), len(result.times_us), len(distinct)))
    values[rows, steps, place.ravel()] = edges[:, 2]
    floats = result.to_xarray().coords
    coordinates: dict[str, Any] = {str(name): found for name, found in floats.items()}
    coordinates |= {"lower": ("bucket", distinct[:, 0]), "upper": ("bucket", distinct[:, 1])}
    attributes = {"lake_version": result.lake_version}
    return xr.DataArray(values, coordinates, ("series", "time", "bucket"), attrs=attributes)


def _buckets(result: Result) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each populated bucket its series int64[m], its step int64[m], and (lower, upper, count) float64[m, 3]."""
    rows, steps, edges = [], [], []
    if result.native is not None:
        for row, step in zip(*(found.tolist() for found in np.nonzero(result.native.present)), strict=True):
            for _, low, high, count in buckets_of(result.native.held, int(result.native.which[row, step])):
                rows.append(row)
                steps.append(step)
                edges.append((low, high, count))
    return np.array(rows, np.int64), np.array(steps, np.int64), np.array(edges, np.float64).reshape(-1, 3)
