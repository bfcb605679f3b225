"""The writer from outside: what was acknowledged is read once, what failed is never claimed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from workbench.config import Settings
from workbench.errors import Busy, DiskFull, InputError, LakeLocked, LogSyncError, VersionGone
from workbench.store import Appended, Writer, open_view, open_writer
from workbench.store.layout import segment_numbers, segment_path

from .conftest import NOW_US, event_batch, found, identity, register, sample_batch, wait_until, with_settings

HOUR_US = 3_600_000_000


def put(writer: Writer, series: int, *rows: tuple[int, float]) -> None:
    writer.append({"samples": sample_batch([series] * len(rows), *zip(*rows, strict=True))}).result(30)


class Disk:
    """`fdatasync` that can be told to fail, or to wait."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def sync(self, fd: int) -> None:
        self.entered.set()
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        os.fdatasync(fd)


def test_what_was_appended_is_read_at_once_and_after_a_seal(writer: Writer) -> None:
    a, b = register(writer, "a", "b")
    put(writer, a, (NOW_US, 1.0), (NOW_US + 1, 2.0))
    assert found(writer.view, [b, a]) == {a: [(NOW_US, 1.0), (NOW_US + 1, 2.0)], b: []}
    version = writer.seal()
    assert writer.view.lake_version == version
    assert found(writer.view, [a]) == {a: [(NOW_US, 1.0), (NOW_US + 1, 2.0)]}
    assert found(writer.view, [a], version=version) == {a: [(NOW_US, 1.0), (NOW_US + 1, 2.0)]}
    assert writer.view.latest_us == NOW_US + 1


def test_both_ends_of_the_time_are_included(writer: Writer) -> None:
    (a,) = register(writer, "a")
    put(writer, a, *[(NOW_US + i, float(i)) for i in range(5)])
    assert found(writer.view, [a], NOW_US + 1, NOW_US + 3)[a] == [(NOW_US + i, float(i)) for i in (1, 2, 3)]


@pytest.mark.parametrize("age_us", [0, 30 * HOUR_US], ids=["in the head", "before it"])
def test_the_newest_of_equal_times_wins_wherever_it_lies(writer: Writer, age_us: int) -> None:
    (a,) = register(writer, "a")
    at = NOW_US - age_us
    put(writer, a, (at, 1.0), (at, 2.0))
    assert found(writer.view, [a]) == {a: [(at, 2.0)]}
    writer.seal()
    assert found(writer.view, [a]) == {a: [(at, 2.0)]}
    put(writer, a, (at, 3.0), (at - 1, 0.5))
    assert found(writer.view, [a]) == {a: [(at - 1, 0.5), (at, 3.0)]}
    first = writer.seal()
    put(writer, a, (at, 4.0))
    writer.seal()
    assert found(writer.view, [a]) == {a: [(at - 1, 0.5), (at, 4.0)]}
    assert found(writer.view, [a], version=first) == {a: [(at - 1, 0.5), (at, 3.0)]}
    table = writer.view.table("samples", columns=["time", "value"])
    assert sorted(table.column("value").to_pylist()) == [0.5, 4.0]


def test_the_lake_holds_it_for_readers_of_other_make(writer: Writer, settings: Settings) -> None:
    (a,) = register(writer, "a")
    put(writer, a, *[(NOW_US + i, float(i)) for i in range(100)])
    put(writer, a, (NOW_US, -1.0))
    writer.seal()
    rows = pl.read_delta(str(settings.lake_dir / "samples"))
    newest = rows.sort("segment", "row").unique(["series", "time", "type"], keep="last")
    assert newest.sort("time")["value"].to_list() == [-1.0, *map(float, range(1, 100))]
    assert rows["row"].sort().to_list() == list(range(101))


