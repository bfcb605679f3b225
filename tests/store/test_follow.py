"""Readers in the same and in other processes: every acknowledged sample once, at any moment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from workbench.config import Settings
from workbench.errors import LogCorrupt, StoreError
from workbench.store import open_view, open_writer
from workbench.store.layout import segment_numbers

from .conftest import NOW_US, event_batch, found, identity, register, sample_batch, wait_until, with_settings
from .test_writer import Disk, put

OLD_US = NOW_US - 40 * 3_600_000_000


def test_an_empty_home_gives_an_empty_view_and_is_left_alone(settings: Settings) -> None:
    view = open_view(settings)
    assert found(view, [1]) == {1: []}
    assert view.table("events").num_rows == 0
    assert (view.latest_us, view.lake_version, len(view.registry), view.refresh()) == (0, "", 0, False)
    assert not settings.home.exists()
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        put(writer, a, (NOW_US, 1.0))
        assert view.refresh()
        assert found(view, [a]) == {a: [(NOW_US, 1.0)]}
    view.close()


def test_refresh_says_whether_anything_was_new(settings: Settings) -> None:
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        view = open_view(settings)
        put(writer, a, (NOW_US, 1.0))
        assert found(view, [a]) == {a: []}
        assert (view.refresh(), view.refresh()) == (True, False)
        assert found(view, [a]) == {a: [(NOW_US, 1.0)]}
        assert view.registry.find(identity("a")).id == a  # type: ignore[union-attr]
        version = writer.seal()
        assert (view.refresh(), view.refresh()) == (True, False)
        assert view.lake_version == version
        assert found(view, [a]) == {a: [(NOW_US, 1.0)]}


def test_a_stopped_workbench_can_be_read(settings: Settings) -> None:
    with open_writer(settings) as writer:
        a, b = register(writer, "a", "b")
        put(writer, a, (OLD_US, 1.0))
        writer.seal()
        put(writer, b, (OLD_US, 2.0))
        writer.append({"events": event_batch(["e"], [OLD_US])}).result(30)
        first = writer.view.lake_version
    assert open_view(settings, version=first).latest_us == OLD_US
    view = open_view(settings)
    assert found(view, [a, b]) == {a: [(OLD_US, 1.0)], b: [(OLD_US, 2.0)]}
    assert view.table("events").num_rows == 1
    assert len(view.registry) == 2
    assert view.latest_us == OLD_US


def test_a_follower_lives_through_restarts_seals_and_an_abandoned_segment(settings: Settings) -> None:
    view = open_view(settings)
    answer: list[tuple[int, float]] = []
    for start in range(4):
        disk = Disk()
        with open_writer(settings, sync=disk.sync) as writer:
            (a,) = register(writer, "a")
            for step in range(3):
                row = (NOW_US + start * 10 + step, float(step))
                put(writer, a, row)
                answer.append(row)
                if step == start:
                    writer.seal()
                if step == 1:
                    disk.error = OSError("injected")
                    with pytest.raises(StoreError):
                        put(writer, a, (NOW_US + 99, 9.0))
                    disk.error = None
                view.refresh()
                assert found(view, [a]) == {a: answer}
    assert view.latest_us == answer[-1][0]


def test_a_follower_that_slept_while_its_segments_were_deleted_starts_again(settings: Settings) -> None:
    with open_writer(with_settings(settings, log={"reader_grace_seconds": 0})) as writer:
        (a,) = register(writer, "a")
        put(writer, a, (NOW_US, 0.0))
        view = open_view(settings)
        sleeper = open_view(settings)
        answer = [(NOW_US, 0.0)]
        for i in range(1, 4):
            register(writer, f"other{i}")
            put(writer, a, (NOW_US + i, float(i)))
            writer.append({"events": event_batch([f"e{i}"], [NOW_US])}).result(30)
            answer.append((NOW_US + i, float(i)))
            writer.seal()
        wait_until(lambda: len(segment_numbers(settings)) == 1)
        assert sleeper.table("series").num_rows == 4  # its places in the log are gone: it catches up by itself
        assert view.refresh()
        assert found(view, [a]) == {a: answer}
        assert view.table("events").num_rows == 3
        assert len(view.registry) == 4


def test_a_log_that_vanished_is_told(settings: Settings) -> None:
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        put(writer, a, (NOW_US, 1.0))
        view = open_view(settings)
        moved = settings.home / "moved"
        shutil.move(settings.log_dir, moved)
        put(writer, a, (NOW_US, 2.0))
        assert view.refresh()  # the open file is still the log
        with pytest.raises(LogCorrupt, match="missing"):
            view.table("samples")
        shutil.move(moved, settings.log_dir)
        assert view.table("samples").num_rows == 1


@pytest.mark.parametrize("start_us", [OLD_US, NOW_US], ids=["older than the head", "recent"])
def test_while_sealing_goes_on_each_sample_is_seen_exactly_once(settings: Settings, start_us: int) -> None:
    """One thread writes and one seals, without a pause; the reader counts: no double, no hole, never fewer."""
    stop = threading.Event()
    acknowledged = [0]
    with open_writer(with_settings(settings, log={"reader_grace_seconds": 1})) as writer:
        (a,) = register(writer, "a")

        def write() -> None:
            at = 0
            while not stop.is_set():
                rows = [(start_us + at + i, float(at + i)) for i in range(20)]
                put(writer, a, *rows)
                writer.append({"events": event_batch([f"{at}"], [start_us])}).result(30)
                at += 20
                acknowledged[0] = at

        def seal() -> None:
            while not stop.is_set():
                writer.seal()

        threads = [threading.Thread(target=write), threading.Thread(target=seal)]
        for thread in threads:
            thread.start()
        try:
            view = open_view(settings)
            for round_ in range(60):
                before = acknowledged[0]
                if round_ % 20 == 19:
                    view = open_view(settings)
                else:
                    view.refresh()
                got = view.samples(np.array([a]), 0, 2**62)
                count = len(got.times_us)
                assert count >= before
                assert np.array_equal(got.times_us, start_us + np.arange(count))
                assert np.array_equal(got.values, np.arange(count))
                shown = view if round_ % 2 else writer.view
                events = shown.table("events", columns=["id"]).column("id").to_pylist()
                assert sorted(map(int, events)) == list(range(0, 20 * len(events), 20))
                assert len(events) >= before // 20
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert len(segment_numbers(settings)) >= 1


FOLLOW = """
import sys
from pathlib import Path
import numpy as np
from workbench import config
from workbench.store import open_view
view = open_view(config.load(Path(sys.argv[1]), environ={}))
for line in sys.stdin:
    view.refresh()
    got = view.samples(np.array([1]), 0, 2**62)
    print(len(got.times_us), len(np.unique(got.times_us)), view.lake_version, flush=True)
