"""All rows of the relational state from one database into another: SQLite to PostgreSQL and back, and for a backup."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.errors import InputError
from workbench.store.state import metadata

_BATCH_ROWS = 1000


def copy_state(source: sa.Engine, target: sa.Engine) -> int:
    """Copy every table as it is at one moment; how many rows. Both have the newest schema, the target no rows.

    One transaction on either side: all of it or nothing. Raises InputError for a target that holds rows.
    """
    copied = 0
    # SQLite reads what there was when it began to read; PostgreSQL has to be asked to.
    isolation = {"isolation_level": "REPEATABLE READ"} if source.dialect.name == "postgresql" else {}
    with source.connect().execution_options(**isolation) as reading, target.begin() as writing:
        for table in metadata.sorted_tables:
            if writing.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                hint = "Name a database that is empty."
                raise InputError(f"there are rows in {table.name} already", where="state", hint=hint)
        with reading.begin():
            for table in metadata.sorted_tables:
                rows = reading.execute(sa.select(table)).mappings()
                while batch := [dict(row) for row in rows.fetchmany(_BATCH_ROWS)]:
                    writing.execute(sa.insert(table), batch)
                    copied += len(batch)
                _next_number(writing, table)
    return copied


def _next_number(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL numbers rows from a counter, which does not see the numbers that were copied."""
    key = next(iter(table.primary_key.columns))
    if connection.dialect.name == "postgresql" and isinstance(key.type, sa.Integer) and key.autoincrement:
        highest = connection.execute(sa.select(sa.func.max(key))).scalar()
        if highest is not None:
            counter = sa.func.pg_get_serial_sequence(table.name, key.name)
            connection.execute(sa.select(sa.func.setval(counter, highest)))
