"""A few moments that tests look at."""

from __future__ import annotations

import datetime as dt
from functools import cache

from workbench.simulate import Platform

STEP_US = 10_000_000
CELL_US = 300_000_000
DAY_US = 86_400_000_000


def us(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time in UTC."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * 1_000_000


@cache
def platform(seed: int = 42) -> Platform:
    """One platform per seed for all tests: its days are drawn once."""
    return Platform(seed)
