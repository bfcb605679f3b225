"""Rules, holds, the archive, erasure; and kills in the middle of it all."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from store.conftest import sample_batch

from workbench import config
from workbench.errors import ConfigError, HoldConflict, StoreError
from workbench.store import (
    Identity,
    Lake,
    apply_retention,
    compact,
    erase_series,
    open_view,
    open_writer,
    read_rules,
    table_sizes,
)  # fmt: skip

DAY_US = 24 * 3600 * 1_000_000
NOW_US = time.time_ns() // 1000


def identity(name: str, **resource: str) -> tuple[Identity, str, str]:
    return Identity("otel", name, "gauge", "1", "", tuple(sorted(resource.items())), ()), "", ""


def rules(settings: config.Settings, text: str) -> None:
    (settings.home / "workbench.toml").write_text(text)


@pytest.fixture
def aged(settings):
    """Three series with a sample on each of the days 1, 5, 20 and 100 before now: (settings, ids)."""
    with open_writer(settings) as writer:
        ids = writer.register(
            [identity("node_load"), identity("node_disk", host="a"), identity("billing", host="b")], "test"
        )
        for number, age in enumerate((1, 5, 20, 100)):
            times = [NOW_US - age * DAY_US] * 3
            writer.load("history", number, {"samples": sample_batch(ids, times, [1.0, 2.0, 3.0])})
        writer.seal()
    return settings, ids


def kept(settings, ids) -> list[list[int]]:
    """Ages in days of what is left of each series."""
    view = open_view(settings)
    found = view.samples(np.array(ids), 0, NOW_US)
    view.close()
    ages = np.rint((NOW_US - found.times_us) / DAY_US).astype(int)
    return [part.tolist() for part in np.split(ages, found.offsets[1:-1])]


def test_the_first_rule_that_matches_decides_and_the_plan_says_what_would_go_by_which(aged):
    settings, ids = aged
    rules(
        settings,
        """
        [[lifecycle]]
        name = "disks are short"
        metric = "node_*"
        labels = { host = "a" }
        keep_days = 3

        [[lifecycle]]
        name = "bills for ever"
        metric = "billing"
        keep_days = 0
        """,
    )
    plan = apply_retention(Lake(settings), settings, NOW_US, dry_run=True)
    assert [(one.table, one.rule, one.rows) for one in plan.going] == [
        ("samples", "default", 2),
        ("samples", "disks are short", 3),
    ]
    assert all(one.size_bytes > 0 and one.first_day < one.last_day for one in plan.going)
    assert kept(settings, ids) == [[100, 20, 5, 1]] * 3
    done = apply_retention(Lake(settings), settings, NOW_US)
    assert done.going == plan.going
    assert kept(settings, ids) == [[5, 1], [1], [100, 20, 5, 1]]


def test_a_hold_keeps_rows_over_retention_cap_and_erasure(aged):
    settings, ids = aged
    rules(settings, '[[lifecycle]]\nname = "case 17"\nmetric = "billing"\nhold = "case 17 at court"\n')
    apply_retention(Lake(settings), settings, NOW_US)
    assert kept(settings, ids) == [[5, 1], [5, 1], [100, 20, 5, 1]]
    with pytest.raises(HoldConflict, match=r"case 17 at court.*billing"):
        erase_series(Lake(settings), ids)
    assert kept(settings, ids) == [[5, 1], [5, 1], [100, 20, 5, 1]], "nothing was erased of the others either"
    done = erase_series(Lake(settings), ids[:1])
    assert done["samples"] == 2
    assert kept(settings, ids) == [[], [5, 1], [100, 20, 5, 1]]
    assert Lake(settings).rollups("rollup_1d", np.array(ids[:1]), 0, NOW_US, ["count"]).num_rows == 0
    assert len(Lake(settings).manifests.ids()) < 4, "versions that named the rows are gone"


def test_the_archive_is_read_like_everything_else_and_its_files_end_like_others(aged, tmp_path, monkeypatch):
    settings, ids = aged
    cold = tmp_path / "cold"
    rules(
        settings,
        f"""
        [[lifecycle]]
        name = "keep"
        keep_days = 0
        [[lifecycle]]
        name = "cold"
        archive = "{cold}"
        archive_after_days = 10
        """,
    )
    plan = apply_retention(Lake(settings), settings, NOW_US, dry_run=True)
    assert [(one.rule, one.rows) for one in plan.archived] == [("cold", 6)]
    assert not cold.exists()
    done = apply_retention(Lake(settings), settings, NOW_US)
    assert done.archived == plan.archived
    size = next(size for size in table_sizes(Lake(settings)) if size.table == "samples")
    assert size.archived_bytes == done.archived[0].size_bytes
    assert kept(settings, ids) == [[100, 20, 5, 1]] * 3
    assert pl.scan_delta(str(settings.lake_dir / "samples")).select(pl.len()).collect().item() == 12
    assert apply_retention(Lake(settings), settings, NOW_US).archived == []
    cold.rename(tmp_path / "unplugged")
    with pytest.raises(StoreError, match="archive"):
        kept(settings, ids)
    (tmp_path / "unplugged").rename(cold)
    rules(settings, "")
    monkeypatch.setattr("workbench.store.retention.READER_GRACE_SECONDS", -1.0)
    apply_retention(Lake(settings), settings, NOW_US)
    for name in Lake(settings).manifests.ids()[:-1]:
        Lake(settings).manifests.remove(name)
    apply_retention(Lake(settings), settings, NOW_US)
    assert list(cold.rglob("*.parquet")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[lifecycle]]\nname = "x"\ntable = "smaples"\nkeep_days = 1\n', "no table"),
        ("[[lifecycle]]\nkeep_days = 1\n", "needs a name"),
        ('[[lifecycle]]\nname = "x"\nkeep_day = 1\n', "unknown key"),
        ('[[lifecycle]]\nname = "x"\nkeep_days = "1"\n', "must be int"),
        ('[[lifecycle]]\nname = "x"\n', "says keep_days"),
        ('[[lifecycle]]\nname = "x"\ntable = "logs"\nmetric = "a*"\nkeep_days = 1\n', "no series"),
        ('[[lifecycle]]\nname = "x"\narchive = "/x"\n', "go together"),
        ('[[lifecycle]]\nname = "x"\narchive = "x"\narchive_after_days = 1\n', "whole tables"),
        ("lifecycle = 1\n", "list of tables"),
    ],
)
def test_a_fault_in_a_rule_is_named(settings, text, message):
    settings.home.mkdir(exist_ok=True)
    rules(settings, text)
    with pytest.raises(ConfigError, match=message):
        read_rules(settings)


def test_a_fault_in_a_rule_lets_nothing_go(aged):
    settings, ids = aged
    rules(settings, '[[lifecycle]]\nname = "x"\nkeep_day = 1\n')
    with pytest.raises(ConfigError):
        apply_retention(Lake(settings), settings, NOW_US)
    assert kept(settings, ids) == [[100, 20, 5, 1]] * 3


ROUND = """
import sys
from pathlib import Path
from workbench import config
from workbench.store import Lake, apply_retention, compact, update_rollups
settings = config.load(Path(sys.argv[1]), environ={})
print("begun", flush=True)
while True:
    lake = Lake(settings)
    update_rollups(lake, int(sys.argv[2]), every_us=0)
    apply_retention(lake, settings, int(sys.argv[2]))
    compact(lake, int(sys.argv[2]), everything=True)
    print("round", flush=True)
