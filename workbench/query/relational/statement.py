"""One SQL statement, run by a DuckDB of its own that can read the view's tables and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from workbench import config
from workbench.errors import InputError, QueryLimit, WorkbenchError
from workbench.query.relational.faults import CLOSED, as_ours
from workbench.query.relational.tables import Reading, tables

if TYPE_CHECKING:
    from workbench.store import View

_DEFAULT = config.Query()
_BATCH_ROWS = 65_536
_LOOK_SECONDS = 0.2  # how often progress is told and a cancelled statement noticed
MAX_CHARACTERS = 100_000

# No file, no network, no extension, no variable of the calling program, no spilling to disk. `lock_configuration`
# comes last, so that no statement can open any of it again.
_CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "secret_directory": "none",  # its default names the home folder of our user
    "errors_as_json": "true",
}


def sql(
    view: View,
    text: str,
    *,
    now_us: int,
    limits: config.Query = _DEFAULT,
    without: Collection[str] = (),
    cancel: threading.Event | None = None,
    progress: Callable[[float], None] | None = None,
) -> pa.Table:
    """Answer one SELECT (DuckDB's dialect) over the tables of a view: its kinds, `measurements` and `metrics`.

    Times are UTC; `now()` is `now_us`. `without` closes tables, setting `cancel` ends the statement, `progress` is
    told the share of the days read. Raises QuerySyntaxError (with its position), QueryLimit (time, memory, rows),
    QueryError, StoreError.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"a statement may have {MAX_CHARACTERS:,} characters", where="query")
    reading = Reading(limits.max_samples)
    known = tables(view, reading, without=without)
    connection = _connect(known, now_us, limits)
    watch = _Watch(connection, limits.timeout_seconds, cancel, reading, progress)
    try:
        with watch:
            return _plain(_run(connection, text, limits.max_rows))
    except WorkbenchError:
        raise
    except Exception as error:
        if watch.why is not None:
            raise watch.why from None
        failure = next((failed for failed in reading.failures if isinstance(failed, WorkbenchError)), None)
        if failure is not None:
            raise failure from None
        if type(error).__module__.split(".")[0] not in {"duckdb", "_duckdb"}:
            raise
        raise as_ours(error, text, sorted(known), limits.sql_memory_bytes) from None
    finally:
        connection.close()


def _connect(known: dict[str, Any], now_us: int, limits: config.Query) -> Any:
    import duckdb

    connection = duckdb.connect(":memory:", config={**_CLOSED, "memory_limit": f"{limits.sql_memory_bytes}B"})
    connection.execute("SET TimeZone = 'UTC'")
    now = datetime.fromtimestamp(now_us / 1e6, UTC).isoformat()
    for name in ("now", "get_current_timestamp", "transaction_timestamp"):
        connection.execute(f"CREATE MACRO {name}() AS TIMESTAMPTZ '{now}'")
    for name in ("today", "current_date"):
        connection.execute(f"CREATE MACRO {name}() AS DATE '{now[:10]}'")
    for name, table in known.items():
        connection.register(name, table)
    connection.execute("SET lock_configuration = true")
    return connection


def _run(connection: Any, text: str, max_rows: int) -> pa.Table:
    from duckdb import StatementType

    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise InputError(
            "one statement at a time" if statements else "there is no statement", where="query", hint="E.g. SHOW TABLES"
        )
    if statements[0].type != StatementType.SELECT:
        kind = str(statements[0].type).rpartition(".")[2]
        hint = "PIVOT needs its values: ON x IN (…)." if kind == "MULTI" else CLOSED
        raise InputError(f"only SELECT is answered (also WITH, FROM, DESCRIBE, SUMMARIZE), not {kind}", hint=hint)
    reader = _bound(connection, statements[0]).to_arrow_reader(_BATCH_ROWS)
    batches, rows = [], 0
    for batch in reader:
        rows += batch.num_rows
        if rows > max_rows:
            raise QueryLimit(
                f"the answer has more than {max_rows:,} rows", hint="Aggregate, add LIMIT, or raise query.max_rows."
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _bound(connection: Any, statement: Any) -> Any:
    """The relation of a statement: nothing is read yet."""
    from duckdb import Error

    try:
        return connection.sql(statement)
    except Error:
        connection.execute(statement)  # fails alike, but tells the position: a relation's errors (2.0.1) are bare text
        raise


def _plain(answer: pa.Table) -> pa.Table:
    """Sums of whole numbers, which DuckDB gives 128 bits, as int64 or, where they need more, as float64; intervals
    without months as durations.
    """
    for at, field in enumerate(answer.schema):
        column = answer.column(at)
        if pa.types.is_decimal(field.type) and field.type.precision == 38 and field.type.scale == 0:
            try:
                plain = column.cast(pa.int64())
            except pa.ArrowInvalid:
                plain = column.cast(pa.float64())
        elif pa.types.is_interval(field.type):
            spans = column.to_pylist()
            if any(span is not None and span.months for span in spans):
                continue
            plain = pa.chunked_array([pa.array([_microseconds(span) for span in spans], pa.duration("us"))])
        else:
            continue
        answer = answer.set_column(at, field.name, plain)
    return answer


def _microseconds(span: Any) -> int | None:
    return None if span is None else span.days * 86_400_000_000 + span.nanoseconds // 1000


class _Watch:
    """Interrupts a statement when its time is over or it is cancelled, and tells how far it is."""

    def __init__(
        self,
        connection: Any,
        timeout_seconds: float,
        cancel: threading.Event | None,
        reading: Reading,
        progress: Callable[[float], None] | None,
    ) -> None:
        self.why: QueryLimit | None = None
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self._cancel = cancel
        self._reading = reading
        self._progress = progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sql-watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        left = self._timeout_seconds
        while not self._over.wait(min(_LOOK_SECONDS, max(left, 0))):
            left -= _LOOK_SECONDS
            if self._progress is not None:
                self._progress(self._reading.share)
            if self._cancel is not None and self._cancel.is_set():
                self.why = QueryLimit("the statement was cancelled", where="sql")
            elif left <= 0:
                self.why = QueryLimit(
                    f"the statement timed out after {self._timeout_seconds} s",
                    where="sql",
                    hint="Ask for a shorter time, fewer metrics, or raise query.timeout_seconds.",
                )
            if self.why is not None:
                self._reading.limit = 0  # ends what is being read, too, with the next day
                self._connection.interrupt()
                return
