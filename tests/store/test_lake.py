"""The lake from outside: what is committed is there once, under a version that can be opened again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.config import Settings
from workbench.errors import LogCorrupt, StoreError, VersionGone
from workbench.schema import KINDS
from workbench.store import delta, parquet
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


def test_files_and_their_names_are_on_the_disk_before_an_entry_names_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lake.path("samples")
    entry = folder / "_delta_log" / f"{1:020d}.json"
    early: set[Path] = set()
    late: set[Path] = set()

    def spy(original: Callable[[Path], None]) -> Callable[[Path], None]:
        def sync(path: Path) -> None:
            original(path)
            (late if entry.exists() else early).add(path)

        return sync

    for module in (parquet, delta):
        for name in ("sync_file", "sync_folder"):
            monkeypatch.setattr(module, name, spy(getattr(module, name)))
    days = [NOON_US + day * DAY_US for day in range(40)]
    lake.commit(APP, 1, {"samples": samples(1, [7] * 40, days, [1.5] * 40)})
    files = {Path(path) for path in lake.files("samples")}
    assert len(files) == 40
    assert early >= files | {file.parent for file in files} | {folder}
    assert late >= {entry, entry.parent}


def test_rows_in_any_order_of_days_come_back_whole(lake: Lake) -> None:
    days = [NOON_US + day * DAY_US for day in (3, 0, 2, 0, 3, 1)]
    lake.commit(APP, 1, {"samples": samples(1, [7, 7, 8, 6, 8, 7], days, [float(n) for n in range(6)])})
    found = pl.scan_delta(str(lake.path("samples"))).sort("value").collect()
    assert found["time"].to_physical().to_list() == days
    assert found["day"].cast(pl.Date).to_list() == found["time"].dt.date().to_list()


@pytest.mark.parametrize("failing", ["files", "entry"])
def test_a_step_that_failed_leaves_no_files_and_comes_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    step = {"samples": samples(1, [7, 7], [NOON_US, NOON_US + DAY_US], [1.5, 2.5])}

    module, name = {"files": (parquet, "sync_folder"), "entry": (delta, "_sync_entry")}[failing]
    original = getattr(module, name)

    def full(path: Path, *more: int) -> None:
        if lake.path("samples") in (path, *path.parents):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(path, *more)

    with monkeypatch.context() as broken:
        broken.setattr(module, name, full)
        with pytest.raises(OSError, match="No space"):
            lake.commit(APP, 1, step)
    assert list(lake.path("samples").rglob("*.parquet")) == []
    lake.commit(APP, 1, step)
    assert lake.table("samples").num_rows == 2
    assert pl.scan_delta(str(lake.path("samples"))).select(pl.len()).collect().item() == 2


def test_a_step_is_committed_once(lake: Lake) -> None:
    step = {"samples": samples(1, [7], [NOON_US], [1.5])}
    first = lake.commit(APP, 1, step)
    assert lake.commit(APP, 1, step) == first
    assert lake.table("samples").num_rows == 1


def test_another_content_under_a_known_number_is_refused(lake: Lake) -> None:
    lake.commit(APP, 1, {"samples": samples(1, [7], [NOON_US], [1.5])})
    with pytest.raises(LogCorrupt, match="samples"):
        lake.commit(APP, 1, {"samples": samples(1, [7], [NOON_US], [2.5])})


def test_a_commit_that_says_other_rows_than_the_segment_is_told(lake: Lake) -> None:
    step = {"samples": samples(1, [7, 7], [NOON_US, NOON_US + 1], [1.5, 2.5])}
    receipts = lake.receipts(step)
    assert lake.disagreeing(APP, 1, receipts) == list(KINDS)
    lake.commit(APP, 1, step)
    lake.commit(APP, 2, {})
    assert lake.disagreeing(APP, 1, receipts) == []
    fewer = lake.receipts({"samples": step["samples"].slice(0, 1)})
    other = lake.receipts({"samples": samples(1, [7, 7], [NOON_US, NOON_US + 1], [1.5, 2.0])})
    for wrong in (fewer, other, lake.receipts({})):
        assert lake.disagreeing(APP, 1, wrong) == ["samples"]
    assert lake.disagreeing(APP, 3, receipts) == list(KINDS)


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


_KILLED_COMMIT = """
import os, sys
from pathlib import Path
from workbench import config
from workbench.store import delta
from workbench.store.lake import Lake
from store.test_lake import APP, NOON_US, samples