"""


def test_kills_at_any_point_of_a_round_leave_it_right(aged, tmp_path):
    settings, ids = aged
    rules(
        settings,
        f'[[lifecycle]]\nname = "c"\narchive = "{tmp_path}/cold"\narchive_after_days = 3\n'
        '[[lifecycle]]\nname = "h"\nmetric = "billing"\nhold = "court"\n',
    )
    seed = random.Random(5)
    for number in range(3):
        with open_writer(settings) as writer:
            late = [NOW_US - 2 * DAY_US + number]
            writer.load("late", number, {"samples": sample_batch(ids[:1], late, [float(number)])})
        args = [sys.executable, "-c", ROUND, str(settings.home), str(NOW_US)]
        with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            # Somewhere in the round that is under way; where, nobody knows.
            time.sleep(seed.uniform(0, 0.4))
            process.kill()
        assert kept(settings, ids)[2] == [100, 20, 5, 1]
    lake = Lake(settings)
    apply_retention(lake, settings, NOW_US)
    compact(lake, NOW_US, everything=True)
    assert kept(settings, ids) == [[5, *[2] * 3, 1], [5, 1], [100, 20, 5, 1]]
    days = lake.rollups("rollup_1d", np.array(ids), 0, NOW_US - DAY_US, ["count"])
    assert sum(days["count"].to_pylist()) == 3 * 3 + 3, "each sample once, those that are gone too"
    assert Path(tmp_path / "cold").exists()
