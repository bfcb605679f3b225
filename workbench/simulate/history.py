"""The platform's past as batches of `samples`, cut so that the last hours are there first.

A plan is fixed when it is made (its load id, its two ends) and kept in a file, so a load that was killed goes on where
it was: the same number always stands for the same piece, and a piece that the lake has already is passed over.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.schema import KINDS, TIME
from workbench.simulate.grid import CELL_US, month_start_us
from workbench.simulate.platform import Platform
from workbench.simulate.shapes import DAY_US, SECOND_US

FIRST_PIECE_US = 6 * 3600 * SECOND_US
"""The first piece is small: what a page shows when it is opened."""


@dataclass(frozen=True)
class Plan:
    """A bulk load of [start_us, end_us] at five minutes; `done` pieces of it are in the lake."""

    load_id: str
    start_us: int
    end_us: int
    done: int = 0

    @staticmethod
    def of(start_us: int, end_us: int) -> Plan:
        """A new plan, under a load id of its own, for the cells that end within these times."""
        return Plan(str(uuid.uuid4()), -(-start_us // CELL_US) * CELL_US, end_us // CELL_US * CELL_US)

    def pieces(self) -> list[tuple[int, int]]:
        """(start_us, end_us), ends inclusive, newest first: the last hours, the rest of that day, then day by day."""
        pieces: list[tuple[int, int]] = []
        end_us = self.end_us
        while end_us >= self.start_us:
            first_us = end_us // DAY_US * DAY_US
            if not pieces:
                first_us = max(first_us, end_us - FIRST_PIECE_US)
            first_us = max(first_us, self.start_us)
            pieces.append((first_us, end_us))
            end_us = first_us - CELL_US
        return pieces


@dataclass(frozen=True)
class Memory:
    """What the demo remembers of a home: where its history starts, what is still to load, how far live data came.

    `live_us` is the newest moment that is known to have been delivered, 0 before the first.
    """

    since_us: int = 0
    live_us: int = 0
    plans: tuple[Plan, ...] = ()


def recall(file: Path) -> Memory:
    """The memory kept in `file`; an empty one where there is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Memory()
    return Memory(document["since_us"], document["live_us"], tuple(Plan(**plan) for plan in document["plans"]))


def remember(file: Path, memory: Memory) -> None:
    """Keep the memory in `file`, all or nothing."""
    write_json(file, asdict(memory))


def planned(memory: Memory, now_us: int, history_days: int) -> Memory:
    """The memory with a plan for what is missing before `now_us`: all history at first, later the time it did not run.

    Plans that are done are forgotten. History that is older than `history_days` is not made up for.
    """
    open_plans = tuple(plan for plan in memory.plans if plan.done < len(plan.pieces()))
    start_us = max(memory.live_us, now_us - history_days * DAY_US)
    first_time = not memory.since_us
    if first_time or (memory.live_us and now_us - start_us >= 2 * CELL_US):
        open_plans = (Plan.of(start_us, now_us), *open_plans)
    return Memory(memory.since_us or start_us, memory.live_us, open_plans)


def samples(platform: Platform, ids: np.ndarray, start_us: int, end_us: int) -> pa.RecordBatch:
    """Batch of `samples` of all series at five minutes, both ends inclusive; sorted by series, then time.

    `ids` are the series' ids in the order of `platform.series`. Counters and histograms carry their start time.
    """
    times_us = np.arange(start_us, end_us + 1, CELL_US)
    values = platform.values(times_us)
    order = np.argsort(ids)
    starts_us = np.array([month_start_us(int(time_us)) for time_us in times_us])
    gauge = np.array([series.metric.type == "gauge" for series in platform.series])[order]
    count = len(ids) * len(times_us)
    columns: Mapping[str, Any] = {
        "series": pa.array(np.repeat(ids[order], len(times_us))),
        "time": pa.array(np.tile(times_us, len(ids))).view(TIME),
        "type": pa.array(np.zeros(count, np.int8)),
        "value": pa.array(values[order].ravel()),
        "stale": pa.array(np.zeros(count, bool)),
        "start_time": pa.array(np.tile(starts_us, len(ids)), mask=np.repeat(gauge, len(times_us))).view(TIME),
    }
    schema = KINDS["samples"].schema
    missing = {field.name: pa.nulls(count, field.type) for field in schema if field.name not in columns}
    return pa.RecordBatch.from_arrays([{**columns, **missing}[field.name] for field in schema], schema=schema)


def write_json(file: Path, *documents: Any) -> None:
    """Write a small file, one document a line, so that a reader finds the old or the new text, never half of one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    partial.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    partial.replace(file)
