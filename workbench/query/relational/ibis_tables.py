"""The tables as Ibis expressions: written once, run by DuckDB over log and lake, by ClickHouse or by BigQuery.

An expression is compiled to the SQL of whoever answers. Over log and lake that is a statement like any other: with its
limits, and with the rows of its person alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from workbench import config
from workbench.errors import ConfigError, NotEvaluated, QueryError
from workbench.query.relational.statement import sql
from workbench.query.relational.tables import MEASUREMENTS, METRICS
from workbench.schema import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir

    from workbench.store import View, Warehouse

_DEFAULT = config.Query()


class Tables:
    """Every table as an Ibis table, by attribute or by name: `tables.usage`, `tables["usage"]`.

    They are bound to no connection, so an expression is answered by `tables.execute(expr)`. With a warehouse that
    answers, its tables are the kinds alone.
    """

    def __init__(
        self,
        view: View,
        now_us: Callable[[], int],
        *,
        limits: config.Query = _DEFAULT,
        warehouse: Warehouse | None = None,
    ) -> None:
        self._view = view
        self._now_us = now_us
        self._limits = limits
        self._warehouse = warehouse
        ours = {} if warehouse is not None else {"measurements": MEASUREMENTS, "metrics": METRICS}
        self._schemas = {
            **ours,
            **{name: kind.schema if warehouse is None else warehouse.schema(name) for name, kind in KINDS.items()},
        }

    def __getitem__(self, name: str) -> ir.Table:
        ibis = _ibis()
        if name not in self._schemas:
            raise KeyError(f"no table {name!r}; there are: {', '.join(self._schemas)}")
        return ibis.table(ibis.Schema.from_pyarrow(self._schemas[name]), name=name)

    def __getattr__(self, name: str) -> ir.Table:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._schemas)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._schemas]

    def __repr__(self) -> str:
        by = "DuckDB over log and lake" if self._warehouse is None else self._warehouse.url
        return f"Tables answered by {by}: {', '.join(self._schemas)}"

    def compile(self, expr: ir.Expr) -> str:
        """The SQL of an expression in the dialect of whoever answers. Raises NotEvaluated for what it cannot say."""
        dialect = "duckdb" if self._warehouse is None else self._warehouse.dialect
        _ibis()
        from ibis.backends.sql import compilers
        from ibis.common.exceptions import IbisError

        compiler = getattr(compilers, dialect).compiler
        try:
            return str(compiler.to_sqlglot(expr.unbind()).sql(dialect=compiler.dialect))
        except IbisError as error:
            hint = "docs/backends.md says what each back end can."
            raise NotEvaluated(f"{dialect} cannot say that: {error}", where="ibis", hint=hint) from error

    def to_pyarrow(self, expr: ir.Expr) -> pa.Table:
        """The answer as an Arrow table of the expression's schema. Raises QueryError, QueryLimit, StoreError."""
        text = self.compile(expr)
        if self._warehouse is None:
            found = sql(self._view, text, now_us=self._now_us(), limits=self._limits)
        else:
            found = self._warehouse.sql(text, timeout_seconds=self._limits.timeout_seconds)
        wanted = expr.as_table().schema().to_pyarrow()
        columns = [_cast(found.column(at), field) for at, field in enumerate(wanted)]
        return pa.Table.from_arrays(columns, names=wanted.names)

    def execute(self, expr: ir.Expr) -> Any:
        """The answer as Ibis gives it: a pandas frame for a table, a series for a column, a value for a scalar."""
        import ibis.expr.types as ir

        from workbench.query.readers import to_pandas

        found = self.to_pyarrow(expr)
        if isinstance(expr, ir.Scalar):
            return found.column(0)[0].as_py()
        frame = to_pandas(found)
        return frame if isinstance(expr, ir.Table) else frame.iloc[:, 0]


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    wanted = field.type
    if pa.types.is_timestamp(wanted):
        # Ibis forgets the zone of a time that was cut to an hour or a day; it is UTC everywhere.
        wanted = pa.timestamp(wanted.unit, tz="UTC")
        if pa.types.is_integer(column.type):
            # ClickHouse gives a time without parts of a second as a number of them.
            column = column.cast(pa.int64()).cast(pa.timestamp("s"))
        if pa.types.is_timestamp(column.type) and column.type.tz is None:
            column = column.cast(pa.timestamp(column.type.unit, tz="UTC"))
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise QueryError(f"the answer does not fit {field.name}: {error}", where="ibis") from error


def _ibis() -> Any:
    try:
        import ibis
    except ImportError as error:
        hint = "Install the extra: workbench[lab]."
        raise ConfigError("Ibis is not installed", where="tables", hint=hint) from error
    return ibis
