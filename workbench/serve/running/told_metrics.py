"""Type, unit and help of metrics as remote write told them: kept in the state, read where metadata are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import sqlalchemy as sa

from workbench.ingest import Told
from workbench.store import state

METRICS_MAX = 50_000
"""Metrics that are remembered; what comes beyond is left out."""


class ToldMetrics:
    """The hub's side: writes what is new. Thread-safe."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._known = read_told(engine)

    def tell(self, found: Sequence[Told]) -> None:
        """Remember what was told; costs nothing where it was known."""
        with self._guard:
            fresh = {one.name: one for one in found if self._known.get(one.name) != (one.type, one.unit, one.help)}
            room = METRICS_MAX - len(self._known.keys() | fresh.keys())
            if room < 0:
                fresh = {name: one for name, one in fresh.items() if name in self._known}
            if not fresh:
                return
            table, now_us = state.metric_metadata, time.time_ns() // 1000
            with self._engine.begin() as connection:
                connection.execute(sa.delete(table).where(table.c.name.in_(list(fresh))))
                connection.execute(sa.insert(table), [{**one._asdict(), "told_us": now_us} for one in fresh.values()])
            self._known |= {name: (one.type, one.unit, one.help) for name, one in fresh.items()}


def read_told(engine: sa.Engine) -> dict[str, tuple[str, str, str]]:
    """All that was told: name of a metric -> type, unit, help."""
    table = state.metric_metadata
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table.c.name, table.c.type, table.c.unit, table.c.help))
        return {row.name: (row.type, row.unit, row.help) for row in rows}
