"""A backup restores elsewhere to the same answers, taken while rows come in or at rest, and is whole or refused."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from workbench import config
from workbench.config import Settings
from workbench.errors import InputError, LakeLocked, LayoutUnknown
from workbench.store import Lake, back_up, compact, open_view, open_writer, read_contents, restore, state

from .conftest import NOW_US, event_batch, found, register, sample_batch

SECOND = 1_000_000


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    return config.load(tmp_path / "elsewhere" / "home", environ={})


def fill(settings: Settings, seals: int = 3) -> list[int]:
    with open_writer(settings) as writer:
        ids = register(writer, "a", "b")
        for turn in range(seals):
            times = [NOW_US - 60 * SECOND + turn * SECOND] * 2
            writer.append({"samples": sample_batch(ids, times, [turn, turn + 0.5])}).result()
            writer.append({"events": event_batch([f"e{turn}"], [NOW_US])}).result()
            if turn < seals - 1:  # the last rows are in the log alone
                writer.seal()
    return ids


def answers(settings: Settings, ids: list[int]) -> tuple[dict, set[str]]:
    view = open_view(settings)
    try:
        return found(view, ids), set(view.table("events")["id"].to_pylist())
    finally:
        view.close()


def test_restored_elsewhere_it_gives_the_same_answers(settings, elsewhere, tmp_path):
    ids = fill(settings)
    before = answers(settings, ids)
    made = back_up(settings, tmp_path / "copy")
    assert made == read_contents(tmp_path / "copy")
    assert restore(elsewhere, tmp_path / "copy") is None
    assert answers(elsewhere, ids) == before == answers(settings, ids)
    assert len(before[1]) == 3
    assert open_view(elsewhere).lake_version == made.lake_version
    assert stat.S_IMODE(elsewhere.home.stat().st_mode) == 0o700
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.is_file() and path.stat().st_mode & 0o077]


def test_the_restored_log_goes_on_above_and_is_never_taken_for_the_old_one(settings, elsewhere, tmp_path):
    ids = fill(settings)
    back_up(settings, tmp_path / "copy")
    fill(settings)  # the old home goes on: its segments get the numbers that the restored one is about to use
    restore(elsewhere, tmp_path / "copy")
    old, new = Lake(settings).log_identity(), Lake(elsewhere).log_identity()
    assert old != new
    with open_writer(elsewhere) as writer:
        assert register(writer, "a", "b", "c")[:2] == ids
        # The same series and time as a sealed sample: the newer row has to win.
        writer.append({"samples": sample_batch(ids[:1], [NOW_US - 60 * SECOND], [77.0])}).result()
        assert found(writer.view, ids[:1])[ids[0]][0] == (NOW_US - 60 * SECOND, 77.0)
        writer.seal()
        assert found(writer.view, ids[:1])[ids[0]][0] == (NOW_US - 60 * SECOND, 77.0)
    for _ in range(2):  # and after starts without a change
        with open_writer(elsewhere) as writer:
            assert found(writer.view, ids[:1])[ids[0]][0] == (NOW_US - 60 * SECOND, 77.0)
    assert read_contents(tmp_path / "copy").segment < Lake(elsewhere).sealed_segment()


def test_a_copy_of_the_log_of_the_old_home_is_refused_by_the_restored_one(settings, elsewhere, tmp_path):
    fill(settings)
    back_up(settings, tmp_path / "copy")
    restore(elsewhere, tmp_path / "copy")
    shutil.rmtree(elsewhere.log_dir)
    shutil.copytree(settings.log_dir, elsewhere.log_dir)
    with pytest.raises(Exception, match="belongs to log"):
        open_writer(elsewhere)


def test_while_rows_come_in_the_copy_holds_a_prefix(settings, elsewhere, tmp_path, monkeypatch):
    with open_writer(settings) as writer:
        [series] = register(writer, "a")
        monkeypatch.setattr("workbench.store.backup.attach", lambda _: Shared(writer))
        sent, stop = [], threading.Event()

        def send() -> None:
            while not stop.is_set():
                at = NOW_US + len(sent)
                writer.append({"samples": sample_batch([series], [at], [len(sent)])}).result()
                sent.append(at)
                if len(sent) % 50 == 0:
                    writer.seal()
                    compact(Lake(settings), NOW_US, everything=True)

        sender = threading.Thread(target=send)
        sender.start()
        while len(sent) < 60 and sender.is_alive():
            stop.wait(0.001)
        acknowledged = len(sent)
        back_up(settings, tmp_path / "copy")
        stop.set()
        sender.join()
    restore(elsewhere, tmp_path / "copy")
    values = [value for _, value in answers(elsewhere, [series])[0][series]]
    assert values == list(range(len(values)))
    assert acknowledged <= len(values) <= len(sent)


class Shared:
    """A writer that somebody else closes."""

    def __init__(self, writer) -> None:
        self.seal = writer.seal

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass


def test_state_pinned_versions_and_what_people_keep_come_along(settings, elsewhere, tmp_path):
    ids = fill(settings)
    pinned = open_view(settings).lake_version
    engine = state.engine(settings)
    with engine.begin() as connection:
        connection.execute(sa.insert(state.users).values(name="ann", role="viewer", created_us=1))
        connection.execute(sa.insert(state.pins).values(lake_version=pinned, holder="report:1", created_us=1))
        session = {"digest": "d", "user_id": 1, "created_us": 1, "expires_us": 2**60}
        connection.execute(sa.insert(state.sessions).values(session))
    then = open_view(settings, version=pinned).samples(np.array(ids), 0, 2**62).values.tolist()
    for name in ("notebooks/mine.ipynb", "rules/a.yaml", "workbench.toml", "state/cache/big", "state/logs/hub.log"):
        (settings.home / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.home / name).write_text("[log]\n")
    (settings.home / "notebooks" / "link").symlink_to("/etc/hostname")
    fill(settings)
    back_up(settings, tmp_path / "copy")
    restore(elsewhere, tmp_path / "copy")
    assert (elsewhere.home / "notebooks" / "mine.ipynb").read_text() == "[log]\n"
    kept = {path.name for path in elsewhere.home.rglob("*")}
    assert not kept & {"link", "big", "hub.log", "writer.lock"}
    with state.engine(elsewhere).connect() as connection:
        assert connection.execute(sa.select(state.users.c.name)).scalars().all() == ["ann"]
        assert connection.execute(sa.select(state.pins.c.holder)).scalars().all() == ["report:1"]
        assert connection.execute(sa.select(state.sessions)).all() == []
    with engine.connect() as connection:
        assert connection.execute(sa.select(state.pins.c.holder)).scalars().all() == ["report:1"]
        assert len(connection.execute(sa.select(state.sessions)).all()) == 1
    view = open_view(elsewhere, version=pinned)
    assert view.samples(np.array(ids), 0, 2**62).values.tolist() == then


def test_a_home_in_use_or_with_something_in_it_is_refused(settings, elsewhere, tmp_path):
    ids = fill(settings)
    back_up(settings, tmp_path / "copy")
    fill(elsewhere, seals=1)
    with pytest.raises(InputError, match="not empty"):
        restore(elsewhere, tmp_path / "copy")
    with open_writer(elsewhere), pytest.raises(LakeLocked):
        restore(elsewhere, tmp_path / "copy", force=True)
    assert answers(elsewhere, ids)[1] == {"e0"}
    aside = restore(elsewhere, tmp_path / "copy", force=True)
    assert answers(elsewhere, ids) == answers(settings, ids)
    assert answers(config.load(aside, environ={}), ids)[1] == {"e0"}
    assert sorted(path.name for path in elsewhere.home.parent.iterdir()) == sorted([aside.name, "home"])


def test_a_damaged_or_half_a_backup_is_refused_and_leaves_nothing(settings, elsewhere, tmp_path):
    fill(settings)
    copy = tmp_path / "copy"
    back_up(settings, copy)
    contents = copy / "backup.json"
    whole = contents.read_text()
    victim = copy / max(read_contents(copy).files)
    good = victim.read_bytes()
    victim.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(InputError, match="checksum"):
        restore(elsewhere, copy)
    victim.unlink()
    with pytest.raises(InputError, match="missing"):
        restore(elsewhere, copy)
    body = json.loads(whole)
    contents.write_text(json.dumps({**body, "files": {"../../outside": [0, ""]}}))
    with pytest.raises(InputError, match="outside"):
        restore(elsewhere, copy)
    contents.write_text(json.dumps({**body, "layout": 99}))
    with pytest.raises(LayoutUnknown):
        restore(elsewhere, copy)
    contents.unlink()
    with pytest.raises(InputError, match="no whole backup"):
        restore(elsewhere, copy)
    assert not elsewhere.home.exists()
    assert not elsewhere.home.parent.exists() or not any(elsewhere.home.parent.iterdir())


def test_where_a_backup_cannot_go(settings, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="nothing to back up"):
        back_up(settings, tmp_path / "copy")
    fill(settings)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for folder, words in ((tmp_path / "full", "not empty"), (settings.home / "copy", "inside its home")):
        with pytest.raises(InputError, match=words):
            back_up(settings, folder)
    monkeypatch.setattr(os, "sync", lambda: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        back_up(settings, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert not list(tmp_path.glob(".copy*"))
