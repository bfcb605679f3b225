"""What a query answers, and the forms in which people take it: Prometheus' JSON, xarray, pandas, an Arrow table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.query.promql.text import format_float, format_floats

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import xarray as xr

    from workbench.query.histograms.grid import Grid

_MANY_POINTS = 100
"""From so many on a kernel pays; below, whoever asks one question need not load a compiler."""


@dataclass(frozen=True)
class Result:
    """`labels` of n series, `times_us` int64[k] (UTC), `values` float64[n, k], `present` bool[n, k].

    `kind` is vector, matrix, scalar or string; a string has its words in `text`. `lake_version` names the newest sealed
    state that was read ("" before the first seal). `warnings` and `infos` are what the evaluation has to say beside it,
    in Prometheus' words; `samples` counts what it read and made. `native` holds native histograms, which stand at other
    steps than the floats.
    """

    kind: str
    labels: list[dict[str, str]]
    times_us: np.ndarray
    values: np.ndarray
    present: np.ndarray
    lake_version: str
    text: str = ""
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    samples: int = 0
    native: Grid | None = None

    @classmethod
    def of_text(cls, text: str, times_us: np.ndarray, lake_version: str) -> Result:
        """The result of a string literal."""
        none = np.empty((0, len(times_us)))
        return cls("string", [], times_us, none, none.astype(bool), lake_version, text)

    def __len__(self) -> int:
        return len(self.labels)

    def to_prometheus(self, *, encoded: bool = False) -> dict[str, Any]:
        """The `data` member of Prometheus' API: `resultType` and `result`; times in seconds, values as text.

        `encoded`: points are `orjson.Fragment`s, which is quicker where they are many.
        """
        if self.kind == "string":
            return {"resultType": "string", "result": [_seconds(self.times_us[0]), self.text]}
        if self.kind == "scalar":
            return {"resultType": "scalar", "result": [_seconds(self.times_us[0]), format_float(self.values[0, 0])]}
        times = [_seconds(time) for time in self.times_us.tolist()]
        if encoded and self.native is None and self.present.size > _MANY_POINTS:
            return {"resultType": self.kind, "result": self._encoded(times)}
        result: list[dict[str, Any]] = []
        for row, labels in enumerate(self.labels):
            columns = np.flatnonzero(self.present[row])
            texts = format_floats(self.values[row, columns].tolist())
            # Pairs, not lists: the garbage collector would look at every one of them again and again.
            points = list(zip([times[column] for column in columns.tolist()], texts, strict=True))
            histograms = self._histograms(row, times)
            if self.kind == "vector":
                point = {"value": points[0]} if points else {"histogram": histograms[0]}
                result.append({"metric": labels, **point})
            else:
                found = {name: found for name, found in (("values", points), ("histograms", histograms)) if found}
                result.append({"metric": labels, **found})
        return {"resultType": self.kind, "result": result}

    def _encoded(self, times: list[int | float]) -> list[dict[str, Any]]:
        import orjson

        from workbench.query.points import encoded_points

        points = zip(self.labels, encoded_points(times, self.values, self.present), strict=True)
        if self.kind == "vector":
            return [{"metric": labels, "value": orjson.Fragment(found)} for labels, found in points]
        return [{"metric": labels, "values": orjson.Fragment(b"[%s]" % found)} for labels, found in points]

    def _histograms(self, row: int, times: list[int | float]) -> list[tuple[int | float, dict[str, Any]]]:
        """Pairs of time and histogram of one series."""
        if self.native is None:
            return []
        from workbench.query.histograms.shown import as_json

        which = self.native.which[row]
        return [(times[step], as_json(self.native.held, which[step])) for step in np.flatnonzero(which >= 0).tolist()]

    def histograms_xarray(self) -> xr.DataArray:
        """Observations in the buckets of native histograms: dims `series`, `time`, `bucket`; 0 where there are none.

        `bucket` has the coordinates `lower` and `upper`; labels are as in `to_xarray`.
        """
        from workbench.query.histograms.arrays import as_xarray

        return as_xarray(self)

    def histogram_table(self) -> pa.Table:
        """One row per populated bucket of a native histogram: labels, `time`, `lower`, `upper`, `count`."""
        from workbench.query.histograms.arrays import as_table

        return as_table(self)

    def to_xarray(self) -> xr.DataArray:
        """Dims `series`, `time`; each label is a coordinate along `series`. What is absent is NaN.

        Times are UTC without a zone, as xarray holds them. A string cannot be an array: raises TypeError.
        """
        import xarray as xr

        if self.kind == "string":
            raise TypeError(f"the query answers a string: {self.text!r}")
        names = sorted({name for labels in self.labels for name in labels})
        coordinates: dict[str, Any] = {"time": self.times_us.astype("datetime64[us]").astype("datetime64[ns]")}
        for name in names:
            # A label may bear the name of a dimension.
            own = f"label_{name}" if name in ("series", "time") else name
            column = np.array([labels.get(name, "") for labels in self.labels], dtype=object)
            coordinates[own] = ("series", column)
        values = np.where(self.present, self.values, np.nan)
        return xr.DataArray(values, coordinates, ("series", "time"), attrs={"lake_version": self.lake_version})

    def to_pandas(self) -> pd.DataFrame:
        """One row per point: a column per label, then `time` (UTC) and `value`."""
        return self.to_table().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """The rows of `to_pandas` as polars. Raises ConfigError where that is not installed."""
        from workbench.query.polars import to_polars

        return to_polars(self.to_table())

    def to_table(self) -> pa.Table:
        """One row per point: a text column per label, then `time` (timestamp[us, UTC]) and `value` (float64)."""
        import pyarrow as pa

        rows, columns = np.nonzero(self.present)
        names = sorted({name for labels in self.labels for name in labels})
        data: dict[str, pa.Array] = {}
        for name in names:
            own = f"label_{name}" if name in ("time", "value") else name
            values = pa.array([labels.get(name, "") for labels in self.labels], pa.string())
            data[own] = values.take(pa.array(rows))
        data["time"] = pa.array(self.times_us[columns], pa.timestamp("us", tz="UTC"))
        data["value"] = pa.array(self.values[rows, columns])
        return pa.table(data)


def _seconds(time_us: int) -> int | float:
    whole, rest = divmod(int(time_us), 1_000_000)
    return int(time_us) / 1e6 if rest else whole
