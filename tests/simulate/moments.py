"""A few moments that tests look at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from workbench.simulate import Platform
from workbench.simulate.faults import schedule

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


@contextmanager
def alone() -> Iterator[None]:
    """Within it nothing goes wrong on any platform but what a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "_of_day", lambda *_: ())
        patch.setattr(schedule, "_of_block", lambda *_: ())
        yield


def rows(name: str, part: str = "", **attributes: str) -> list[int]:
    """Rows of the series of that name whose attributes have those values; `__` in a keyword stands for a dot."""
    wanted = {(key.replace("__", "."), value) for key, value in attributes.items()}
    found = [
        row
        for row, series in enumerate(platform().series)
        if series.metric.name == name and series.part == part and wanted <= set(series.metric.attributes)
    ]
    assert found, f"no series {name} {part} {attributes}"
    return found
