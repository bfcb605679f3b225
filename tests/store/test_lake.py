"""The lake from outside: what is committed is there once, under a version that can be opened again."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from workbench.config import Settings
from workbench.errors import LogCorrupt, StoreError, VersionGone
from workbench.schema import KINDS
from workbench.store.lake import Lake

DAY_US = 86_400_000_000
NOON_US = 20_000 * DAY_US + DAY_US // 2
APP = "log:0a1b"


def rows(kind: str, segment: int, **columns: object) -> pa.Table:
    """Rows of a kind with the given columns, nulls (or 0) elsewhere, numbered from row 0 of a segment."""
    stored = pa.schema([field for field in KINDS[kind].stored if field.name != "day"])
    count = max(len(column) for column in columns.values())  # type: ignore[arg-type]
    given = {"segment": np.full(count, segment), "row": np.arange(count), "type": np.zeros(count, np.int8), **columns}
    if kind != "samples" and "type" not in columns:
        given["type"] = [""] * count
    return pa.table(
        [pa.array(given[f.name]).cast(f.type) if f.name in given else pa.nulls(count, f.type) for f in stored],
        schema=stored,
    )


def samples(segment: int, series: list[int], times_us: list[int], values: list[float]) -> pa.Table:
    return rows("samples", segment, series=series, time=times_us, value=values)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    made = Lake(settings)
    made.create()
    made.adopt_log("0a1b")
    return made


def test_a_new_lake_is_empty(settings: Settings) -> None:
    lake = Lake(settings)
    assert lake.log_identity() is None
    assert lake.sealed(APP) is None
    assert lake.lake_version == ""
    assert lake.sealed_segment() == 0
    assert not settings.lake_dir.exists()


def test_what_was_committed_is_read_by_us_and_by_polars(lake: Lake, settings: Settings) -> None:
    version = lake.commit(APP, 1, {"samples": samples(1, [7, 3], [NOON_US, NOON_US + DAY_US], [1.5, 2.5])})
    assert lake.lake_version == version
    assert lake.sealed(APP) == 1
    assert lake.missing(APP, 1) == []
    found = lake.samples(np.array([3]), 0, 2**62)
    assert found["value"].to_pylist() == [2.5]
    read = pl.scan_delta(str(settings.lake_dir / "samples")).sort("series").collect()
    assert read["value"].to_list() == [2.5, 1.5]
    assert read["day"].dt.to_string().to_list() == ["2024-10-05", "2024-10-04"]


def test_a_step_is_committed_once(lake: Lake) -> None:
    step = {"samples": samples(1, [7], [NOON_US], [1.5])}
    first = lake.commit(APP, 1, step)
    assert lake.commit(APP, 1, step) == first
    assert lake.table("samples").num_rows == 1


def test_another_content_under_a_known_number_is_refused(lake: Lake) -> None:
    lake.commit(APP, 1, {"samples": samples(1, [7], [NOON_US], [1.5])})
    with pytest.raises(LogCorrupt, match="samples"):
        lake.commit(APP, 1, {"samples": samples(1, [7], [NOON_US], [2.5])})


def test_unknown_tables_are_refused_by_name(lake: Lake) -> None:
    with pytest.raises(StoreError, match=r"no such table: sample. There are series, samples"):
        lake.commit(APP, 1, {"sample": samples(1, [7], [NOON_US], [1.5])})


def test_another_log_is_refused(lake: Lake) -> None:
    with pytest.raises(LogCorrupt, match="0a1b"):
        lake.adopt_log("ffff")


def test_a_version_shows_what_it_named(lake: Lake) -> None:
    first = lake.commit(APP, 1, {"samples": samples(1, [7], [NOON_US], [1.5])})
    lake.commit(APP, 2, {"samples": samples(2, [7], [NOON_US + 1], [2.5])})
    assert lake.table("samples", version=first)["value"].to_pylist() == [1.5]
    assert lake.sealed_segment(first) == 1
    assert lake.sealed_segment() == 2
    assert len(lake.files("samples", version=first)) == 1
    with pytest.raises(VersionGone):
        lake.table("samples", version="000009-00000000")


def test_another_process_sees_the_newest_version_on_refresh(lake: Lake, settings: Settings) -> None:
    other = Lake(settings)
    assert not other.refresh()
    version = lake.commit(APP, 1, {})
    assert other.refresh()
    assert other.lake_version == version
    assert not other.refresh()


def test_a_load_has_numbers_of_its_own_and_keeps_the_segment(lake: Lake) -> None:
    lake.commit(APP, 4, {})
    lake.commit("load:x", 1, {"samples": samples(0, [7], [NOON_US], [1.5])})
    assert lake.sealed("load:x") == 1
    assert lake.sealed(APP) == 4
    assert lake.sealed_segment() == 4
