"""The doctor: names what is broken with its rows and times, mends what can be mended, deletes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from workbench import config
from workbench.config import Settings
from workbench.errors import LakeLocked, StoreError, WorkbenchError
from workbench.schema import KINDS
from workbench.store import (
    Backup,
    Finding,
    Lake,
    apply_remedies,
    back_up,
    compact,
    examine_home,
    open_view,
    open_writer,
    read_contents,
    state,
)
from workbench.store.doctor.log_scan import _crc_before, scan_segment
from workbench.store.layout import published_path, segment_numbers, segment_path
from workbench.store.wal import HEADER_BYTES

from .conftest import NOW_US, event_batch, found, register, sample_batch

HOUR_US = 3_600_000_000
OLD_US = NOW_US - 30 * HOUR_US


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with merged and sealed files, an old version, state, and records that are only in the log."""
    settings = config.load(tmp_path_factory.mktemp("made") / "home", environ={})
    settings = dataclasses.replace(settings, log=dataclasses.replace(settings.log, reader_grace_seconds=0))
    with open_writer(settings) as writer:
        a, b = register(writer, "a", "b")
        for part in range(4):
            at = [OLD_US + part * 10 + n for n in range(10)]
            writer.append({"samples": sample_batch([a] * 10, at, [float(t) for t in at])}).result()
            writer.append({"events": event_batch([f"e{part}"], [OLD_US + part])}).result()
            writer.seal()
        compact(Lake(settings), NOW_US, everything=True)
        writer.append({"samples": sample_batch([b], [NOW_US - HOUR_US], [7.0])}).result()
        writer.seal()
        (c,) = register(writer, "c")
        for n in range(5):
            writer.append({"samples": sample_batch([a, c], [NOW_US + n] * 2, [float(n)] * 2)}).result()
    engine = state.engine(settings)
    with engine.begin() as connection:
        connection.execute(
            state.users.insert(),
            [{"name": f"user{n}", "role": "viewer", "created_us": n} for n in range(2000)],
        )
        connection.execute(state.tokens.insert(), [{"digest": "d", "role": "admin", "name": "", "created_us": 1}])
    engine.dispose()
    return settings


@pytest.fixture
def home(made: Settings, tmp_path: Path) -> Settings:
    """A copy of that home."""
    shutil.copytree(made.home, tmp_path / "home")
    return dataclasses.replace(made, home=tmp_path / "home")


def answers(settings: Settings) -> dict[int, list[tuple]]:
    return found(open_view(settings), [1, 2, 3])


def faults(findings: list[Finding]) -> list[str]:
    return [one.text for one in findings if one.level != "ok"]


def mend(settings: Settings, **how: object) -> list[str]:
    done = list(apply_remedies(settings, examine_home(settings, **how), **how))  # type: ignore[arg-type]
    assert faults(examine_home(settings, **how)) == [], done  # type: ignore[arg-type]
    return done


def works(settings: Settings) -> dict[int, list[tuple]]:
    """Open, write, seal, read: what a home is for; what was there before the write."""
    before = {series: rows for series, rows in answers(settings).items() if rows}
    with open_writer(settings) as writer:
        (fresh,) = register(writer, "fresh")
        assert fresh not in before
        writer.append({"samples": sample_batch([fresh], [NOW_US], [1.0])}).result()
        writer.seal()
        assert found(writer.view, [fresh]) == {fresh: [(NOW_US, 1.0)]}
    after = {series: rows for series, rows in answers(settings).items() if rows and series != fresh}
    assert after == before
    return before


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


def files(settings: Settings, kind: str) -> list[Path]:
    return [Path(file) for file in Lake(settings).files(kind)]


def last_segment(settings: Settings) -> Path:
    return segment_path(settings, segment_numbers(settings)[-1])


def test_a_whole_home_has_no_fault_and_is_left_as_it_is(home: Settings) -> None:
    def stamps() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in home.home.glob("l*/**/*") if path.is_file()}

    before = stamps()
    for deep in (False, True):
        assert faults(examine_home(home, deep=deep)) == []
    assert stamps() == before
    assert list(apply_remedies(home, examine_home(home))) == []
    assert not (home.home / "quarantine").exists()


def test_a_bad_record_in_the_middle_costs_its_own_rows_alone(home: Settings) -> None:
    whole = answers(home)
    path = last_segment(home)
    scan = scan_segment(path, int(path.stem), end=path.stat().st_size, tail=True)
    victim = scan.records[3]
    flip(path, victim.end - 9)
    with pytest.raises(WorkbenchError, match="workbench doctor"):
        open_writer(home)
    (text,) = faults(examine_home(home))
    assert f"byte {victim.start} to {victim.end}" in text
    assert "2 rows of samples" in text
    assert time.strftime("%Y-%m-%d", time.gmtime(NOW_US / 1e6)) in text
    (said,) = mend(home)
    assert "5 records" in said
    assert works(home) == {1: whole[1][:42] + whole[1][43:], 2: whole[2], 3: whole[3][:2] + whole[3][3:]}


