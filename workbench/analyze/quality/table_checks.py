"""Checks of tables: columns by a schema of pandera, freshness, and how many rows there are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from workbench.analyze.quality.declared import Expectation, TableCheck
from workbench.analyze.quality.outcome import MAX_ROWS, BadRow, Outcome
from workbench.schema import KINDS


def judge_table(check: TableCheck, rows: pa.Table, now_us: int) -> Iterator[Outcome]:
    """What a check makes of rows of its table, those of its window; times in microseconds UTC."""
    time_name = KINDS[check.table].time
    times_us = rows[time_name].cast(pa.int64()).to_numpy()
    since = f"{time_name} >= now() - INTERVAL '{check.window_seconds} seconds'"
    if check.columns:
        yield _schema(check, rows, times_us, since)
    if check.fresh_seconds is not None:
        newest_us = int(times_us.max()) if len(times_us) else 0
        age = (now_us - newest_us) / 1e6
        late = not newest_us or age > check.fresh_seconds
        why = f"its newest row is {age:.0f} s old" if newest_us else f"no row within {check.window_seconds} s"
        bad = [BadRow(check.table, newest_us, why)] if late else []
        message = why if late else f"the newest row is {max(age, 0):.0f} s old"
        statement = f"SELECT max({time_name}) FROM {check.table}"
        yield Outcome(check.source, check.name, "freshness", 1, len(bad), message, tuple(bad), statement)
    if check.rows_min is not None:
        few = rows.num_rows < check.rows_min
        message = f"{rows.num_rows} rows, at least {check.rows_min} are expected"
        bad = [BadRow(check.table, 0, message)] if few else []
        statement = f"SELECT count(*) FROM {check.table} WHERE {since}"
        yield Outcome(check.source, check.name, "completeness", 1, len(bad), message, tuple(bad), statement)


def _schema(check: TableCheck, rows: pa.Table, times_us: Any, since: str) -> Outcome:
    import pandera.pandas as pandera  # a second or more, which only who has such a check pays

    wanted = dict(check.columns)
    columns = {name: _column(pandera, expected) for name, expected in wanted.items()}
    frame = rows.select(list(wanted)).to_pandas()
    where = " OR ".join(text for name, expected in wanted.items() if (text := _where(name, expected)))
    statement = f"SELECT * FROM {check.table} WHERE {since} AND ({where})"
    failures = pd.DataFrame()
    try:
        pandera.DataFrameSchema(columns).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        failures = error.failure_cases
    if failures.empty:
        return Outcome(check.source, check.name, "schema", rows.num_rows, 0, "every row fits", (), statement)
    failures = failures[failures["index"].notna()].sort_values("index")
    key = KINDS[check.table].key
    bad = []
    for at, column, rule, value in failures[["index", "column", "check", "failure_case"]].itertuples(index=False):
        place = int(at)
        what = ", ".join(f"{name}={rows[name][place].as_py()}" for name in key if name != KINDS[check.table].time)
        bad.append(BadRow(what or check.table, int(times_us[place]), f"{column} is {_shown(value)}: {rule}"))
        if len(bad) == MAX_ROWS:
            break
    number = int(failures["index"].nunique())
    return Outcome(
        check.source, check.name, "schema", rows.num_rows, number, f"{number} rows do not fit", tuple(bad), statement
    )


def _column(pandera: Any, expected: Expectation) -> Any:
    checks = []
    if expected.low is not None:
        checks.append(pandera.Check.ge(expected.low))
    if expected.high is not None:
        checks.append(pandera.Check.le(expected.high))
    if expected.allowed:
        checks.append(pandera.Check.isin(list(expected.allowed)))
    if expected.pattern:
        checks.append(pandera.Check.str_matches(f"^(?:{expected.pattern})$"))
    return pandera.Column(checks=checks, nullable=not expected.required, required=True)


def _where(name: str, expected: Expectation) -> str:
    """The rows that do not meet it, in SQL."""
    parts = []
    if expected.low is not None:
        parts.append(f"{name} < {expected.low:g}")
    if expected.high is not None:
        parts.append(f"{name} > {expected.high:g}")
    if expected.required:
        parts.append(f"{name} IS NULL")
    if expected.allowed:
        parts.append(f"{name} NOT IN ({', '.join(_literal(one) for one in expected.allowed)})")
    if expected.pattern:
        parts.append(f"NOT regexp_full_match({name}, {_literal(expected.pattern)})")
    return " OR ".join(parts)


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, (int, float)) else "'" + str(value).replace("'", "''") + "'"


def _shown(value: Any) -> str:
    return "missing" if value is None or (isinstance(value, float) and math.isnan(value)) else repr(value)[:120]
