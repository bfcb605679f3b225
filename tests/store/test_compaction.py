"""Compaction from outside: the same rows, each once, in fewer files, whatever is killed when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from conftest import ROOT
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import Settings
from workbench.schema import KINDS
from workbench.store import Lake, Writer, compact, open_view, open_writer
from workbench.store.rows import deduplicate

from .conftest import event_batch, found, register, sample_batch, with_settings

DAY_US = 24 * 3600 * 1_000_000
NOON_US = 1_795_000_000_000_000 // DAY_US * DAY_US + DAY_US // 2
LATER_US = NOON_US + 5 * DAY_US
SEALS = 5


def fill(writer: Writer) -> list[int]:
    """Five seals of two series, in which every sample but the newest comes twice, and one event five times."""
    ids = register(writer, "a", "b")
    for turn in range(SEALS):
        times_us = [NOON_US + max(0, turn - 1) * 1_000_000, NOON_US + turn * 1_000_000]
        for series in ids:
            writer.append({"samples": sample_batch([series] * 2, times_us, [turn * 10.0, turn])}).result()
        writer.append({"events": event_batch(["same"], [NOON_US], subject=str(turn))}).result()
        writer.seal()
    return ids


@pytest.fixture
def filled(settings: Settings) -> tuple[Settings, list[int]]:
    settings = with_settings(settings, lake={"compact_after_files": 2})
    with open_writer(settings) as writer:
        ids = fill(writer)
    return settings, ids


def in_delta(settings: Settings, kind: str) -> pl.DataFrame:
    """The table as an engine of other make reads it."""
    return pl.scan_delta(str(settings.lake_dir / kind)).collect()


def test_rows_stay_the_same_and_stand_once_in_fewer_files(filled):
    settings, ids = filled
    before = open_view(settings)
    expected = found(before, ids)
    files = len(before.files("samples"))
    before.close()
    assert len(in_delta(settings, "samples")) > sum(map(len, expected.values())), "there must be doubles to merge"
    done = compact(Lake(settings), LATER_US)
    assert any(line.startswith("samples") for line in done)
    after = open_view(settings)
    assert found(after, ids) == expected
    assert len(after.files("samples")) < files
    after.close()
    rows = in_delta(settings, "samples")
    assert len(rows) == rows.select("series", "time", "type").n_unique() == sum(map(len, expected.values()))
    events = in_delta(settings, "events")
    assert events["subject"].to_list() == [str(SEALS - 1)], "the one written last wins"
    # delta-rs itself agrees.
    assert DeltaTable(settings.lake_dir / "samples").to_pyarrow_table().num_rows == len(rows)


def test_a_second_round_finds_nothing_to_do(filled):
    settings, _ = filled
    assert compact(Lake(settings), LATER_US)
    assert compact(Lake(settings), LATER_US) == []


def test_an_older_version_still_reads_what_it_named(filled):
    settings, ids = filled
    lake = Lake(settings)
    versions = lake.manifests.ids()
    answers = {}
    for version in versions:
        view = open_view(settings, version=version)
        answers[version] = found(view, ids)
        view.close()
    compact(lake, LATER_US)
    for version in versions:
        view = open_view(settings, version=version)
        assert found(view, ids) == answers[version]
        view.close()
    assert lake.manifests.ids()[: len(versions)] == versions


def test_it_works_beside_a_writer_that_goes_on(filled):
    settings, ids = filled
    with open_writer(settings) as writer:
        writer.append({"samples": sample_batch(ids, [NOON_US + 60_000_000] * 2, [7.0, 8.0])}).result()
        compact(Lake(settings), LATER_US)
        writer.append({"samples": sample_batch(ids, [NOON_US + 61_000_000] * 2, [7.5, 8.5])}).result()
        writer.seal()
        compact(Lake(settings), LATER_US)
        assert found(writer.view, [ids[0]])[ids[0]][-2:] == [(NOON_US + 60_000_000, 7.0), (NOON_US + 61_000_000, 7.5)]
    rows = in_delta(settings, "samples")
    assert len(rows) == rows.select("series", "time", "type").n_unique()


KILLED = """
import os, signal, sys
from workbench import config
from workbench.store import Lake, compact, compaction, delta
from pathlib import Path
import dataclasses

settings = config.load(Path(sys.argv[1]), environ={})
settings = dataclasses.replace(settings, lake=dataclasses.replace(settings.lake, compact_after_files=2))
place, die = sys.argv[2], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if place == "before the commit":
    delta.commit = die
elif place == "after the commit":
    Lake.publish = die
elif place == "in the middle of a file":
    real = compaction.FileWriter.close
    compaction.FileWriter.close = lambda self: die()
compact(Lake(settings), int(sys.argv[3]))
"""


@pytest.mark.parametrize("place", ["in the middle of a file", "before the commit", "after the commit"])
def test_a_kill_leaves_a_lake_that_reads_and_compacts(filled, place: str):
    settings, ids = filled
    before = open_view(settings)
    expected = found(before, ids)
    before.close()
    command = [sys.executable, "-c", KILLED, str(settings.home), place, str(LATER_US)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ}, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    for _ in range(2):
        view = open_view(settings)
        assert found(view, ids) == expected
        view.close()
        compact(Lake(settings), LATER_US)
    rows = in_delta(settings, "samples")
    assert len(rows) == rows.select("series", "time", "type").n_unique()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1), st.integers(0, 3), st.integers(0, 3)),
        unique_by=lambda row: row[3:],
        max_size=30,
    )
)
def test_of_rows_with_one_key_the_highest_segment_and_row_wins(rows: list[tuple[int, ...]]):
    kind = KINDS["samples"]
    columns = [np.array([row[at] for row in rows], np.int64) for at in range(5)]
    given_columns = dict(zip(("series", "time", "type", "segment", "row"), columns, strict=True))
    schema = pa.schema([field for field in kind.stored if field.name != "day"])
    arrays = [
        pa.array(given_columns[field.name]).cast(field.type)
        if field.name in given_columns
        else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    winners: dict[tuple[int, ...], tuple[int, ...]] = {}
    for row in rows:
        winners[row[:3]] = max(winners.get(row[:3], (-1, -1)), row[3:])
    got = deduplicate(kind, table)
    numbers = [got[name].cast(pa.int64()).to_pylist() for name in ("series", "time", "type", "segment", "row")]
    assert sorted(zip(*numbers, strict=True)) == sorted((*key, *place) for key, place in winners.items())
    assert numbers[0] == sorted(numbers[0])
