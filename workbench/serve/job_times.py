"""The next time of each job, as the scheduler's store has it; without loading the scheduler."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.store import state


def next_times(engine: sa.Engine) -> dict[str, int]:
    """The next time of each job by name, microseconds UTC."""
    table = state.schedule
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table.c.id, table.c.next_run_time)).all()
    return {row.id: round(row.next_run_time * 1e6) for row in rows if row.next_run_time is not None}