def test_a_length_that_is_damaged_hides_no_record_behind_it(home: Settings) -> None:
    whole = answers(home)
    path = last_segment(home)
    scan = scan_segment(path, int(path.stem), end=path.stat().st_size, tail=True)
    flip(path, scan.records[1].start + 1)
    mend(home)
    assert works(home) == {1: whole[1][:40] + whole[1][41:], 2: whole[2], 3: whole[3][1:]}


def test_a_lost_registration_never_gives_its_id_to_another_series(home: Settings) -> None:
    whole = answers(home)
    path = last_segment(home)
    scan = scan_segment(path, int(path.stem), end=path.stat().st_size, tail=True)
    flip(path, scan.records[0].end - 9)
    (said,) = mend(home)
    assert "1 series whose registration is lost" in said
    assert works(home) == whole
    assert open_view(home).registry.get(3).identity.name == "unknown_series"


def test_a_damaged_header_costs_nothing(home: Settings) -> None:
    whole = answers(home)
    flip(last_segment(home), 20)
    assert "header" in faults(examine_home(home))[0]
    mend(home)
    assert works(home) == whole


@pytest.mark.parametrize("damage", ["page", "no page", "layout", "no layout", "identity", "no identity"])
def test_small_files_are_written_anew(home: Settings, damage: str) -> None:
    whole = answers(home)
    word = damage.rsplit(maxsplit=1)[-1]
    path = {
        "page": published_path(home), "layout": home.home / "layout.json", "identity": home.lake_dir / "identity.json",
    }[word]  # fmt: skip
    if damage.startswith("no "):
        path.unlink()
    else:
        path.write_bytes(b"x" * 7)
    assert faults(examine_home(home))
    mend(home)
    assert works(home) == whole


def test_an_unknown_layout_is_not_touched(home: Settings) -> None:
    (home.home / "layout.json").write_text('{"layout": 99}')
    (finding,) = [one for one in examine_home(home) if one.level == "fail"]
    assert "layout 99" in finding.text
    assert "version of the workbench that wrote it" in finding.hint
    assert finding.remedy is None


def test_a_missing_log_and_one_that_is_older_than_the_lake(home: Settings, tmp_path: Path) -> None:
    sealed = {1: answers(home)[1][:40], 2: answers(home)[2]}
    old = tmp_path / "old"
    shutil.copytree(home.log_dir, old)
    with open_writer(home) as writer:
        writer.seal()
        writer.append({"samples": sample_batch([1], [NOW_US + 50], [50.0])}).result()
        writer.seal()
    whole = answers(home)
    shutil.rmtree(home.log_dir)
    assert any("there is no segment" in text for text in faults(examine_home(home)))
    mend(home)
    assert works(home) == whole
    shutil.rmtree(home.log_dir)
    shutil.copytree(old, home.log_dir)
    assert any("older than the lake" in text for text in faults(examine_home(home)))
    mend(home)
    assert {name: rows[:40] for name, rows in works(home).items() if name in sealed}[1] == sealed[1]


def test_a_log_of_another_home_is_moved_away(home: Settings, tmp_path: Path) -> None:
    sealed = answers(home)[1][:40]
    other = config.load(tmp_path / "other", environ={})
    with open_writer(other) as writer:
        register(writer, "x")
    shutil.rmtree(home.log_dir)
    shutil.copytree(other.log_dir, home.log_dir)
    assert any("another log" in text for text in faults(examine_home(home)))
    mend(home)
    assert works(home)[1] == sealed
    assert list(home.home.glob("quarantine/*/log/*.wal"))


