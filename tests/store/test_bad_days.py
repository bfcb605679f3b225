"""Bad days: writer, compactor and retention killed at random points, a read-only disk, a clock set back.

`BAD_DAYS_ROUNDS=100` is the long form, which `make soak` runs; `BAD_DAYS_SEED` repeats a day.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from workbench import config
from workbench.config import Settings
from workbench.errors import StoreError
from workbench.store import Lake, compact, examine_home, open_view, open_writer

from .conftest import NOW_US, found, register, sample_batch

ROUNDS = int(os.environ.get("BAD_DAYS_ROUNDS", "2"))
SEED = int(os.environ.get("BAD_DAYS_SEED", "20261124"))
BATCH = 10
BASE_US = NOW_US - 600_000_000
WRITE = """
import itertools, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import identity, sample_batch
from workbench import config
from workbench.store import open_writer
settings = config.load(Path(sys.argv[1]), environ={}, flags={"log.reader_grace_seconds": 0})
base = int(sys.argv[4])
with open_writer(settings) as writer:
    (series,) = writer.register([(identity("a"), "", "")], "token:1")
    for n in itertools.count(int(sys.argv[3])):
        times = range(base + n * 10, base + n * 10 + 10)
        writer.append({"samples": sample_batch([series] * 10, times, [float(t) for t in times])}).result()
        os.write(1, b"ACK %d\\n" % n)
        if n % 40 == 39:
            writer.seal()
"""
MAINTAIN = """
import sys, time
from pathlib import Path
from workbench import config
from workbench.store import Lake, apply_retention, build_index, compact, retention, state
retention.READER_GRACE_SECONDS = 0.0
settings = config.load(Path(sys.argv[1]), environ={}, flags={"lake.unpinned_version_days": 0})
engine, lake = state.engine(settings), Lake(settings)
while True:
    lake.refresh()
    now_us = time.time_ns() // 1000
    if lake.lake_version:
        compact(lake, now_us, everything=True)
        build_index(lake, now_us)
        apply_retention(lake, settings, now_us, engine=engine)
        print("ROUND", flush=True)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def acknowledged(writer: subprocess.Popen[str], wanted: int, then: threading.Event) -> list[int]:
    """All batches that the writer said are durable; `then` is set once `wanted` were."""
    assert writer.stdout is not None
    done = []
    for line in writer.stdout:
        if line.startswith("ACK") and line.endswith("\n"):
            done.append(int(line.split()[1]))
        if len(done) >= wanted:
            then.set()
    then.set()
    return done


def test_nothing_acknowledged_is_lost_whoever_is_killed_when(settings: Settings) -> None:
    chance = random.Random(SEED)
    done: set[int] = set()
    for round_ in range(ROUNDS):
        tests = str(Path(__file__).parent)
        writer = start(WRITE, str(settings.home), tests, str(10_000 * (round_ + 1)), str(BASE_US))
        reached, answers = threading.Event(), list[int]()
        wanted = chance.randint(45, 160)
        listening = threading.Thread(target=lambda: answers.extend(acknowledged(writer, wanted, reached)))  # noqa: B023
        listening.start()
        keeper = start(MAINTAIN, str(settings.home))
        try:
            assert reached.wait(120)
            assert keeper.stdout is not None
            for _ in range(chance.randint(0, 1)):  # a kill of the keeper falls into any of its later rounds
                keeper.stdout.readline()
            first, second = chance.sample([writer, keeper], 2)
            first.kill()
            if chance.random() < 0.5:
                time.sleep(chance.random() / 2)
        finally:
            first, second = writer, keeper
            for process in (first, second):
                process.kill()
                process.wait()
            listening.join()
        done |= set(answers)
        # As any other process sees it, before a writer has recovered anything.
        view = open_view(settings)
        samples = view.samples(np.array([1]), 0, 2**62)
        view.close()
        assert np.array_equal(samples.values, samples.times_us), f"round {round_}"
        numbers, counts = np.unique((samples.times_us - BASE_US) // BATCH, return_counts=True)
        assert set(counts.tolist()) <= {BATCH}, f"round {round_}: half a write"
        assert done <= set(numbers.tolist()), f"round {round_}: lost {sorted(done - set(numbers.tolist()))[:5]}"
    assert [one.text for one in examine_home(settings, deep=True) if one.level == "fail"] == []


def test_a_read_only_disk_is_read_and_named(settings: Settings, tmp_path: Path) -> None:
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        writer.append({"samples": sample_batch([a], [NOW_US], [1.0])}).result()
        writer.seal()
        writer.append({"samples": sample_batch([a], [NOW_US + 1], [2.0])}).result()
    wanted = {a: [(NOW_US, 1.0), (NOW_US + 1, 2.0)]}
    place = tmp_path / "read-only"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a disk")
    if subprocess.run(["mount", "--bind", str(settings.home), str(place)], capture_output=True).returncode != 0:
        pytest.skip("this system lets nobody mount a folder")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        mounted = config.load(place, environ={})
        assert found(open_view(mounted), [a]) == wanted
        with pytest.raises(StoreError, match=r"read-only.*nothing that was acknowledged is lost"):
            open_writer(mounted)
        assert [one.text for one in examine_home(mounted) if one.level == "fail"] == []
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    with open_writer(settings) as writer:
        assert found(writer.view, [a]) == wanted


def test_a_clock_that_is_set_back_loses_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        writer.append({"samples": sample_batch([a], [NOW_US], [1.0])}).result()
        writer.seal()
    with monkeypatch.context() as back:
        true_ns = time.time_ns
        back.setattr(time, "time_ns", lambda: true_ns() - 5 * 3600 * 10**9)
        with open_writer(settings) as writer:
            writer.append({"samples": sample_batch([a], [NOW_US - 5 * 3_600_000_000], [0.5])}).result()
            writer.append({"samples": sample_batch([a], [NOW_US], [3.0])}).result()  # written later, so it counts
            version = writer.seal()
            wanted = [(NOW_US - 5 * 3_600_000_000, 0.5), (NOW_US, 3.0)]
            assert found(writer.view, [a]) == {a: wanted}
        compact(Lake(settings), time.time_ns() // 1000, everything=True)
    for view in (open_view(settings), open_view(settings, version=version)):
        assert found(view, [a]) == {a: wanted}


def test_a_reader_sees_the_same_while_its_table_is_compacted(settings: Settings) -> None:
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        for part in range(6):
            times = [NOW_US + part * 10 + n for n in range(10)]
            writer.append({"samples": sample_batch([a] * 10, times, [float(t) for t in times])}).result()
            writer.seal()
    fresh, pinned = open_view(settings), open_view(settings, version=Lake(settings).lake_version)
    wanted = found(fresh, [a])
    looks: list[bool] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            fresh.refresh()
            looks.append(found(fresh, [a]) == wanted == found(pinned, [a]))
            looks.append(fresh.table("samples").num_rows == 60)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for _ in range(3):
            compact(Lake(settings), NOW_US, everything=True)
    finally:
        stop.set()
        reading.join()
    assert looks
    assert all(looks)
