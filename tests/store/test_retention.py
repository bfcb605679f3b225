"""What the lake lets go of, and what it must keep."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from store.conftest import sample_batch

from workbench.errors import VersionGone
from workbench.store import (
    Identity,
    Lake,
    apply_retention,
    compact,
    delta,
    open_view,
    open_writer,
    state,
    update_rollups,
)

DAY_US = 24 * 3600 * 1_000_000
NOW_US = time.time_ns() // 1000


def identity(name: str, *, simulated: bool = False) -> tuple[Identity, str, str]:
    resource = (("deployment.environment.name", "simulated"),) if simulated else ()
    return Identity("otel", name, "gauge", "1", "", resource, ()), "", ""


@pytest.fixture
def aged(settings):
    """A lake with a real and a simulated sample on each of the days 1, 20 and 100 before now: (settings, ids)."""
    writer = open_writer(settings)
    ids = writer.register([identity("real"), identity("made", simulated=True)], "test")
    for number, age in enumerate((1, 20, 100)):
        writer.load("history", number, {"samples": sample_batch(ids, [NOW_US - age * DAY_US] * 2, [1.0, 2.0])})
    writer.seal()
    writer.close()
    return settings, ids


def kept(settings, ids) -> dict[int, list[int]]:
    """Series -> ages in days of what is left."""
    view = open_view(settings)
    found = view.samples(np.array(ids), 0, NOW_US)
    view.close()
    return {
        series: [round((NOW_US - at) / DAY_US) for at in found.times_us[found.offsets[row] : found.offsets[row + 1]]]
        for row, series in enumerate(found.ids.tolist())
    }


def test_old_days_go_and_simulated_ones_stay_longer(aged):
    settings, (real, made) = aged
    assert kept(settings, (real, made)) == {real: [100, 20, 1], made: [100, 20, 1]}
    before = Path(settings.lake_dir).stat()
    plan = apply_retention(Lake(settings), settings, NOW_US, dry_run=True)
    assert plan.rows == {"samples": 3}
    assert kept(settings, (real, made)) == {real: [100, 20, 1], made: [100, 20, 1]}
    done = apply_retention(Lake(settings), settings, NOW_US)
    assert done.rows == plan.rows
    assert kept(settings, (real, made)) == {real: [1], made: [20, 1]}
    assert pl.scan_delta(str(settings.lake_dir / "samples")).select(pl.len()).collect().item() == 3
    assert apply_retention(Lake(settings), settings, NOW_US).rows == {}
    assert before.st_ino == Path(settings.lake_dir).stat().st_ino


def test_what_was_imported_stays_however_old(aged):
    settings, (real, made) = aged
    with open_writer(settings) as writer:
        (old,) = writer.register([identity("old")], "import:history.csv")
        writer.load("import", 0, {"samples": sample_batch([old, old], [NOW_US - 100 * DAY_US, NOW_US], [1.0, 2.0])})
    apply_retention(Lake(settings), settings, NOW_US)
    assert kept(settings, (real, made, old)) == {real: [1], made: [20, 1], old: [100, 0]}


def test_the_cap_shortens_raw_samples_from_the_oldest_but_never_the_last_days(aged):
    settings, (real, made) = aged
    tight = replace(settings, lake=replace(settings.lake, cap_bytes=1, simulated_samples_days=1000))
    done = apply_retention(Lake(tight), tight, NOW_US, engine=state.engine(settings))
    assert done.used_bytes > done.cap_bytes == 1
    assert kept(settings, (real, made)) == {real: [1], made: [1]}


def test_over_the_cap_no_more_goes_than_has_to_however_long_old_files_stay(settings):
    with open_writer(settings) as writer:
        (series,) = writer.register([identity("real")], "test")
        for age in range(1, 9):
            times = np.arange(5000) * 1_000_000 + (NOW_US // DAY_US - age) * DAY_US
            values = np.random.default_rng(age).normal(size=5000)
            writer.load("history", age, {"samples": sample_batch([series] * 5000, times.tolist(), values.tolist())})
    lake, engine = Lake(settings), state.engine(settings)
    update_rollups(lake, NOW_US, every_us=0)
    used = apply_retention(lake, settings, NOW_US, engine=engine, dry_run=True).used_bytes
    tight = replace(settings, lake=replace(settings.lake, cap_bytes=used - 1000))
    for hour in range(12):
        apply_retention(Lake(tight), tight, NOW_US + hour * 3600 * 1_000_000, engine=engine)
        assert len(Lake(settings).newest_files("samples")) == 7


def test_over_the_cap_old_versions_go_first_and_what_a_pin_holds_stays(aged):
    settings, (real, made) = aged
    engine = state.engine(settings)
    lake = Lake(settings)
    pin = lake.manifests.ids()[-1]
    with engine.begin() as connection:
        connection.execute(sa.insert(state.pins).values(lake_version=pin, holder="report:1", created_us=NOW_US))
    tight = replace(settings, lake=replace(settings.lake, cap_bytes=1, simulated_samples_days=1000))
    apply_retention(Lake(tight), tight, NOW_US + 2 * 3600 * 1_000_000, engine=engine)
    left = lake.manifests.ids()
    assert pin in left
    assert len(left) <= 1 + 3, "the pinned one and those that this round made"
    view = open_view(settings, version=pin)
    assert len(view.samples(np.array([real, made]), 0, NOW_US).times_us) == 6


def test_the_log_of_a_table_is_cut_behind_the_oldest_kept_version(settings):
    with open_writer(settings) as writer:
        (series,) = writer.register([identity("real")], "test")
        for number in range(6):
            writer.load("x", number, {"samples": sample_batch([series], [NOW_US - number], [float(number)])})
    lake, engine = Lake(settings), state.engine(settings)
    folder = lake.path("samples")
    assert delta.checkpoint(folder, every=1)
    sealed = lake.sealed("load:x")
    apply_retention(lake, settings, NOW_US, engine=engine)
    assert (folder / "_delta_log" / f"{0:020d}.json").exists(), "older versions are still kept"
    apply_retention(lake, settings, NOW_US + 8 * DAY_US, engine=engine)
    assert not (folder / "_delta_log" / f"{0:020d}.json").exists()
    fresh = Lake(settings)
    assert fresh.sealed("load:x") == sealed == 5
    assert pl.scan_delta(str(folder)).select(pl.len()).collect().item() == fresh.table("samples").num_rows == 6
    with open_writer(settings) as writer:
        assert not writer.load("x", 5, {"samples": sample_batch([series], [NOW_US - 5], [5.0])})


def test_versions_expire_unless_they_are_pinned(aged):
    settings, ids = aged
    lake = Lake(settings)
    old, later = lake.manifests.ids()[-2:]
    engine = state.engine(settings)
    with engine.begin() as connection:
        connection.execute(sa.insert(state.pins).values(lake_version=old, holder="report:1", created_us=NOW_US))
    in_a_month_us = NOW_US + 30 * DAY_US
    done = apply_retention(lake, settings, in_a_month_us, engine=engine)
    assert done.versions > 0
    left = lake.manifests.ids()
    assert old in left
    assert left[-1] != old
    assert later not in left or later == left[-1]
    # A pinned version still opens whole, whatever retention did to the newest one.
    pinned = open_view(settings, version=old)
    assert len(pinned.samples(np.array(ids), 0, NOW_US).times_us) == 6
    with pytest.raises(VersionGone):
        open_view(settings, version=next(name for name in ("000001-00000000",) if name not in left))


def test_needless_files_go_after_the_grace_and_needed_ones_stay(aged, monkeypatch):
    settings, ids = aged
    folder = settings.lake_dir / "samples"
    compact(Lake(settings), NOW_US, everything=True)
    before = set(folder.rglob("*.parquet"))
    orphan = folder / "part-orphan.parquet"
    orphan.write_bytes(b"half written")
    engine = state.engine(settings)
    done = apply_retention(Lake(settings), settings, NOW_US, engine=engine)
    assert done.files == 0, "a reader may still be at them"
    for path in [*before, orphan]:
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    monkeypatch.setattr("workbench.store.retention.READER_GRACE_SECONDS", -1.0)
    # Old versions still name the files from before compaction.
    versions = Lake(settings).manifests.ids()
    done = apply_retention(Lake(settings), settings, NOW_US, engine=engine)
    assert not orphan.exists()
    for version in versions:
        view = open_view(settings, version=version)
        view.samples(np.array(ids), 0, NOW_US)
        view.close()
    # A month later they do not, and only the newest version is left.
    done = apply_retention(Lake(settings), settings, NOW_US + 30 * DAY_US, engine=engine)
    assert done.files > 0
    assert kept(settings, ids) == {ids[0]: [], ids[1]: [20, 1]}
    after = set(folder.rglob("*.parquet"))
    assert len(after) < len(before)
