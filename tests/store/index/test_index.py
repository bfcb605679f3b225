"""The index against the rows, sample by sample, through all that can happen to a lake."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from store.index.conftest import DAY_US, EVER, HOUR_US, NOW_US, STALE, START_US, by_rows, commit, rebuild, same

from workbench.config import Settings
from workbench.store import build_index, compact, drop_index, index_coverage, verify_index
from workbench.store.index.catalog import catalog_path, index_dir, read_catalog
from workbench.store.index.read import IndexedLake
from workbench.store.lake import Lake

STEP_US = 15_000_000
IDS = np.array([1, 2, 3, 9, 11])


def steady(start_us: int, hours: float, ids: np.ndarray = IDS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of some series every 15 s: series, times, values."""
    times = np.arange(start_us, start_us + int(hours * HOUR_US), STEP_US)
    return np.repeat(ids, len(times)), np.tile(times, len(ids)), np.arange(len(ids) * len(times)) % 97 / 10


def agree(lake: Lake, reader: IndexedLake, version: str | None = None) -> bool:
    """Whether index and rows answer alike, over all and over odd pieces."""
    spans = [(0, EVER), (START_US + 7, START_US + 3 * HOUR_US + 11), (START_US - 1, START_US), (START_US, START_US)]
    return all(same(reader.samples(IDS, a, b, version), by_rows(lake, IDS, a, b, version)) for a, b in spans)


