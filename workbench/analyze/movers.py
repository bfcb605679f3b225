"""What changed most between two stretches of time: series ranked by the size of the effect.

The effect is Hedges' g, the difference of two means in units of their pooled standard deviation with the correction for
small samples (Hedges 1981, J. Educational Statistics 6:107). Samples of one series follow each other and are not
independent, so g ranks and is no test; no p-value is made of it. The deviation is at least FLOOR of the level, else a
series without any noise would win by a hair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLOOR = 0.02
LEAST_CHANGE = 0.05
LEAST_EFFECT = 0.5
LEAST_POINTS = 3


@dataclass(frozen=True)
class Mover:
    """One series: its number among those given, mean before and now, their relative change, Hedges' g (signed).

    `change` is infinite where the series was zero or not there before, -1 where it is gone.
    """

    number: int
    before: float
    now: float
    change: float
    effect: float


def top_movers(before: Sequence[np.ndarray], now: Sequence[np.ndarray], *, limit: int = 10) -> list[Mover]:
    """Rank series by |g|, equal ones by relative change; `before[i]` and `now[i]` are float64 values, NaN where none.

    Left out: changes under LEAST_CHANGE of the level, effects under LEAST_EFFECT, and series with fewer than
    LEAST_POINTS values on both sides. A series on one side alone counts as zero on the other.
    """
    found = [mover for number, pair in enumerate(zip(before, now, strict=True)) if (mover := _mover(number, *pair))]
    found.sort(key=lambda mover: (-abs(mover.effect), -abs(mover.change), mover.number))
    return found[:limit]


def _mover(number: int, before: np.ndarray, now: np.ndarray) -> Mover | None:
    old, new = (values[np.isfinite(values)] for values in (before, now))
    if max(len(old), len(new)) < LEAST_POINTS:
        return None
    old, new = (values if len(values) else np.zeros(LEAST_POINTS) for values in (old, new))
    means = float(old.mean()), float(new.mean())
    level = max(abs(mean) for mean in means)
    difference = means[1] - means[0]
    if level == 0 or abs(difference) < LEAST_CHANGE * level:
        return None
    freedom = max(len(old) + len(new) - 2, 1)
    pooled = math.sqrt((old.var() * len(old) + new.var() * len(new)) / freedom)
    effect = difference / max(pooled, FLOOR * level) * (1 - 3 / (4 * freedom - 1) if freedom > 1 else 1.0)
    if abs(effect) < LEAST_EFFECT:
        return None
    return Mover(
        number, *means, difference / abs(means[0]) if means[0] else math.copysign(math.inf, difference), effect
    )
