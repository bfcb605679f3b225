"""`workbench.open()`: one object that reads a workbench from a notebook or a script, running or stopped."""

from __future__ import annotations

import time as clock
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import config
from workbench.errors import InputError, QuerySyntaxError
from workbench.query.evaluate import instant, range_query
from workbench.query.index import label_index
from workbench.query.relational.faults import pointed_at
from workbench.query.result import Result
from workbench.query.selection import Selection, select
from workbench.query.times import Moment, duration_us, moment_us
from workbench.query.views import view_of
from workbench.query.waiting import Tell, waiting
from workbench.query.welcome import as_html, as_text
from workbench.schema import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import xarray as xr
    from intake.readers.entry import Catalog

    from workbench.query.broker import BrokerView
    from workbench.query.relational.ibis_tables import Tables
    from workbench.store import Reader

_STEPS_US = [
    seconds * 1_000_000 for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400)
]
_POINTS = 300  # as many as a chart shows


class Workbench:
    """A workbench, read. Every question sees what was written before it; a pinned one always the same."""

    def __init__(self, settings: config.Settings, view: Reader | BrokerView, version: str | None) -> None:
        self.settings = settings
        self.view = view
        self._pinned = version

    @property
    def pinned(self) -> bool:
        """Whether it was opened at a lake version."""
        return self._pinned is not None

    @property
    def version(self) -> str:
        """The lake version that is read: the one it was opened at, else the newest ("" before the first seal)."""
        self.view.refresh()
        return self.view.lake_version

    @property
    def catalog(self) -> Catalog:
        """Every table as a lazy Dask frame: `list(wb.catalog)`, `wb.catalog["samples"].read()`."""
        from workbench.query.catalog import catalog

        return catalog(str(self.settings.home), self._pinned or "")

    def query(
        self,
        expr: str,
        *,
        time: Moment | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        step: str | float | None = None,
    ) -> xr.DataArray:
        """Ask in PromQL: at one time, or with `start` from there to `end` (default: now) every `step`.

        Gives dims `series`, `time`, a coordinate per label, NaN where nothing is. Times are as `Moment` says, in UTC:
        `"now-1h"`, `"2026-11-24T08:00"`, a datetime. Without any time it is the newest data. Raises QueryError.
        """
        return self.result(expr, time=time, start=start, end=end, step=step).to_xarray()

    def result(
        self,
        expr: str,
        *,
        time: Moment | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        step: str | float | None = None,
    ) -> Result:
        """As `query`, but a Result, which turns into pandas, an Arrow table or Prometheus' JSON."""
        now_us = self._now_us()
        limits = self.settings.query
        if start is None:
            if end is not None or step is not None:
                raise InputError("end and step need a start", where="query", hint='E.g. start="now-1h".')
            at_us = now_us if time is None else moment_us(time, now_us)
            with _asking("PromQL", expr):
                return instant(self.view, expr, at_us, limits=limits)
        if time is not None:
            raise InputError("give either time or start", where="query")
        start_us, end_us = self._range(start, end, now_us)
        step_us = _step_us(end_us - start_us) if step is None else duration_us(step)
        with _asking("PromQL", expr):
            return range_query(self.view, expr, start_us, end_us, step_us, limits=limits)

    def select(self, what: str, *, start: Moment | None = None, end: Moment | None = None) -> Selection:
        """Samples as they were stored, of the series that a selector names; the last hour by default.

        Nothing is read before `.to_xarray()`, `.to_pandas()`, `.to_polars()` or `.to_dask()` asks.
        """
        now_us = self._now_us()
        start_us, end_us = self._range("now-1h" if start is None else start, end, now_us)
        reopen = partial(view_of, self.settings, self._pinned)
        return select(self.view, what, start_us, end_us, limits=self.settings.query, reopen=reopen)

    def sql(self, text: str) -> pd.DataFrame:
        """Answer a SELECT over the tables (`SHOW TABLES`), as pandas; times are UTC, `now()` is as for `query`.

        Raises QuerySyntaxError, QueryLimit, QueryError.
        """
        from workbench.query.readers import to_pandas
        from workbench.query.relational.statement import sql

        now_us, limits = self._now_us(), self.settings.query
        with _asking("SQL", text) as tell:
            return to_pandas(sql(self.view, text, now_us=now_us, limits=limits, progress=tell))

    def tables(self) -> Tables:
        """Every table as an Ibis table: `t = wb.tables(); t.execute(t.usage.group_by("role").agg(n=_.count()))`."""
        from workbench.query.relational.ibis_tables import Tables

        warehouse = getattr(self.view, "warehouse", None)
        return Tables(self.view, self._now_us, limits=self.settings.query, warehouse=warehouse)

    def table(
        self,
        kind: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows of a table (`list(wb.catalog)`) as Arrow, from log and lake, one per key; all of them by default."""
        if kind not in KINDS:
            raise InputError(f"no table {kind!r}", where="table", hint=f"There are: {', '.join(KINDS)}.")
        now_us = self._now_us()
        start_us = None if start is None else moment_us(start, now_us, name="start")
        end_us = None if end is None else moment_us(end, now_us, name="end")
        return self.view.table(kind, start_us=start_us, end_us=end_us, columns=columns)

    def scan(self, name: str) -> pl.LazyFrame:
        """A table of `sql` (`SHOW TABLES`) as a lazy polars frame: `collect` reads only what it needs.

        Raises InputError for an unknown name, ConfigError where polars is not installed.
        """
        from workbench.query.polars import scan

        self.view.refresh()
        return scan(self.view, name, self.settings.query.max_samples)

    def events(
        self,
        type: str | None = None,  # noqa: A002 - the attribute's name in CloudEvents
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> pd.DataFrame:
        """Events (CloudEvents) in the order of their time; `type` selects by the beginning of the type."""
        from workbench.query.readers import to_pandas

        frame = to_pandas(self.table("events", start=start, end=end)).sort_values("time", ignore_index=True)
        return frame if type is None else frame[frame["type"].str.startswith(type)].reset_index(drop=True)

    def metrics(self) -> pd.DataFrame:
        """What can be asked for: name, type, unit, help, number of series."""
        import pandas as pd

        self.view.refresh()
        index = label_index(self.view)
        counts: dict[str, int] = {}
        for row in index.rows:
            name = next((value for label, value in row.labels if label == "__name__"), "")
            counts[name] = counts.get(name, 0) + 1
        rows = [(name, *index.metadata(name), counts[name]) for name in index.names()]
        return pd.DataFrame(rows, columns=["name", "type", "unit", "help", "series"])

    def at(self, *, version: str | None = None, as_of: Moment | None = None) -> Workbench:
        """The same workbench at a lake version, or as it was known at a time. Raises VersionGone."""
        return open_workbench(self.settings.home, version=version, as_of=as_of)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def _now_us(self) -> int:
        """Now; where the data ended earlier, its end: a stopped workbench and a named version still answer."""
        if self._pinned:
            return self.view.version_time_us
        self.view.refresh()
        now_us = clock.time_ns() // 1000
        newest = self.view.latest_us
        return newest if newest and newest < now_us - self.settings.query.lookback_seconds * 1_000_000 else now_us

    def _range(self, start: Moment, end: Moment | None, now_us: int) -> tuple[int, int]:
        start_us = moment_us(start, now_us, name="start")
        return start_us, now_us if end is None else moment_us(end, now_us, name="end")


def open_workbench(
    home: Path | str | None = None, *, version: str | None = None, as_of: Moment | None = None
) -> Workbench:
    """Read the workbench at `home` (default: as `workbench up` would find it), whether it runs or not.

    `version` names a lake version, `as_of` that which was the newest at a time: then the log is left out and the same
    question gives the same answer. Seals nothing. Raises VersionGone, LayoutUnknown.
    """
    settings = config.load(Path(home).expanduser() if home is not None else None)
    if as_of is not None:
        if version is not None:
            raise InputError("give either a version or a time", where="as_of")
        version = view_of(settings).version_at(moment_us(as_of, clock.time_ns() // 1000, name="as_of"))
    return Workbench(settings, view_of(settings, version), version)


@contextmanager
def _asking(language: str, text: str) -> Iterator[Tell]:
    """While a question is answered: it is shown to take long, and a mistake in it is pointed at."""
    try:
        with waiting(language) as tell:
            yield tell
    except QuerySyntaxError as error:
        error.add_note(pointed_at(text, error.position))
        raise


def _step_us(span_us: int) -> int:
    return next((step for step in _STEPS_US if span_us / step <= _POINTS), _STEPS_US[-1])
