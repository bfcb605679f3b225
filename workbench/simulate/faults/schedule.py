"""When what goes wrong: known truth, drawn from the seed, and what was started by hand.

`llm_slowdown` happens on three days in five. Each other kind happens once in each block of thirty days, at most one of
them beginning a day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.simulate.faults.kinds import KINDS, Effect, Kind
from workbench.simulate.faults.shapes import HOUR_US
from workbench.simulate.grid import BLOCK, CELL_US, SCHEDULE, STEP_US, generator
from workbench.simulate.shapes import DAY_US, SECOND_US

SHARE_OF_DAYS = 0.6
"""Days with an `llm_slowdown`: often enough to be met live, seldom enough to be unusual."""
BLOCK_DAYS = 30
BLOCKS_BACK = 2
"""The longest kind with what outlasts it is gone after 17 days, so one block before this one is enough."""
DAILY = "llm_slowdown"


@dataclass(frozen=True)
class Incident:
    """One incident of a kind: its cause holds from `start_us` to `end_us` (UTC), followers may come and stay later."""

    kind: str
    start_us: int
    end_us: int
    target: str

    @property
    def gone_us(self) -> int:
        """When the last of its effects is over."""
        return max(end_us for *_, end_us in self.effects())

    def effects(self) -> Iterator[tuple[str, Effect, int, int]]:
        """(signal, effect, start_us, end_us) of each of its effects.

        In one that is shorter than its kind ever is, followers come sooner in proportion.
        """
        kind = KINDS[self.kind]
        pace = min(1.0, (self.end_us - self.start_us) / (kind.lasts_seconds[0] * SECOND_US))
        for effect in kind.effects:
            lag_us, outlasts_us = (
                int(each * pace) * SECOND_US // STEP_US * STEP_US
                for each in (effect.lag_seconds, effect.outlasts_seconds)
            )
            yield self._name(effect.signal), effect, self.start_us + lag_us, self.end_us + outlasts_us

    def as_dict(self) -> dict[str, Any]:
        """One line of the truth file; times in ISO 8601."""
        kind = KINDS[self.kind]
        return {
            "kind": self.kind,
            "start": iso(self.start_us),
            "end": iso(self.end_us),
            "gone": iso(self.gone_us),
            "target": self.target,
            "component": self._name(kind.component),
            "cause": kind.cause,
            "sees": kind.sees,
            "benign": kind.benign,
            "signals": [name for name, *_ in self.effects()],
        }

    def _name(self, text: str) -> str:
        return text.replace("{target}", self.target)


@dataclass(frozen=True)
class Schedule:
    """All incidents of a seed, and those that were `started` by hand."""

    seed: int
    started: tuple[Incident, ...] = ()

    def incidents(self, start_us: int, end_us: int) -> list[Incident]:
        """Every incident any of whose effects touches [start_us, end_us], in order of start."""
        drawn: list[Incident] = []
        for block in range(start_us // DAY_US // BLOCK_DAYS - BLOCKS_BACK + 1, end_us // DAY_US // BLOCK_DAYS + 1):
            drawn += _of_block(self.seed, block)
        for day in range(start_us // DAY_US - 1, end_us // DAY_US + 1):
            drawn += _of_day(self.seed, day, SHARE_OF_DAYS)
        found = [one for one in (*drawn, *self.started) if one.start_us <= end_us and one.gone_us >= start_us]
        return sorted(found, key=lambda one: (one.start_us, one.kind))

    def strengths(self, times_us: np.ndarray) -> dict[str, np.ndarray]:
        """Strength of every signal that is not 0 at all of these times: name -> float64[time]."""
        found: dict[str, np.ndarray] = {}
        if not len(times_us):
            return found
        first_us, last_us = int(times_us.min()), int(times_us.max())
        for incident in self.incidents(first_us, last_us):
            for name, effect, start_us, end_us in incident.effects():
                if start_us > last_us or end_us < first_us:
                    continue
                strength = effect.shape(times_us, start_us, end_us)
                if strength.any():
                    known = found.get(name)
                    found[name] = (
                        strength if known is None else np.where(known == 0, strength, np.maximum(known, strength))
                    )
        return found


def incidents(seed: int, start_us: int, end_us: int, started: Sequence[Incident] = ()) -> list[Incident]:
    """Every incident of this seed any of whose effects touches [start_us, end_us], in order of start."""
    return Schedule(seed, tuple(started)).incidents(start_us, end_us)


@lru_cache(1024)
def _of_day(seed: int, day: int, share: float) -> tuple[Incident, ...]:
    random = generator(seed, SCHEDULE, day)
    happens, at, lasts = random.random(3)
    kind = KINDS[DAILY]
    target = kind.targets[int(random.integers(len(kind.targets)))]
    if happens >= share:
        return ()
    return (_placed(kind, day, at, lasts, target),)


@lru_cache(64)
def _of_block(seed: int, block: int) -> tuple[Incident, ...]:
    random = generator(seed, BLOCK, block)
    kinds = [kind for kind in KINDS.values() if kind.name != DAILY]
    days = block * BLOCK_DAYS + random.permutation(BLOCK_DAYS)[: len(kinds)]
    draws = random.random((len(kinds), 3)).tolist()
    return tuple(
        _placed(kind, int(day), at, lasts, kind.targets[int(which * len(kind.targets))])
        for kind, day, (at, lasts, which) in zip(kinds, days, draws, strict=True)
    )


def _placed(kind: Kind, day: int, at: float, lasts: float, target: str) -> Incident:
    """On whole steps; what lasts for days, on whole cells."""
    first, last = kind.hours
    least, most = kind.lasts_seconds
    grid_us = CELL_US if least >= 3600 else STEP_US
    start_us = day * DAY_US + int((first + (last - first) * at) * HOUR_US) // grid_us * grid_us
    return Incident(
        kind.name, start_us, start_us + int((least + (most - least) * lasts) * SECOND_US) // grid_us * grid_us, target
    )


def iso(time_us: int) -> str:
    """A moment in ISO 8601, UTC."""
    return dt.datetime.fromtimestamp(time_us / SECOND_US, dt.UTC).isoformat().replace("+00:00", "Z")