"""


@contextmanager
def follower_process(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", FOLLOW, str(settings.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_another_process_sees_what_was_acknowledged(settings: Settings) -> None:
    with open_writer(settings) as writer, follower_process(settings) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        (a,) = register(writer, "a")
        for i in range(1, 6):
            put(writer, a, (NOW_US + i, float(i)))
            version = writer.seal() if i % 2 == 0 else writer.view.lake_version
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline().split(" ") == [str(i), str(i), f"{version}\n"]


def test_recent_queries_leave_the_lake_alone_once_the_head_is_full(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        rows = [(NOW_US - 400_000_000 * i, float(i)) for i in range(18, -1, -1)]  # seven slices of the head's span
        put(writer, a, (NOW_US - 9_000_000_000, 9.0), *rows)
        writer.seal()
    monkeypatch.setattr("workbench.store.follow.FILL_AFTER_SECONDS", 0.0)
    view = open_view(settings)
    start_us = NOW_US - 3_600_000_000  # well inside the two hours that the head holds, however late in a run this is
    expected = {a: [row for row in rows if row[0] >= start_us]}
    assert found(view, [a], start_us) == expected
    view.refresh()
    wait_until(lambda: view._warmer is not None and not view._warmer.is_alive())
    monkeypatch.setattr(view._lake, "samples", lambda *args, **more: pytest.fail("the lake was read"))
    assert found(view, [a], start_us) == expected
    monkeypatch.undo()
    assert found(view, [a])[a][0] == (NOW_US - 9_000_000_000, 9.0)
    assert view.latest_us == NOW_US


def test_sample_batches_keep_their_other_columns_in_tables(settings: Settings) -> None:
    batch = sample_batch([1], [NOW_US], [1.0])
    stale = batch.set_column(4, batch.schema.field("stale"), np.array([True]))
    with open_writer(settings) as writer:
        register(writer, "a")
        writer.append({"samples": stale}).result(30)
        assert open_view(settings).table("samples").column("stale").to_pylist() == [True]
        writer.seal()
        assert open_view(settings).table("samples").column("stale").to_pylist() == [True]
