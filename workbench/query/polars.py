"""Answers for people who work with polars: frames from Arrow, and tables read lazily.

polars is installed with the extra `lab`; it is imported by those alone who ask for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ConfigError, InputError
from workbench.query.relational.tables import Reading, tables

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from workbench.store import View

MISSING = "Install it with `pip install 'workbench[lab]'`, or polars alone."


def to_polars(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as polars; maps become lists of structs. Raises ConfigError where polars is not installed."""
    _need()
    import polars as pl

    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found


def scan(view: View, name: str, max_samples: int) -> pl.LazyFrame:
    """A table of SQL (a kind, `measurements`, `metrics`) as a lazy frame.

    Nothing is read before `collect`, and then only the columns that it needs and the days, series and rows that meet
    its conditions. A day may have `max_samples` rows. Raises InputError for an unknown name, ConfigError where polars
    is not installed.
    """
    _need()
    import polars as pl

    known = tables(view, Reading(max_samples))
    if name not in known:
        raise InputError(f"no table {name!r}", where="scan", hint=f"There are: {', '.join(sorted(known))}.")
    return pl.scan_pyarrow_dataset(known[name])


def _need() -> None:
    from importlib.util import find_spec

    if find_spec("polars") is None:
        raise ConfigError("polars is not installed", hint=MISSING)
