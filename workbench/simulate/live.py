"""Rows as they happen: events through the events door, LLM calls and cost lines over the hub's socket.

There is no queue: rows are a function of time, so what could not be delivered is made again, and what comes twice is
there once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from workbench import log
from workbench.collect import HttpDoor, ingest_address
from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.simulate.grid import CELL_US
from workbench.simulate.platform import Platform
from workbench.simulate.rows.cell import Tables, joined, rows_of
from workbench.simulate.rows.events import RECEIVED_AFTER_US, cloud_events
from workbench.store import RemoteWriter

BATCH = "application/cloudevents-batch+json"
MOMENTS = {"events": ("received", RECEIVED_AFTER_US), "usage": ("time", 0)}
"""The column by which a row has happened, and how much later than that it says. Bills come as their cell begins."""

TIMEOUT_SECONDS = 3.0
"""What was not taken is made again, and a demo that waits for a hub that is just ending could not end with it."""

_LOG = log.get(__name__)


def hub_writer(settings: Settings) -> RemoteWriter:
    """The running hub's writer, asked with little patience."""
    return RemoteWriter(settings, timeout_seconds=TIMEOUT_SECONDS)


class LiveRows:
    """Sends the rows of one platform from `since_us` on. `open_writer` gives a writer of the hub, for one use."""

    def __init__(
        self,
        settings: Settings,
        platform: Platform,
        since_us: int,
        open_writer: Callable[[Settings], Any] = hub_writer,
    ) -> None:
        self.sent_us = since_us
        self._settings = settings
        self._platform = platform
        self._open_writer = open_writer
        self._door = HttpDoor(
            lambda: ingest_address(settings), timeout_seconds=TIMEOUT_SECONDS, path="/events", media_type=BATCH
        )
        self._cells: dict[int, Tables] = {}
        self._fault = ""

    def send(self, until_us: int) -> None:
        """Deliver what happened up to then; where that fails it is tried again next time, an hour at most at once."""
        until_us = min(until_us, self.sent_us + 12 * CELL_US)
        try:
            for kind, batch in joined(self._between(self.sent_us, until_us)).items():
                self._deliver(kind, batch)
        except (WorkbenchError, OSError) as error:
            if str(error) != self._fault:
                _LOG.warning("rows_wait", error=str(error))
            self._fault = str(error)
            return
        self.sent_us, self._fault = until_us, ""

    def forget(self, since_us: int) -> None:
        """Rows from then on are made anew."""
        self._cells = {place: tables for place, tables in self._cells.items() if (place + 1) * CELL_US <= since_us}

    def close(self) -> None:
        """Give the connection back."""
        self._door.close()

    def _deliver(self, kind: str, batch: pa.RecordBatch) -> None:
        if kind != "events":
            with self._open_writer(self._settings) as writer:
                writer.append({kind: batch}).result()
            return
        answer = self._door.post(cloud_events(batch.to_pylist()))
        if answer.again:
            raise OSError(f"the events door does not take them: {answer.status or 'no answer'}")
        if not answer.accepted:
            _LOG.warning("events_refused", status=answer.status, rows=batch.num_rows)

    def _between(self, start_us: int, end_us: int) -> list[Tables]:
        first, last = start_us // CELL_US, (end_us - 1) // CELL_US
        self._cells = {place: tables for place, tables in self._cells.items() if place >= first}
        found = []
        for place in range(first, last + 1):
            if place not in self._cells:
                self._cells[place] = rows_of(self._platform, place)
            found.append(_happened(self._cells[place], place, start_us, end_us))
        return found


def _happened(tables: Tables, place: int, start_us: int, end_us: int) -> Tables:
    """The rows of a cell that happened in [start_us, end_us)."""
    found: Tables = {}
    for kind, table in tables.items():
        if kind not in MOMENTS:
            if start_us <= place * CELL_US < end_us:
                found[kind] = table
            continue
        column, later_us = MOMENTS[kind]
        moments = pc.subtract(table[column].cast(pa.int64()), later_us)
        chosen = table.filter(pc.and_(pc.greater_equal(moments, start_us), pc.less(moments, end_us)))
        if chosen.num_rows:
            found[kind] = chosen
    return found
