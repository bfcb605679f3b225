"""All rows of one cell, or of many: what the loader puts into the lake and the live demo sends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.simulate.grid import IDS
from workbench.simulate.platform import Platform
from workbench.simulate.rows.bills import add_bills, cost_table
from workbench.simulate.rows.calls import add_calls, usage_table
from workbench.simulate.rows.changes import add_changes
from workbench.simulate.rows.counts import Cell
from workbench.simulate.rows.events import Events, event_table, ids
from workbench.simulate.rows.items import add_items
from workbench.simulate.rows.security import add_security
from workbench.simulate.rows.visits import add_visits

Tables = dict[str, pa.Table]


def rows_of(platform: Platform, place: int, *, detail: bool = True) -> Tables:
    """Tables of `events`, `usage` and `costs` that happen in a cell (its number since 1970); empty ones are left out.

    Without `detail` there are no single items, uses, pages, sign-ins and calls: the bulk of it.
    """
    cell, events = Cell(platform, place), Events()
    calls: list[dict[str, Any]] = []
    bills: list[dict[str, Any]] = []
    add_visits(cell, events, detail=detail)
    add_changes(cell, events)
    add_security(cell, events, detail=detail)
    add_bills(cell, bills)
    if detail:
        add_items(cell, events)
        add_calls(cell, calls)
    found: Tables = {}
    if len(events):
        times_us = np.array(events.time_us, np.int64)
        found["events"] = event_table(events, ids(times_us, cell.random(IDS)), platform.schedule.strengths(times_us))
    if calls:
        found["usage"] = usage_table(calls)
    if bills:
        found["costs"] = cost_table(bills)
    return found


def joined(many: Iterable[Tables]) -> dict[str, pa.RecordBatch]:
    """The rows of many cells, one batch for each kind that has any."""
    found: dict[str, list[pa.Table]] = {}
    for tables in many:
        for kind, table in tables.items():
            found.setdefault(kind, []).append(table)
    return {kind: pa.concat_tables(tables).combine_chunks().to_batches()[0] for kind, tables in found.items()}