def test_a_record_of_several_kinds_and_tables_of_log_and_lake(writer: Writer) -> None:
    (a,) = register(writer, "a")
    events = event_batch(["1", "2"], [NOW_US, NOW_US + 10], "first")
    writer.append({"samples": sample_batch([a], [NOW_US], [1.0]), "events": events}).result(30)
    writer.seal()
    writer.append({"events": event_batch(["2", "3"], [NOW_US + 10, NOW_US + 20], "second")}).result(30)
    rows = writer.view.table("events", columns=["id", "subject"]).to_pylist()
    assert sorted((row["id"], row["subject"]) for row in rows) == [("1", "first"), ("2", "second"), ("3", "second")]
    late = writer.view.table("events", start_us=NOW_US + 5, end_us=NOW_US + 10)
    assert late.column("id").to_pylist() == ["2"]
    assert late.schema.names == writer.view.table("events").schema.names
    sealed = writer.view.table("events", version=writer.view.lake_version)
    assert sorted(sealed.column("id").to_pylist()) == ["1", "2"]
    assert len(writer.view.files("events")) == 1


def test_versions_stay_what_they_were(writer: Writer) -> None:
    (a,) = register(writer, "a")
    put(writer, a, (NOW_US, 1.0))
    first = writer.seal()
    put(writer, a, (NOW_US + 1, 2.0))
    second = writer.seal()
    assert writer.seal() == second
    assert found(writer.view, [a], version=first) == {a: [(NOW_US, 1.0)]}
    assert found(open_view(writer._settings, version=first), [a]) == {a: [(NOW_US, 1.0)]}
    with pytest.raises(VersionGone):
        writer.view.samples(np.array([a]), 0, NOW_US, version="000099-00000000")


def test_registration_gives_each_identity_one_id(writer: Writer) -> None:
    ids = writer.register(
        [(identity("a"), "help", "scope"), (identity("b"), "", ""), (identity("a"), "", "")], "token:1"
    )
    assert ids == [1, 2, 1]
    assert register(writer, "b", "c", source="token:2") == [2, 3]
    series = writer.view.registry.get(1)
    assert (series.description, series.scope, series.source) == ("help", "scope", "token:1")
    assert [s.id for s in writer.view.registry.since(1)] == [2, 3]
    assert writer.view.registry.find(identity("d")) is None


def test_a_series_of_nobody_is_taken_over_by_the_first_with_a_name(settings: Settings) -> None:
    with open_writer(settings) as writer:
        assert register(writer, "a", source="anonymous") == [1]
        seen = writer.view.registry.generation
        assert register(writer, "a", source="token:5") == [1]
        assert [s.source for s in writer.view.registry.since(seen)] == ["token:5"]
        assert register(writer, "a", source="token:6") == [1]
        assert writer.view.registry.anonymous == 0
        writer.seal()
    with open_writer(settings) as writer:
        assert writer.view.registry.get(1).source == "token:5"
        assert writer.view.table("series").column("source").to_pylist() == ["token:5"]


def test_the_number_of_series_is_bounded(settings: Settings) -> None:
    with open_writer(with_settings(settings, ingest={"max_series": 3, "max_anonymous_series": 1})) as writer:
        register(writer, "a", source="anonymous")
        with pytest.raises(Busy, match="without a token"):
            register(writer, "b", source="anonymous")
        register(writer, "b", "c")
        with pytest.raises(Busy, match="over 3 series"):
            register(writer, "d")
        assert register(writer, "c", "a") == [3, 1]


def test_what_does_not_fit_is_refused_before_it_is_written(writer: Writer) -> None:
    (a,) = register(writer, "a")
    for batches in (
        {"samples": sample_batch([a + 1], [NOW_US], [1.0])},
        {"samples": sample_batch([0], [NOW_US], [1.0])},
        {"events": sample_batch([a], [NOW_US], [1.0])},
    ):
        with pytest.raises(InputError):
            writer.append(batches)
    assert found(writer.view, [a, a + 1]) == {a: [], a + 1: []}