left = int(sys.argv[2])
original = delta.commit

def commit(*args, **options):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return original(*args, **options)

delta.commit = commit
Lake.publish = lambda *_, **__: os._exit(9)
lake = Lake(config.load(Path(sys.argv[1]), environ={}))
lake.commit(APP, 2, {"samples": samples(2, [7, 7], [NOON_US, NOON_US + 1], [1.5, 2.5])})
"""


@pytest.mark.parametrize("commits", [0, 1, 2, len(KINDS) - 1, len(KINDS)])
def test_a_kill_between_the_tables_of_a_step_leaves_it_to_be_finished_once(
    lake: Lake, settings: Settings, commits: int
) -> None:
    first = lake.commit(APP, 1, {})
    command = [sys.executable, "-c", _KILLED_COMMIT, str(settings.home), str(commits)]
    tests = str(Path(__file__).parent.parent)
    path = os.pathsep.join([tests, str(Path(tests).parent)])
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert killed.returncode == 9
    again = Lake(settings)
    again.create()
    assert again.lake_version == first
    assert again.table("samples").num_rows == 0, "half a step is not shown"
    assert len(again.missing(APP, 2)) == len(KINDS) - commits
    assert again.settle() is (commits == 0), "maintenance must not name half a step"
    again.commit(APP, 2, {"samples": samples(2, [7, 7], [NOON_US, NOON_US + 1], [1.5, 2.5])})
    assert again.missing(APP, 2) == []
    assert again.table("samples").num_rows == 2
    assert pl.scan_delta(str(settings.lake_dir / "samples")).select(pl.len()).collect().item() == 2


def _cut(path: Path, keep: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


@pytest.mark.parametrize("keep", [0.0, 0.5])
@pytest.mark.parametrize("torn", ["*.json", "*.checkpoint.parquet", "_last_checkpoint"])
def test_what_a_power_cut_tore_is_mended(lake: Lake, settings: Settings, torn: str, keep: float) -> None:
    step = {"samples": samples(2, [7], [NOON_US], [1.5])}
    lake.commit(APP, 1, {"samples": samples(1, [7], [NOON_US + 1], [2.5])})
    delta.checkpoint(lake.path("samples"), every=1)
    lake.commit(APP, 2, step)
    _cut(sorted((lake.path("samples") / "_delta_log").glob(torn))[-1], keep)
    if torn == "*.json":  # an entry is synced before a manifest names it, so what is torn has none
        lake.manifests.remove(lake.lake_version)
    again = Lake(settings)
    again.create()
    again.commit(APP, 2, step)
    assert sorted(again.table("samples")["value"].to_pylist()) == [1.5, 2.5]
    assert pl.scan_delta(str(settings.lake_dir / "samples")).select(pl.len()).collect().item() == 2


def test_only_row_groups_that_can_hold_a_row_are_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    count, per_series = 3 * parquet.ROW_GROUP_ROWS, 1024
    series = np.repeat(np.arange(count // per_series), per_series)
    times = np.tile(np.arange(per_series), count // per_series) + NOON_US
    lake.commit(APP, 1, {"samples": rows("samples", 1, series=series, time=times, value=times.astype(float))})
    lake.commit(APP, 2, {"samples": samples(2, [5], [NOON_US + DAY_US], [1.0])})
    read: list[tuple[str, list[int]]] = []
    original = pq.ParquetFile.read_row_groups

    def spy(file: pq.ParquetFile, groups: list[int], **options: object) -> pa.Table:
        read.append((str(file.metadata.num_row_groups), list(groups)))
        return original(file, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    assert lake.samples(np.array([200]), NOON_US, NOON_US + DAY_US - 1).num_rows == per_series
    assert read == [("3", [1])], "one file of two, one row group of three"
    read.clear()
    assert lake.samples(np.array([0, 383]), NOON_US + 3, NOON_US + 3).num_rows == 2
    assert read == [("3", [0, 2])]
    read.clear()
    assert lake.samples(np.array([10_000]), 0, 2**62).num_rows == 0
    assert read == []
