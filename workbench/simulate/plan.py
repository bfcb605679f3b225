"""What of the platform's past is still to be loaded: plans, cut so that the last hours are there first.

A plan is fixed when it is made (its load id, its two ends) and kept in a file, so a load that was killed goes on where
it was: the same number always stands for the same piece, and a piece that the lake has already is passed over.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench import log
from workbench.simulate.grid import CELL_US
from workbench.simulate.shapes import DAY_US, SECOND_US

_LOG = log.get(__name__)

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
    """The memory kept in `file`; an empty one where there is none, or none that can be read.

    Then all history is loaded again: the same values at the same times, which the lake holds once.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return Memory(document["since_us"], document["live_us"], tuple(Plan(**plan) for plan in document["plans"]))
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, KeyError, TypeError) as error:
        _LOG.warning("memory_unreadable", file=str(file), error=repr(error))
        return Memory()


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


def write_json(file: Path, *documents: Any) -> None:
    """Write a small file, one document a line, so that a reader finds the old or the new text, never half of one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    partial.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    partial.replace(file)