def test_a_seal_that_was_half_done_when_its_segment_broke_is_finished(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_table = Lake._commit_table

    def die(self: Lake, kind: object, *rest: object) -> None:
        if kind.name == "events":  # type: ignore[attr-defined]
            raise OSError("killed here")
        commit_table(self, kind, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "_commit_table", die)
    writer = open_writer(home)
    with pytest.raises(StoreError):
        writer.seal()
    writer.close()
    monkeypatch.undo()
    whole = answers(home)
    number = segment_numbers(home)[0]
    path = segment_path(home, number)
    flip(path, scan_segment(path, number, end=None, tail=False).records[2].end - 9)
    mend(home)
    assert works(home) == whole  # the lake had the rows that the log lost


@pytest.mark.parametrize("fault", ["missing", "cut", "flipped"])
def test_a_merged_file_comes_back_from_what_it_was_merged_of(home: Settings, fault: str) -> None:
    whole = answers(home)
    (path,) = [file for file in files(home, "samples") if not file.name.startswith("part-")]
    if fault == "missing":
        path.unlink()
    elif fault == "cut":
        os.truncate(path, path.stat().st_size - 9)
    else:
        flip(path, 100)
    (finding,) = [one for one in examine_home(home, deep=True) if one.level == "fail"]
    assert "40 rows" in finding.text
    assert time.strftime("%Y-%m-%d", time.gmtime(OLD_US / 1e6)) in finding.text
    assert finding.remedy is not None
    assert "merged from" in finding.remedy.plan
    mend(home, deep=True)
    assert works(home) == whole


def test_a_file_that_is_lost_is_named_taken_from_a_backup_or_left_out(home: Settings, tmp_path: Path) -> None:
    back_up(home, tmp_path / "copy")
    whole = answers(home)
    backup = Backup(tmp_path / "copy", read_contents(tmp_path / "copy"))
    day = time.strftime("%Y-%m-%d", time.gmtime((NOW_US - HOUR_US) / 1e6))
    (path,) = [file for file in files(home, "samples") if file.name.startswith("part-") and day in str(file)][:1]
    content = path.read_bytes()
    path.unlink()
    mend(home, backup=backup)
    assert path.read_bytes() == content
    assert answers(home) == whole
    path.write_bytes(content[:50])
    (said,) = mend(home)
    assert "lost" in said
    assert len(works(home)[1]) >= 40
    assert list(home.home.glob(f"quarantine/*/lake/samples/*/{path.name}"))


def test_a_file_whose_archive_is_away_is_left_in_its_table(home: Settings, tmp_path: Path) -> None:
    whole = answers(home)
    path = files(home, "samples")[0]
    path.rename(tmp_path / "archived")
    path.symlink_to(tmp_path / "archived")
    (tmp_path / "archived").rename(tmp_path / "away")
    (finding,) = [one for one in examine_home(home) if one.level == "fail"]
    assert "archive that cannot be reached" in finding.text
    assert finding.remedy is None
    (tmp_path / "away").rename(tmp_path / "archived")
    assert faults(examine_home(home, deep=True)) == []
    assert answers(home) == whole


def test_row_groups_that_can_be_read_are_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.store.parquet.ROW_GROUP_ROWS", 100)
    with open_writer(settings) as writer:
        (a,) = register(writer, "a")
        values = np.random.default_rng(1).normal(size=300)
        writer.append({"samples": sample_batch([a] * 300, list(range(NOW_US, NOW_US + 300)), values.tolist())}).result()
        writer.seal()
    (path,) = files(settings, "samples")
    flip(path, pq.read_metadata(path).row_group(1).column(3).data_page_offset + 300)
    assert faults(examine_home(settings)) == []  # the footer is whole: only a deep look sees it
    (said,) = mend(settings, deep=True)
    assert "200 rows are kept, 100 lost" in said
    assert [at - NOW_US for at, _ in found(open_view(settings), [a])[a]] == [*range(100), *range(200, 300)]


@pytest.mark.parametrize("which", ["newest", "middle", "first", "missing"])
def test_an_entry_of_a_tables_log_is_written_anew(home: Settings, which: str) -> None:
    whole, ids = answers(home), sorted(open_view(home).table("events")["id"].to_pylist())
    log = home.lake_dir / "samples" / "_delta_log"
    entries = sorted(log.glob("*.json"))
    entry = {"newest": entries[-1], "middle": entries[2], "first": entries[0], "missing": entries[-1]}[which]
    if which == "missing":
        entry.unlink()
    else:
        flip(entry, entry.stat().st_size - 4 if which == "newest" else 3)
        entry.write_bytes(b"\x00" + entry.read_bytes()[1:])
    if which in ("newest", "missing"):
        with pytest.raises(StoreError, match="workbench doctor"):
            open_writer(home)
    mend(home)
    assert works(home) == whole
    assert sorted(open_view(home).table("events")["id"].to_pylist()) == ids


def test_a_checkpoint_is_needed_no_more(home: Settings) -> None:
    whole = answers(home)
    lake = Lake(home)
    lake_path = lake.path("samples")
    from workbench.store import delta

    delta.checkpoint(lake_path, every=1)
    delta.clean_log(lake_path, oldest=delta.latest_version(lake_path))
    (checkpoint,) = (lake_path / "_delta_log").glob("*.checkpoint.parquet")
    flip(checkpoint, 200)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-20])
    assert faults(examine_home(home))
    mend(home)
    assert works(home) == whole


