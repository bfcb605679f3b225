"""ClickHouse: a server by its HTTP interface, or chDB, the same engine inside this process on a folder.

Every kind is a `ReplacingMergeTree` ordered by its key, its version the place (`segment`, `row`) in the log; it is read
with `final`, so that there is one row per key whether parts were merged or not.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import ConfigError, QueryError, StoreError, WorkbenchError
from workbench.schema import KINDS
from workbench.store.backends.http import shown_url
from workbench.store.backends.warehouse_rows import PLACE, columns_of, kept, kept_schema, restored

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES = {
    pa.int8(): "Int8", pa.int32(): "Int32", pa.int64(): "Int64", pa.float64(): "Float64", pa.string(): "String",
    pa.bool_(): "Bool",
}  # fmt: skip
_DATABASE = "workbench"
_FINAL = {"final": 1}


class ClickHouse:
    """`clickhouse://[user:password@]host[:8123][/database]`, `clickhouses://` with TLS, or `chdb:///folder`."""

    dialect = "clickhouse"

    def __init__(self, url: str) -> None:
        self.url = shown_url(url)
        parts = urlsplit(url)
        self._database = _DATABASE
        if parts.scheme == "chdb":
            if parts.netloc or not parts.path.strip("/"):
                raise ConfigError("chDB needs a folder", where=self.url, hint="As in chdb:///data/warehouse.")
            target: dict[str, Any] = {"interface": "chdb", "path": parts.path}
        else:
            if not parts.hostname:
                raise ConfigError("ClickHouse needs a host", where=self.url, hint="As in clickhouse://host/database.")
            self._database = parts.path.strip("/") or _DATABASE
            target = {
                "host": parts.hostname, "username": unquote(parts.username or "default"),
                "password": unquote(parts.password or ""), "secure": parts.scheme == "clickhouses",
                "port": parts.port or (8443 if parts.scheme == "clickhouses" else 8123),
            }  # fmt: skip
        self._target = target
        self._asking = threading.Lock()
        self._ready = False

    def days(self, kind: str) -> list[int]:
        """By the days of the times."""
        time = KINDS[kind].time
        if not time:
            return []
        found = self._select(
            f"SELECT DISTINCT toUnixTimestamp64Micro({time}) DIV 86400000000 AS day FROM {kind} ORDER BY day"
        )
        return [int(day) for day in found.column("day").to_pylist()]

    def table(
        self, kind: str, *, start_us: int | None = None, end_us: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """By a SELECT of the columns and times that are asked for."""
        names = columns_of(kind, columns)
        time = KINDS[kind].time
        bounds = [(">=", start_us), ("<=", end_us)] if time else []
        # Compared as numbers: a time before 1900 or after 2299 is none in ClickHouse.
        tests = [f"toUnixTimestamp64Micro({time}) {how} {bound}" for how, bound in bounds if bound is not None]
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        return restored(kind, self._select(f"SELECT {', '.join(f'`{n}`' for n in names)} FROM {kind}{where}"), names)

    def write(self, kind: str, rows: pa.Table) -> None:
        """By one insert; the parts are merged by and by."""
        made = kept(kind, rows)
        place = pc.add(pc.shift_left(rows.column("segment"), 40), rows.column("row")).cast(pa.uint64())
        with self._failing(StoreError):
            self._client.insert_arrow(kind, made.append_column("place", place), database=self._database)

    def schema(self, kind: str) -> pa.Schema:
        """As rows are kept: maps are maps."""
        return kept_schema(kind)

    def sql(self, text: str, *, timeout_seconds: int) -> pa.Table:
        """By a query that ClickHouse itself ends when its time is over."""
        with self._failing(QueryError):
            settings = {**_FINAL, "max_execution_time": timeout_seconds}
            return self._client.query_arrow(text, use_strings=True, settings=settings)

    def _select(self, text: str) -> pa.Table:
        with self._failing(StoreError):
            return self._client.query_arrow(text, use_strings=True, settings=_FINAL)

    @functools.cached_property
    def _opened(self) -> Any:
        import clickhouse_connect

        return clickhouse_connect.get_client(**self._target)

    @property
    def _client(self) -> Any:
        """The client, once database and tables are there."""
        with self._asking:
            client = self._opened
            if not self._ready:
                client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`")
                client.database = self._database
                if "chdb" in self._target.values():
                    client.command(f"USE `{self._database}`")
                for kind in KINDS:
                    client.command(_definition(kind))
                self._ready = True
            return client

    @contextmanager
    def _failing(self, kind: type[WorkbenchError]) -> Iterator[None]:
        """What the driver raises, as ours."""
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            yield
        except ClickHouseError as error:
            hint = "" if kind is QueryError else "Is it running, and is the address right?"
            raise kind(str(error).strip()[:500], where=self.url, hint=hint) from error


def _definition(kind: str) -> str:
    columns = [f"`{field.name}` {_type(field)}" for field in kept_schema(kind)]
    columns += [f"`{name}` Int64" for name in PLACE]
    time = KINDS[kind].time
    parts = f" PARTITION BY toYYYYMM(`{time}`)" if time else ""
    key = ", ".join(f"`{name}`" for name in KINDS[kind].key)
    return (
        f"CREATE TABLE IF NOT EXISTS `{kind}` ({', '.join(columns)}, `place` UInt64) "
        f"ENGINE = ReplacingMergeTree(`place`){parts} ORDER BY ({key})"
    )


def _type(field: pa.Field) -> str:
    if pa.types.is_map(field.type):
        return "Map(String, String)"
    name = "DateTime64(6, 'UTC')" if pa.types.is_timestamp(field.type) else _TYPES[field.type]
    return f"Nullable({name})" if field.nullable else name