def read_from_rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The spans that are read from rows from now on."""
    seen: list[tuple[int, int]] = []
    genuine = lake.samples

    def samples(ids, start_us, end_us, **more):  # type: ignore[no-untyped-def]
        seen.append((start_us, end_us))
        return genuine(ids, start_us, end_us, **more)

    monkeypatch.setattr(lake, "samples", samples)
    return seen


def test_closed_blocks_are_read_from_the_index_alone(lake, reader, monkeypatch):
    commit(lake, 1, *steady(START_US, 5))
    done = rebuild(lake)
    assert (done.blocks, done.samples, done.waiting) == (3, 5 * 1200, 0)
    assert agree(lake, reader)
    seen = read_from_rows(lake, monkeypatch)
    reader.samples(IDS, START_US, START_US + 6 * HOUR_US - 1, None)
    assert not seen


def test_a_block_that_is_not_over_waits(lake, reader):
    commit(lake, 1, *steady(NOW_US - 3 * HOUR_US, 3))
    build_index(lake, NOW_US)
    assert [entry.start_us for entry in read_catalog(lake.settings)] == [NOW_US - 4 * HOUR_US]
    assert agree(lake, reader)


def test_days_before_the_window_are_left_to_the_rows(settings, lake, reader):
    commit(lake, 1, *steady(START_US, 1))
    commit(lake, 2, *steady(START_US - 31 * DAY_US, 1))
    assert rebuild(lake).blocks == 1
    assert agree(lake, reader)


def test_late_samples_count_at_once_and_are_taken_in_later(lake, reader):
    commit(lake, 1, *steady(START_US, 4))
    rebuild(lake)
    commit(lake, 2, [1, 2, 9, 700], [START_US + 5, START_US + STEP_US, START_US - 9, START_US + 9], [1, -5.5, 3, 4])
    assert agree(lake, reader)
    assert rebuild(lake).blocks == 2
    assert agree(lake, reader)


def test_a_straggler_makes_only_its_own_block_wait(lake, reader, monkeypatch):
    commit(lake, 1, *steady(START_US, 8))
    rebuild(lake)
    commit(lake, 2, [1, 2], [START_US + 5, START_US + 7 * HOUR_US + 5], [1.5, 2.5])
    assert agree(lake, reader)
    assert rebuild(lake).blocks == 2
    assert agree(lake, reader)
    compact(lake, NOW_US, everything=True)
    lake.refresh()
    assert rebuild(lake).blocks == 0
    assert agree(lake, reader)
    seen = read_from_rows(lake, monkeypatch)
    reader.samples(IDS, START_US, START_US + 8 * HOUR_US - 1, None)
    assert not seen


def test_of_doubles_the_newest_row_wins(lake, reader):
    commit(lake, 1, [1, 1, 1], [START_US, START_US, START_US + 1], [1.0, 2.0, 3.0])
    commit(lake, 2, [1], [START_US + 1], [STALE])
    rebuild(lake)
    assert reader.samples(IDS, 0, EVER, None).values.view(np.int64).tolist() == [
        np.float64(2.0).view(np.int64), np.float64(STALE).view(np.int64)
    ]  # fmt: skip


def test_compaction_leaves_the_index_valid_and_old_versions_too(lake, reader, monkeypatch):
    commit(lake, 1, *steady(START_US, 2))
    commit(lake, 2, *steady(START_US + HOUR_US, 3))
    before = lake.lake_version
    rebuild(lake)
    compact(lake, NOW_US, everything=True)
    lake.refresh()
    assert lake.lake_version != before
    assert rebuild(lake).blocks == 0
    assert agree(lake, reader)
    assert agree(lake, reader, before)
    seen = read_from_rows(lake, monkeypatch)
    for version in (None, before):
        reader.samples(IDS, START_US, START_US + 4 * HOUR_US - 1, version)
    assert not seen


def test_a_version_before_the_index_is_read_from_its_rows(lake, reader):
    commit(lake, 1, *steady(START_US, 2))
    before = lake.lake_version
    commit(lake, 2, *steady(START_US + 5, 2))
    rebuild(lake)
    assert agree(lake, reader, before)
    assert agree(lake, reader)
    assert reader.samples(IDS, 0, EVER, before).rows < reader.samples(IDS, 0, EVER, None).rows


def test_what_is_erased_is_gone_from_the_index_too(lake, reader):
    commit(lake, 1, *steady(START_US, 4))
    commit(lake, 2, *steady(START_US, 4, np.array([500])))
    rebuild(lake)
    names = {entry.file for entry in read_catalog(lake.settings)}
    (erased,) = [file for file in lake.newest_files("samples") if file.series == (500, 500)]
    assert lake.replace("samples", add=[], remove=[erased], erase=True)
    lake.refresh()
    assert not reader.samples(np.array([500]), 0, EVER, None).rows
    rebuild(lake)
    assert not names & {path.name for path in index_dir(lake.settings).iterdir()}
    assert agree(lake, reader)


@pytest.mark.parametrize("harm", ["missing", "torn", "flipped", "empty", "no catalogue", "bad catalogue"])
def test_a_damaged_index_costs_speed_and_is_mended(lake, harm):
    commit(lake, 1, *steady(START_US, 4))
    rebuild(lake)
    victim = index_dir(lake.settings) / read_catalog(lake.settings)[0].file
    if harm == "missing":
        victim.unlink()
    elif harm == "torn":
        victim.write_bytes(victim.read_bytes()[:-100])
    elif harm == "flipped":
        content = bytearray(victim.read_bytes())
        content[200] ^= 4
        victim.write_bytes(content)
    elif harm == "empty":
        victim.write_bytes(b"")
    elif harm == "no catalogue":
        catalog_path(lake.settings).unlink()
    else:
        catalog_path(lake.settings).write_text('{"layout": 1, "blocks": [{}]}')
    fresh = IndexedLake(lake.settings, lake)
    assert agree(lake, fresh)
    assert rebuild(lake).blocks >= 1
    assert agree(lake, fresh)
    assert rebuild(lake).blocks == 0


def test_without_a_window_there_is_no_index(settings, lake, reader):
    commit(lake, 1, *steady(START_US, 4))
    rebuild(lake)
    off = Lake(dataclasses.replace(settings, index=dataclasses.replace(settings.index, window_days=0)))
    build_index(off, NOW_US)
    assert not list(index_dir(settings).glob("*.chunks"))
    assert agree(lake, reader)


VALUES = st.one_of(st.integers(-50, 50).map(float), st.floats(width=64), st.sampled_from([STALE, -0.0, np.nan]))
ROWS = st.lists(
    st.tuples(st.sampled_from(IDS.tolist()), st.integers(-5 * HOUR_US, 11 * HOUR_US), VALUES), min_size=1, max_size=40
)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, min_size=1, max_size=4), st.integers(0, 3), st.integers(-6 * HOUR_US, 12 * HOUR_US), st.data())
def test_index_and_rows_agree_whatever_came_in_whatever_order(tmp_path_factory, commits, built_after, at, data):
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    lake = Lake(settings)
    lake.create()
    lake.adopt_log("0a1b")
    reader = IndexedLake(settings, lake)
    versions: list[str | None] = [None]
    for number, rows in enumerate(commits, start=1):
        series, times, values = zip(*rows, strict=True)
        commit(lake, number, series, np.array(times) // 1_000_000 * 1_000_000 + START_US, values)
        versions.append(lake.lake_version)
        if number >= built_after:
            rebuild(lake)
        if data.draw(st.booleans()):
            compact(lake, NOW_US, everything=True)
            lake.refresh()
    start_us = START_US + at
    for version in versions:
        for low, high in ((0, EVER), (start_us, start_us + HOUR_US)):
            assert same(reader.samples(IDS, low, high, version), by_rows(lake, IDS, low, high, version))


def test_coverage_and_verdicts(lake):
    commit(lake, 1, *steady(START_US, 4))
    assert index_coverage(lake, NOW_US).waiting == 2
    rebuild(lake)
    found = index_coverage(lake, NOW_US)
    assert (found.valid, found.stale, found.waiting, found.samples) == (2, 0, 0, 5 * 960)
    assert (found.start_us, found.end_us) == (START_US, START_US + 4 * HOUR_US)
    assert [verdict.fault for verdict in verify_index(lake)] == ["", ""]
    victim = index_dir(lake.settings) / read_catalog(lake.settings)[1].file
    content = bytearray(victim.read_bytes())
    content[150] ^= 1
    victim.write_bytes(content)
    first, second = verify_index(lake)
    assert not first.fault
    assert "not what it should be" in second.fault
    drop_index(lake.settings)
    assert index_coverage(lake, NOW_US).waiting == 2
    assert rebuild(lake).blocks == 2
