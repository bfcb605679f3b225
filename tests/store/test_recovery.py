"""Starting again: after a crash at any byte, with a log that is not ours, with a log that lacks something."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from workbench.config import Settings
from workbench.errors import LayoutUnknown, LogCorrupt, LogSyncError
from workbench.store import Lake, open_view, open_writer, sealer
from workbench.store.layout import check_layout, published_path, segment_numbers, segment_path
from workbench.store.published import create_published, read_identity
from workbench.store.wal import HEADER_BYTES, read_header

from .conftest import NOW_US, event_batch, found, register, sample_batch, wait_until, with_settings
from .test_writer import Disk, put


def fill(settings: Settings, records: int = 3) -> list[int]:
    """A home with unsealed records; where each ends in its segment."""
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        writer.flush()
        return [
            writer.append({"samples": sample_batch([a], [NOW_US + i], [float(i)])}).result(30).offset
            for i in range(records)
        ]


def expected(count: int) -> dict[int, list]:
    return {1: [(NOW_US + i, float(i)) for i in range(count)]}


def forget_published(settings: Settings) -> None:
    """As after a power cut, when the page may lag behind what is durable."""
    identity = read_identity(published_path(settings))
    assert identity is not None
    create_published(published_path(settings), identity)


def test_a_torn_tail_at_every_byte_keeps_exactly_the_whole_records(settings: Settings, tmp_path: Path) -> None:
    ends = fill(settings, 2)
    forget_published(settings)
    path = segment_path(settings, 1)
    content = path.read_bytes()
    origin = tmp_path / "origin"
    shutil.copytree(settings.home, origin)
    # Each round opens a whole writer: every fourth byte, and every byte around the ends of records.
    near = {end + step for end in ends for step in (-1, 0, 1)}
    for length in range(ends[0] - 8, len(content)):
        if length % 16 and length not in near:
            continue
        shutil.rmtree(settings.home)
        shutil.copytree(origin, settings.home)
        path.write_bytes(content[:length])
        with open_writer(settings) as writer:
            assert found(writer.view, [1]) == expected(sum(end <= length for end in ends))


def test_a_new_record_follows_a_cut_tail(settings: Settings) -> None:
    ends = fill(settings)
    forget_published(settings)
    path = segment_path(settings, 1)
    os.truncate(path, ends[1] + 5)
    with open_writer(settings) as writer:
        put(writer, 1, (NOW_US + 9, 9.0))
        answer = {1: [*expected(2)[1], (NOW_US + 9, 9.0)]}
        assert found(writer.view, [1]) == answer
        assert found(open_view(settings), [1]) == answer
        assert found(writer.view, [1], version=writer.seal()) == answer


def test_what_the_page_says_is_durable_is_never_cut(settings: Settings) -> None:
    ends = fill(settings)
    path = segment_path(settings, 1)
    before = path.read_bytes()
    os.truncate(path, ends[2] - 1)
    with pytest.raises(LogCorrupt, match=r"workbench doctor"):
        open_writer(settings)
    path.write_bytes(before[: ends[1] - 4] + b"\xff" + before[ends[1] - 3 :])
    with pytest.raises(LogCorrupt, match="before the durable end"):
        open_writer(settings)
    with pytest.raises(LogCorrupt, match="before the durable end"):
        open_view(settings)
    path.write_bytes(before)
    with open_writer(settings) as writer:
        assert found(writer.view, [1]) == expected(3)


def test_a_damaged_record_in_a_closed_segment_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.store.sealer.Sealer.start", lambda self: None)
    ends = fill(settings)
    open_writer(settings).close()
    path = segment_path(settings, 1)
    content = bytearray(path.read_bytes())
    content[ends[0] + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(LogCorrupt, match=f"byte {ends[0]}"):
        open_writer(settings)


@pytest.mark.parametrize("cut_fails", [False, True], ids=["cut", "not cut"])
def test_an_abandoned_tail_is_not_read_after_a_crash(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, cut_fails: bool
) -> None:
    disk = Disk()
    writer = open_writer(settings, sync=disk.sync)
    (a,) = register(writer, "a")
    put(writer, a, (NOW_US, 0.0))
    disk.error = OSError(errno.EIO, "injected")

    def refuse(*args: object) -> None:
        raise OSError(errno.EIO, "injected")

    if cut_fails:
        monkeypatch.setattr("workbench.store.committer.os.ftruncate", refuse)
    with pytest.raises(LogSyncError):
        put(writer, a, (NOW_US + 1, 1.0))
    monkeypatch.undo()
    # A crash before any other segment: the next writer finds the home as it is.
    writer._lock.release()
    with open_writer(settings) as after:
        assert found(after.view, [a]) == {a: [(NOW_US, 0.0)]}
        put(after, a, (NOW_US + 2, 2.0))
        assert found(after.view, [a], version=after.seal()) == {a: [(NOW_US, 0.0), (NOW_US + 2, 2.0)]}


@pytest.mark.parametrize("table", ["samples", "series", "events"])
def test_a_crash_between_the_commits_of_a_seal(settings: Settings, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    fill(settings)
    commit_table = Lake._commit_table

    def die(self: Lake, kind: object, *rest: object) -> None:
        if kind.name == table:  # type: ignore[attr-defined]
            raise OSError("killed here")
        commit_table(self, kind, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "_commit_table", die)
    writer = open_writer(settings)
    with pytest.raises(Exception, match="killed here"):
        writer.seal()
    writer.close()
    monkeypatch.undo()
    with open_writer(settings) as writer:
        version = writer.seal()
        assert found(writer.view, [1]) == expected(3)
        assert found(writer.view, [1], version=version) == expected(3)
        assert writer._lake.table("samples").num_rows == 3


@pytest.mark.parametrize("wrong", [{}, {"rows": "2"}, {"checksum": "0" * 16}])
def test_a_segment_goes_only_when_the_lake_agrees_with_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    fill(settings)
    with open_writer(settings) as writer:
        writer.seal()
    entry = sorted((settings.lake_dir / "samples" / "_delta_log").glob("*.json"))[-1]
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"].update(wrong)
    entry.write_text("\n".join(map(json.dumps, actions)))
    kept: list[int] = []
    monkeypatch.setattr(sealer.log, "error", lambda _, **told: kept.append(told["segment"]), raising=False)
    # After a restart nobody remembers what was sealed: the segment itself is asked.
    with open_writer(with_settings(settings, log={"reader_grace_seconds": 0})) as writer:
        wait_until(lambda: kept or 1 not in segment_numbers(settings))
        assert (1 in segment_numbers(settings)) is bool(wrong)
        assert kept == ([1] if wrong else [])
        assert found(writer.view, [1]) == expected(3)


@pytest.mark.parametrize("table", ["samples", "dead_letter"])
def test_a_load_cut_short_is_repeated_after_a_crash(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    commit_table = Lake._commit_table
    old_us = NOW_US - 10**12
    step = {"samples": sample_batch([1] * 2, [old_us, old_us + 1], [1.0, 2.0]), "events": event_batch(["x"], [old_us])}

    def die(self: Lake, kind: object, app: str, *rest: object) -> None:
        if kind.name == table and app.startswith("load:"):  # type: ignore[attr-defined]
            raise OSError("killed here")
        commit_table(self, kind, app, *rest)  # type: ignore[arg-type]

    fill(settings)
    with open_writer(settings) as writer:
        assert writer.load("a", 1, {"samples": sample_batch([1], [old_us], [0.5])})
        monkeypatch.setattr(Lake, "_commit_table", die)
        with pytest.raises(OSError, match="killed here"):
            writer.load("a", 2, step)
        monkeypatch.undo()
        writer.seal()
    with open_writer(settings) as writer:
        assert writer.load("b", 1, {"events": event_batch(["y"], [old_us])})
        assert writer.load("a", 2, step)
        assert not writer.load("a", 2, step)
        assert found(writer.view, [1], 0, old_us + 9) == {1: [(old_us, 1.0), (old_us + 1, 2.0)]}
        assert sorted(writer.view.table("events").column("id").to_pylist()) == ["x", "y"]


def test_numbers_go_on_from_the_highest(settings: Settings) -> None:
    fill(settings)
    for _ in range(3):
        with open_writer(settings) as writer:
            writer.seal()
            put(writer, 1, (NOW_US, 0.0))
    numbers = segment_numbers(settings)
    assert numbers == list(range(1, numbers[-1] + 1))
    assert numbers[-1] >= 4
    for number in numbers[1:]:
        assert read_header(segment_path(settings, number)).previous_bytes >= HEADER_BYTES


def test_a_log_of_another_lake_is_refused(settings: Settings, tmp_path: Path) -> None:
    from workbench import config

    fill(settings)
    other = config.load(tmp_path / "other", environ={})
    fill(other)
    shutil.rmtree(settings.log_dir)
    shutil.copytree(other.log_dir, settings.log_dir)
    with pytest.raises(LogCorrupt, match="this log is"):
        open_writer(settings)


def test_a_log_that_lacks_something_is_refused(settings: Settings) -> None:
    fill(settings)
    with open_writer(settings) as writer:
        old = settings.home / "old"
        shutil.copytree(settings.log_dir, old)
        writer.seal()
        put(writer, 1, (NOW_US, 5.0))
        writer.seal()
        put(writer, 1, (NOW_US, 6.0))
    good = settings.home / "good"
    shutil.move(settings.log_dir, good)
    with pytest.raises(LogCorrupt, match="there is no log"):
        open_writer(settings)
    shutil.copytree(old, settings.log_dir, dirs_exist_ok=True)
    with pytest.raises(LogCorrupt, match=r"log ends at segment 2, the lake has 2"):
        open_writer(settings)
    shutil.rmtree(settings.log_dir)
    shutil.copytree(good, settings.log_dir)
    segment_path(settings, 2).unlink()
    with pytest.raises(LogCorrupt, match="segment 2 is missing"):
        open_writer(settings)
    for number in segment_numbers(settings):
        segment_path(settings, number).unlink()
    with pytest.raises(LogCorrupt, match="the log is empty"):
        open_writer(settings)
    shutil.rmtree(settings.log_dir)
    shutil.copytree(good, settings.log_dir)
    with open_writer(settings) as writer:
        assert found(writer.view, [1])[1][0] == (NOW_US, 6.0)


def test_a_crash_before_the_lake_knew_its_log(settings: Settings) -> None:
    settings.log_dir.mkdir(parents=True)
    (settings.home / "layout.json").write_text('{"layout": 2}')
    create_published(published_path(settings), "00000000-0000-0000-0000-000000000007")
    with open_writer(settings):
        pass
    assert Lake(settings).log_identity() == "00000000-0000-0000-0000-000000000007"


def test_an_unknown_layout_is_refused_by_everyone(settings: Settings) -> None:
    assert check_layout(settings) is False
    fill(settings, 1)
    assert check_layout(settings) is True
    (settings.home / "layout.json").write_text('{"layout": 99}')
    for opener in (open_writer, open_view):
        with pytest.raises(LayoutUnknown, match="layout 99"):
            opener(settings)
    (settings.home / "layout.json").unlink()
    with pytest.raises(LayoutUnknown, match="does not say"):
        open_writer(settings)