def test_listeners_hear_everything_in_order_and_cannot_break_the_log(writer: Writer) -> None:
    heard: list[Appended] = []
    (a,) = register(writer, "a")
    writer.flush()

    def broken(appended: Appended) -> None:
        raise ValueError("listener")

    writer.add_listener(broken)
    writer.add_listener(heard.append)
    futures = [writer.append({"samples": sample_batch([a], [NOW_US + i], [float(i)])}) for i in range(50)]
    assert [future.result(30) for future in futures] == [one.position for one in heard]
    assert sorted(one.position for one in heard) == [one.position for one in heard]
    assert [one.batches["samples"].column("value")[0].as_py() for one in heard] == list(map(float, range(50)))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "injected"), OSError(errno.ENOSPC, "injected")])
def test_after_a_failed_sync_nothing_is_claimed_and_service_goes_on(settings: Settings, error: OSError) -> None:
    disk = Disk()
    with open_writer(settings, sync=disk.sync) as writer:
        (a,) = register(writer, "a")
        put(writer, a, (NOW_US, 1.0))
        disk.error = error
        (b,) = register(writer, "b")
        failed = writer.append({"samples": sample_batch([a, b], [NOW_US + 1] * 2, [2.0, 2.0])})
        with pytest.raises(DiskFull if error.errno == errno.ENOSPC else LogSyncError):
            failed.result(30)
        with pytest.raises((LogSyncError, DiskFull)):
            put(writer, a, (NOW_US + 1, 2.0))
        with pytest.raises(LogSyncError):
            writer.flush()
        assert found(writer.view, [a, b]) == {a: [(NOW_US, 1.0)], b: []}
        disk.error = None
        put(writer, b, (NOW_US + 2, 3.0))
        expected = {a: [(NOW_US, 1.0)], b: [(NOW_US + 2, 3.0)]}
        assert found(writer.view, [a, b]) == expected
        assert found(open_view(settings), [a, b]) == expected
        assert found(writer.view, [a, b], version=writer.seal()) == expected
    with open_writer(settings) as writer:
        assert found(writer.view, [a, b]) == expected
        assert writer.view.registry.get(b).identity == identity("b")


def test_no_answer_before_the_sync_returned(settings: Settings) -> None:
    disk = Disk()
    with open_writer(settings, sync=disk.sync) as writer:
        (a,) = register(writer, "a")
        writer.flush()
        heard: list[Appended] = []
        writer.add_listener(heard.append)
        disk.gate.clear()
        disk.entered.clear()
        future = writer.append({"samples": sample_batch([a], [NOW_US], [1.0])})
        assert disk.entered.wait(30)
        assert not future.done()
        assert not future.cancel()
        assert heard == []
        assert found(open_view(settings), [a]) == {a: []}
        disk.gate.set()
        assert future.result(30) == heard[0].position
        assert found(open_view(settings), [a]) == {a: [(NOW_US, 1.0)]}


def test_a_full_queue_is_busy_and_drains(settings: Settings) -> None:
    disk = Disk()
    with open_writer(with_settings(settings, ingest={"queue_bytes": 100_000}), sync=disk.sync) as writer:
        (a,) = register(writer, "a")
        batch = {"samples": sample_batch([a] * 5000, NOW_US + np.arange(5000), np.random.default_rng(1).random(5000))}
        disk.gate.clear()
        futures = [writer.append(batch)]
        with pytest.raises(Busy):
            futures.extend(writer.append(batch) for _ in range(10))
        (b,) = register(writer, "b")
        disk.gate.set()
        for future in futures:
            future.result(30)
        put(writer, b, (NOW_US, 1.0))


