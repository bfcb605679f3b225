"""Name or matchers, and a time -> samples as they were stored: as xarray, pandas, or a lazy Dask frame."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import config
from workbench.errors import QuerySyntaxError
from workbench.query.index import Row, label_index
from workbench.query.promql import Matcher, nodes, parse
from workbench.query.result import Result
from workbench.query.samples import Budget, Loaded, read

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import xarray as xr

    from workbench.store import View

_DEFAULT = config.Query()
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Selection:
    """Some series over some time; nothing is read before it is asked for. Times int64 us UTC, both ends included."""

    view: View
    rows: Sequence[Row]
    start_us: int
    end_us: int
    limits: config.Query = _DEFAULT
    reopen: Callable[[], View] | None = None
    """Opens the same view in another process: without it the samples can be read in this one alone."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> list[dict[str, str]]:
        """The labels of the series."""
        return [dict(row.labels) for row in self.rows]

    def to_xarray(self) -> xr.DataArray:
        """Dims `series`, `time` (all times at which any series has a sample; NaN where one has none).

        Raises QueryLimit where that table would be too big: sampled out of step, many series share few times.
        """
        return self._result().to_xarray()

    def to_pandas(self) -> pd.DataFrame:
        """One row per sample: a column per label, `time` (UTC), `value`; staleness markers left out."""
        return self.between(self.start_us, self.end_us)

    def to_polars(self) -> pl.DataFrame:
        """The rows of `to_pandas` as polars. Raises ConfigError where that is not installed."""
        from workbench.query.polars import to_polars

        return to_polars(_table(self._read(self.start_us, self.end_us), _names(self.rows)))

    def to_dask(self) -> dd.DataFrame:
        """The same rows as `to_pandas`, lazily, one partition per UTC day."""
        import dask.dataframe as dd

        starts = [self.start_us, *range((self.start_us // _DAY_US + 1) * _DAY_US, self.end_us + 1, _DAY_US)]
        ends = [*(start - 1 for start in starts[1:]), self.end_us]
        none = Loaded([], np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
        return dd.from_map(
            _Stretch(None if self.reopen else self, self.reopen, self.rows, self.limits),
            starts,
            ends,
            meta=_frame(none, _names(self.rows)),
            label="selection",
        )

    def between(self, start_us: int, end_us: int) -> pd.DataFrame:
        """The rows of `to_pandas` of a part of the time, with the same columns."""
        return _frame(self._read(start_us, end_us), _names(self.rows))

    def _read(self, start_us: int, end_us: int) -> Loaded:
        return read(self.view, self.rows, start_us, end_us, Budget(self.limits.max_samples)).without_stale()

    def _result(self) -> Result:
        loaded = self._read(self.start_us, self.end_us)
        times = np.unique(loaded.times_us)
        Budget(self.limits.max_samples).spend(len(loaded.labels) * len(times))
        values = np.full((len(loaded.labels), len(times)), np.nan)
        series = np.repeat(np.arange(len(loaded.labels)), np.diff(loaded.offsets))
        values[series, np.searchsorted(times, loaded.times_us)] = loaded.values
        labels = [dict(found) for found in loaded.labels]
        return Result("matrix", labels, times, values, np.ones(values.shape, bool), self.view.lake_version)


@dataclass(frozen=True)
class _Stretch:
    """Reads a stretch of a selection for Dask, in whatever process. What a view holds grows, so no two are the same."""

    selection: Selection | None
    reopen: Callable[[], View] | None
    rows: Sequence[Row]
    limits: config.Query

    def __call__(self, start_us: int, end_us: int) -> pd.DataFrame:
        selection = self.selection
        if selection is None:
            assert self.reopen is not None
            selection = Selection(self.reopen(), self.rows, start_us, end_us, self.limits)
        return selection.between(start_us, end_us)

    def __dask_tokenize__(self) -> str:
        return uuid.uuid4().hex


def select(
    view: View,
    what: str | Sequence[Matcher],
    start_us: int,
    end_us: int,
    *,
    limits: config.Query = _DEFAULT,
    reopen: Callable[[], View] | None = None,
) -> Selection:
    """Select series by a selector (`up`, `up{job="x"}`, `{"name in UTF-8"}`) or by matchers.

    `reopen` opens the view anew, for Dask's workers in other processes.

    Exponential histograms are left out: their samples are no floats; the table `samples` has them. Raises
    QuerySyntaxError.
    """
    matchers: Sequence[Matcher]
    if isinstance(what, str):
        node = parse(what)
        if not isinstance(node, nodes.Selector) or node.when != nodes.NOW or node.extension:
            raise QuerySyntaxError(
                "a selection is a name with matchers", position=0, hint="Ask expressions with query()."
            )
        matchers = node.matchers
    else:
        matchers = what
    index = label_index(view)
    rows = [index.rows[number] for number in index.select(matchers)]
    return Selection(view, [row for row in rows if row.kind != "histogram"], start_us, end_us, limits, reopen)


def _names(rows: Sequence[Row]) -> list[str]:
    return sorted({name for row in rows for name, _ in row.labels})


def _table(loaded: Loaded, names: Sequence[str]) -> pa.Table:
    """The columns of `_frame` as Arrow."""
    import pyarrow as pa

    series = pa.array(np.repeat(np.arange(len(loaded.labels)), np.diff(loaded.offsets)))
    given = [dict(labels) for labels in loaded.labels]
    columns: dict[str, pa.Array] = {}
    for name in names:
        own = f"label_{name}" if name in ("time", "value") else name
        columns[own] = pa.array([labels.get(name, "") for labels in given], pa.string()).take(series)
    columns["time"] = pa.array(loaded.times_us, pa.timestamp("us", tz="UTC"))
    columns["value"] = pa.array(loaded.values, pa.float64())
    return pa.table(columns)


def _frame(loaded: Loaded, names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    counts = np.diff(loaded.offsets)
    columns: dict[str, Any] = {}
    given = [dict(labels) for labels in loaded.labels]
    for name in names:
        own = f"label_{name}" if name in ("time", "value") else name
        values = pd.Categorical([labels.get(name, "") for labels in given])
        columns[own] = pd.Series(values.repeat(counts)).astype("str")
    columns["time"] = pd.to_datetime(loaded.times_us, unit="us", utc=True)
    columns["value"] = loaded.values
    frame = pd.DataFrame(columns)
    return frame.astype({"time": "datetime64[us, UTC]"})
