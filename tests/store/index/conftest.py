"""A lake whose blocks are over, and both ways to read it."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis
import numpy as np
import pyarrow as pa
import pytest

from workbench.config import Settings
from workbench.schema import KINDS
from workbench.store import build_index
from workbench.store.index.build import Built
from workbench.store.index.read import IndexedLake
from workbench.store.lake import Lake
from workbench.store.samples import Run, float_rows, gather, sort_run

hypothesis.settings.register_profile("index", deadline=None)
hypothesis.settings.load_profile("index")

APP = "log:0a1b"
DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
START_US = 20_000 * DAY_US + 8 * HOUR_US
"""The begin of a block."""
NOW_US = START_US + 12 * HOUR_US
STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
EVER = 2**62


def commit(lake: Lake, segment: int, series: Sequence[int], times_us: Sequence[int], values: Sequence[float]) -> None:
    """Seal float samples as a segment of the log."""
    stored = pa.schema([field for field in KINDS["samples"].stored if field.name != "day"])
    count = len(series)
    given = {
        "series": np.asarray(series, np.int64), "time": np.asarray(times_us, np.int64),
        "type": np.zeros(count, np.int8),
        "value": np.asarray(values, np.float64), "segment": np.full(count, segment), "row": np.arange(count),
    }  # fmt: skip
    columns = [pa.array(given[f.name]).cast(f.type) if f.name in given else pa.nulls(count, f.type) for f in stored]
    lake.commit(APP, segment, {"samples": pa.table(columns, schema=stored)})


def by_rows(lake: Lake, ids: np.ndarray, start_us: int, end_us: int, version: str | None = None) -> Run:
    """What the rows of the lake say, without any index."""
    return gather(sort_run(*float_rows(lake.samples(ids, start_us, end_us, version=version))), ids, start_us, end_us)


def same(left: Run, right: Run) -> bool:
    """Whether two answers are the same to the bit."""
    pairs = [(left.ids, right.ids), (left.offsets, right.offsets), (left.times, right.times)]
    pairs.append((left.values.view(np.int64), right.values.view(np.int64)))
    return all(np.array_equal(a, b) for a, b in pairs)


def rebuild(lake: Lake) -> Built:
    """Bring the index up to date."""
    return build_index(lake, NOW_US)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    made = Lake(settings)
    made.create()
    made.adopt_log("0a1b")
    return made


@pytest.fixture
def reader(settings: Settings, lake: Lake) -> IndexedLake:
    return IndexedLake(settings, lake)