def test_below_the_free_space_bound_the_door_is_shut(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.store.committer.FREE_SPACE_CHECK_SECONDS", 0.0)
    free = [2**40]
    with open_writer(settings, free_bytes=lambda path: free[0]) as writer:
        (a,) = register(writer, "a")
        put(writer, a, (NOW_US, 1.0))
        free[0] = 2**20
        with pytest.raises(DiskFull, match="1 MiB are free"):
            put(writer, a, (NOW_US + 1, 2.0))
        with pytest.raises(DiskFull):
            register(writer, "b")
        free[0] = 2**40
        put(writer, a, (NOW_US + 2, 3.0))
        assert found(writer.view, [a]) == {a: [(NOW_US, 1.0), (NOW_US + 2, 3.0)]}


def test_there_is_one_writer_and_the_second_hears_which(settings: Settings) -> None:
    script = (
        "import sys; from pathlib import Path; from workbench import config; from workbench.store import open_writer\n"
        "w = open_writer(config.load(Path(sys.argv[1]), environ={})); print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(settings.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(LakeLocked, match=f"process {other.pid} "):
            open_writer(settings)
    finally:
        other.kill()
        other.communicate()
    open_writer(settings).close()


@pytest.mark.parametrize("log", [{"segment_rows": 500}, {"segment_seconds": 0}], ids=["rows", "time"])
def test_segments_rotate_are_sealed_and_deleted_by_themselves(settings: Settings, log: dict) -> None:
    with open_writer(with_settings(settings, log={"reader_grace_seconds": 0, **log})) as writer:
        (a,) = register(writer, "a")
        for i in range(4):
            put(writer, a, *[(NOW_US + i * 1000 + j, float(j)) for j in range(600)])
        wait_until(lambda: len(segment_numbers(settings)) == 1 and segment_numbers(settings)[0] > 2)
        assert len(found(writer.view, [a])[a]) == 2400
        assert len(found(writer.view, [a], version=writer.view.lake_version)[a]) == 2400


def test_sealed_segments_stay_for_the_grace_of_readers(writer: Writer, settings: Settings) -> None:
    (a,) = register(writer, "a")
    put(writer, a, (NOW_US, 1.0))
    writer.seal()
    assert segment_path(settings, 1).exists()


def test_a_load_goes_to_the_lake_once(settings: Settings) -> None:
    old = NOW_US - 500 * HOUR_US
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        follower = open_view(settings)
        step = {"samples": sample_batch([a] * 2, [old, NOW_US], [1.0, 2.0]), "events": event_batch(["x"], [old])}
        assert writer.load("hist", 1, step) is True
        assert writer.load("hist", 1, step) is False
        assert writer.load("hist", 2, {"samples": sample_batch([a], [old], [5.0])}) is True
        assert writer.load("hist", 1, step) is False
        expected = {a: [(old, 5.0), (NOW_US, 2.0)]}
        assert found(writer.view, [a]) == expected
        assert follower.refresh()
        assert found(follower, [a]) == expected
        assert found(writer.view, [a], version=writer.view.lake_version)[a] == expected[a]
        put(writer, a, (old, 7.0))
        writer.seal()
        assert found(writer.view, [a], old, old) == {a: [(old, 7.0)]}
        assert writer.view.table("events").num_rows == 1
    with open_writer(settings) as writer:
        assert writer.load("hist", 2, step) is False
        with pytest.raises(InputError):
            writer.load("hist", 3, {"samples": sample_batch([9], [old], [1.0])})


def test_the_log_takes_writes_while_the_lake_is_busy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        put(writer, a, (NOW_US, 1.0))
        entered, gate = threading.Event(), threading.Event()
        commit: Callable = writer._lake.commit

        def slow(*args: object) -> str:
            entered.set()
            assert gate.wait(30)
            return commit(*args)

        monkeypatch.setattr(writer._lake, "commit", slow)
        sealing = threading.Thread(target=writer.seal)
        sealing.start()
        assert entered.wait(30)
        put(writer, a, (NOW_US + 1, 2.0))
        assert len(found(writer.view, [a])[a]) == 2
        gate.set()
        sealing.join()
        assert len(found(writer.view, [a])[a]) == 2
