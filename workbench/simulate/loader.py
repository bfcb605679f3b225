"""Put the platform's history into the lake, through the hub, piece by piece, until it is all there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow as pa

from workbench import log, store
from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.simulate.grid import CELL_US
from workbench.simulate.history import samples
from workbench.simulate.identity import registration
from workbench.simulate.plan import Plan
from workbench.simulate.platform import Platform
from workbench.simulate.progress import Progress
from workbench.simulate.rows.cell import joined, rows_of
from workbench.simulate.shapes import DAY_US

RETRY_SECONDS = 2.0

_LOG = log.get(__name__)

Connect = Callable[[], AbstractContextManager[Any]]
"""Gives a writer for as long as it is entered. Raises WorkbenchError or OSError where there is none now."""


def load_history(
    platform: Platform, progress: Progress, connect: Connect, wait: Callable[[float], bool], *, detail_days: int
) -> None:
    """Load every open plan, the newest first. While the hub is away, or refuses, try again; `wait` says when to end.

    Single items, uses, sign-ins and LLM calls, a hundred thousand rows a day, are loaded for the last `detail_days`.
    """
    for plan in progress.memory.plans:
        done = False
        while not done:
            try:
                with connect() as writer:
                    done = _load(platform, plan, progress, writer, wait, detail_days)
            except (WorkbenchError, OSError) as error:
                _LOG.warning("history_waits", error=str(error))
                progress.waits(str(error))
            if not done and wait(RETRY_SECONDS):
                return


def hub_writer(settings: Settings) -> AbstractContextManager[Any]:
    """The running hub's writer, and never one of our own: the demo must not hold the lake's lock when a hub starts."""
    return store.RemoteWriter(settings)


def _rows(platform: Platform, start_us: int, end_us: int, detail: bool) -> dict[str, pa.RecordBatch]:
    """The single rows of all cells that end at these moments, both inclusive."""
    places = range(start_us // CELL_US - 1, end_us // CELL_US)
    return joined(rows_of(platform, place, detail=detail) for place in places)


def _load(
    platform: Platform, plan: Plan, progress: Progress, writer: Any, wait: Callable[[float], bool], detail_days: int
) -> bool:
    """Load what is left of a plan; False when it is time to end before that."""
    ids = np.array(
        writer.register([registration(series) for series in platform.series], f"load:{plan.load_id}"), np.int64
    )
    known = next((one for one in progress.memory.plans if one.load_id == plan.load_id), plan)
    for number, (start_us, end_us) in enumerate(plan.pieces(), 1):
        if number > known.done:
            if wait(0):
                return False
            detail = end_us > plan.end_us - detail_days * DAY_US
            batches = {"samples": samples(platform, ids, start_us, end_us), **_rows(platform, start_us, end_us, detail)}
            fresh = writer.load(plan.load_id, number, batches)
            progress.loaded(plan, number)
            _LOG.info("history_loaded", number=number, fresh=fresh)
    return True
