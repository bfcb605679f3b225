"""What goes wrong on the simulated platform, when, and what it does: known truth, drawn from the seed.

One kind so far. `llm_slowdown`: calls to one model slow down to three times their duration within five minutes; two
minutes later the queue grows and content items take longer; then it recedes in the same way.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.simulate.catalogue.company import MODELS
from workbench.simulate.grid import SCHEDULE, STEP_US, generator
from workbench.simulate.shapes import DAY_US, SECOND_US

RAMP_US = 300 * SECOND_US
LAG_US = 120 * SECOND_US
SHARE_OF_DAYS = 0.6
"""About two incidents in three days: often enough to be met live, seldom enough to be unusual."""


@dataclass(frozen=True)
class Incident:
    """One incident: it starts to ramp up at `start_us` and is gone, followers included, `LAG_US` after `end_us`."""

    kind: str
    start_us: int
    end_us: int
    model: str

    def as_dict(self) -> dict[str, Any]:
        """One line of the truth file."""
        return {
            "kind": self.kind,
            "start": _iso(self.start_us),
            "end": _iso(self.end_us),
            "gen_ai.request.model": self.model,
            "first_mover": "gen_ai.client.operation.duration",
            "followers": ["synth.queue.depth", "synth.content.duration"],
            "followers_lag_seconds": LAG_US // SECOND_US,
        }


def incidents(seed: int, start_us: int, end_us: int) -> list[Incident]:
    """Every incident of this seed that touches [start_us, end_us], in order of time."""
    found = []
    for day in range(start_us // DAY_US - 1, end_us // DAY_US + 1):
        incident = _of_day(seed, day)
        if incident and incident.start_us <= end_us and incident.end_us + LAG_US >= start_us:
            found.append(incident)
    return found


def _of_day(seed: int, day: int) -> Incident | None:
    random = generator(seed, SCHEDULE, day)
    happens, at, lasts = random.random(3)
    model = MODELS[int(random.integers(len(MODELS)))].name
    if happens >= SHARE_OF_DAYS:
        return None
    # Between 7 and 19 h UTC, when there is traffic to slow down; 25 to 70 minutes, ramps included; on whole steps.
    start_us = day * DAY_US + int((7 + 12 * at) * 360) * STEP_US
    return Incident("llm_slowdown", start_us, start_us + int((25 + 45 * lasts) * 6) * STEP_US, model)


def signals(seed: int, times_us: np.ndarray) -> dict[str, np.ndarray]:
    """Strength 0..1 of what metrics react to: `slow:<model>`, and `backlog`, which lags behind. Absent where all 0."""
    found: dict[str, np.ndarray] = {}
    if not len(times_us):
        return found
    for incident in incidents(seed, int(times_us.min()) - DAY_US, int(times_us.max())):
        for name, lag_us in ((f"slow:{incident.model}", 0), ("backlog", LAG_US)):
            strength = severity(incident, times_us - lag_us)
            if strength.any():
                found[name] = np.maximum(found.get(name, 0.0), strength)
    return found


def severity(incident: Incident, times_us: np.ndarray) -> np.ndarray:
    """Strength of an incident: 0 outside, 1 at its height, linear ramps of five minutes at both ends."""
    rising = (times_us - incident.start_us) / RAMP_US
    falling = (incident.end_us - times_us) / RAMP_US
    return np.clip(np.minimum(rising, falling), 0.0, 1.0)


def _iso(time_us: int) -> str:
    return dt.datetime.fromtimestamp(time_us / SECOND_US, dt.UTC).isoformat().replace("+00:00", "Z")
