"""What a copy does, piece by piece, and how far it is: a file that is exchanged after every piece."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from workbench.config import ensure_private_dir
from workbench.errors import StoreError

PLAN_VERSION = 1
"""Of how a copy is cut into pieces; part of its id, so that a new version never goes on with an old plan."""


@dataclass(frozen=True)
class Stretch:
    """A part of the time, cut into windows of `step_us`, each once for every group (metric names, or one table)."""

    start_us: int
    end_us: int
    step_us: int
    groups: list[list[str]]

    def pieces(self) -> Iterator[Piece]:
        """Window by window: who takes samples in the order of time takes these."""
        for number, start_us in enumerate(range(self.start_us, self.end_us + 1, self.step_us)):
            end_us = min(start_us + self.step_us - 1, self.end_us)
            for group in self.groups:
                yield Piece(start_us, end_us, tuple(group), number == 0)

    def __len__(self) -> int:
        return len(self.groups) * len(range(self.start_us, self.end_us + 1, self.step_us))


@dataclass(frozen=True)
class Piece:
    """Both ends of its time are included; `first`: of its group in this stretch."""

    start_us: int
    end_us: int
    group: tuple[str, ...]
    first: bool


@dataclass
class Plan:
    """A copy: how many of its pieces are done, how many of them were numbered steps of a load into the lake."""

    id: str
    stretches: list[Stretch] = field(default_factory=list)
    done: int = 0
    loads: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.stretches))

    def left(self) -> Iterator[Piece]:
        """The pieces that are not done, in their order."""
        for number, piece in enumerate(piece for stretch in self.stretches for piece in stretch.pieces()):
            if number >= self.done:
                yield piece

    @property
    def end_us(self) -> int | None:
        """Until when it copies; None before its first stretch."""
        return self.stretches[-1].end_us if self.stretches else None


def plan_id(parts: Sequence[object]) -> str:
    """The same for the same copy, whenever it is asked for."""
    digest = hashlib.sha256(json.dumps([PLAN_VERSION, *parts]).encode()).hexdigest()
    return str(uuid.UUID(digest[:32]))


def load_plan(folder: Path, id_: str) -> Plan:
    """The plan as it was left; a new one where there is none. Raises StoreError for a file that is no plan."""
    file = _file(folder, id_)
    try:
        told = json.loads(file.read_bytes())
        return Plan(id_, [Stretch(**one) for one in told["stretches"]], told["done"], told["loads"])
    except FileNotFoundError:
        return Plan(id_)
    except (ValueError, KeyError, TypeError) as error:
        hint = "Delete it: the copy then begins again, and what is there already is not written twice."
        raise StoreError(f"not the state of a copy: {error!r}", where=str(file), hint=hint) from error


def save_plan(folder: Path, plan: Plan) -> None:
    """Exchange the file, durably: after a power cut it is the one before or this one."""
    file = _file(ensure_private_dir(folder), plan.id)
    fresh = file.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as out:
        json.dump(asdict(plan), out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def _file(folder: Path, id_: str) -> Path:
    return folder / f"{id_}.json"