@pytest.mark.parametrize("newest", [True, False])
def test_damaged_manifests_go_to_quarantine(home: Settings, newest: bool) -> None:
    whole = answers(home)
    paths = sorted((home.lake_dir / "manifests").glob("*.json"))
    path = paths[-1] if newest else paths[1]
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "segment": body["segment"] + 1}))
    (finding,) = [one for one in examine_home(home) if one.level != "ok"]
    assert finding.level == ("fail" if newest else "warn")
    mend(home)
    assert works(home) == whole
    assert int(Lake(home).lake_version.split("-")[0]) > int(paths[-1].name.split("-")[0])


def test_old_orphans_are_moved_and_young_ones_left(home: Settings) -> None:
    folder = files(home, "samples")[0].parent
    for name, hours in (("part-old.parquet", 30), ("part-young.parquet", 1)):
        (folder / name).write_bytes(b"x" * 10)
        stamp = time.time() - hours * 3600
        os.utime(folder / name, (stamp, stamp))
    # The copies of replaced files are as old as the home: they are held by a version.
    (text,) = faults(examine_home(home))
    assert "1 files that no version names" in text
    mend(home)
    assert (folder / "part-young.parquet").exists()
    assert list(home.home.glob("quarantine/*/lake/samples/*/part-old.parquet"))


@pytest.mark.parametrize("damage", ["page", "header"])
def test_the_state_is_copied_as_far_as_it_can_be_read(home: Settings, damage: str) -> None:
    file = home.state_dir / "state.db"
    content = bytearray(file.read_bytes())
    if damage == "page":
        at = content.index(b"user1200viewer") // 4096 * 4096
        content[at : at + 4096] = b"\xff" * 4096
    else:
        content[:4096] = b"\x00" * 4096
    file.write_bytes(content)
    (said,) = mend(home)
    engine = state.engine(home)
    with engine.connect() as connection:
        users = connection.execute(state.users.select()).all()
        tokens = connection.execute(state.tokens.select()).all()
    engine.dispose()
    if damage == "page":
        assert 1000 < len(users) < 2000
        assert len(tokens) == 1
        assert "users" in said
    assert list(home.home.glob("quarantine/*/state/state.db"))


def test_a_clock_set_back_and_a_second_home_are_told(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.store.doctor.examine.now_us", lambda: NOW_US - 3 * HOUR_US)
    other = home.home.with_name("home.before-20260101T000000")
    other.mkdir()
    (other / "layout.json").write_text("{}")
    texts = faults(examine_home(home))
    assert any("set back" in text for text in texts)
    assert any("two homes" in text and str(other) in text for text in texts)


def test_nothing_is_mended_while_somebody_writes(home: Settings) -> None:
    with open_writer(home):
        (home.lake_dir / "manifests" / "000001-00000000.json").write_text("no")
        with pytest.raises(LakeLocked):
            list(apply_remedies(home, examine_home(home)))


def test_the_start_of_a_checksum_is_found_backwards() -> None:
    import zlib

    seed = random.Random(5)
    for size in (1, 8, 1000):
        payload, start = seed.randbytes(size), seed.getrandbits(32)
        assert _crc_before(zlib.crc32(payload, start), payload) == start


def damages(settings: Settings) -> list[Callable[[random.Random], None]]:
    """Ways in which a disk can fail at a random place of each kind of file."""
    kinds = ["samples", "series", "events"]

    def any_of(*patterns: str) -> list[Path]:
        return sorted(path for pattern in patterns for path in settings.home.glob(pattern) if path.is_file())

    def flips(*patterns: str) -> Callable[[random.Random], None]:
        def act(seed: random.Random) -> None:
            path = seed.choice(any_of(*patterns))
            flip(path, seed.randrange(path.stat().st_size))

        return act

    return [
        flips("log/*.wal"),
        flips(*(f"lake/{kind}/**/*.parquet" for kind in kinds)),
        flips(*(f"lake/{kind}/_delta_log/*.json" for kind in kinds)),
        flips("lake/manifests/*.json"),
        flips("log/published", "layout.json", "lake/identity.json"),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_random_bit_flips_are_survived(home: Settings, seed: int) -> None:
    """Never a crash; after mending the home works, and of what was answered only what the doctor named is missing."""
    whole = answers(home)
    chance = random.Random(seed)
    damages(home)[seed % 5](chance)
    done = list(apply_remedies(home, examine_home(home, deep=True), deep=True))
    assert [text for text in faults(examine_home(home, deep=True)) if "not kept" not in text] == [], done
    after = works(home)
    lost = {name: set(rows) - set(after.get(name, [])) for name, rows in whole.items()}
    if any(lost.values()):
        assert any("lost" in line or "rebuilt" in line or "anew" in line for line in done), (lost, done)
    assert all(set(rows) <= set(whole[name]) for name, rows in after.items() if name in whole)
    assert HEADER_BYTES == 64
    assert set(KINDS) >= {"samples", "series", "events"}


def test_the_snippets_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(snippet, {})
    assert "the log was written anew with 0 records" in capsys.readouterr().out
