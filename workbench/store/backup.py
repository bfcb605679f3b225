"""A copy of a home at one version of its lake, taken while the workbench runs or not.

Everything received before the call is sealed first, so the lake at the newest manifest holds the whole log, and no part
of the log is copied. Beside that version those are copied that reports pin, the relational state as it is then, and
what people keep in the home. Derived things (the index, caches, logs of processes) are left out.

    backup.json     what this is, and size and SHA-256 of every file; written last, so a copy without it is not whole
    lake/           the tables' files and logs up to the versions named, and the manifests
    state/          state.db
    …               notebooks, dashboards, schedules, rules, reports, settings
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

import workbench
from workbench.config import Settings, ensure_private_dir
from workbench.errors import InputError
from workbench.schema import LAYOUT_VERSION
from workbench.store import state
from workbench.store.client import attach
from workbench.store.held import held_files
from workbench.store.lake import Lake
from workbench.store.layout import check_layout, write_durably
from workbench.store.manifest import Manifest, maintenance_lock
from workbench.store.state_copy import copy_state

FORMAT = 1
CONTENTS = "backup.json"
CHUNK_BYTES = 2**20
_HOLDER = "backup"

# Of the home: what is copied otherwise, is derived, or belongs to processes that run.
_LEFT_OUT = frozenset({"lake", "log", "index", "quarantine", "state/cache", "state/logs"})
_LEFT_OUT_NAMES = (".lock", ".running", ".tmp", ".partial")
_STATE = "state/state.db"

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and the name of the file under way."""


@dataclass(frozen=True)
class Contents:
    """What a backup says of itself; times are microseconds since 1970 UTC.

    `segment`: highest segment of the log in its lake; `files`: path below the backup -> (bytes, SHA-256).
    """

    format: int
    layout: int
    code_version: str
    lake_version: str
    segment: int
    time_us: int
    files: dict[str, tuple[int, str]]


def back_up(settings: Settings, folder: Path, *, progress: Progress | None = None) -> Contents:
    """Copy a home into `folder`, which must not be there or be empty. Goes through the hub where one runs.

    Raises InputError, LakeLocked, StoreError. What was written before an error is taken away again.
    """
    if not check_layout(settings):
        raise InputError("there is nothing to back up", where=str(settings.home))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("the folder is not empty", where=str(folder), hint="Name one that is not there yet.")
    if folder.resolve().is_relative_to(settings.home):
        raise InputError("a backup inside its home would be lost with it", where=str(folder))
    with attach(settings) as writer:
        writer.seal()
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    engine = state.engine(settings)
    try:
        ensure_private_dir(draft)
        made = _copy(settings, engine, draft, progress or (lambda done, total, name: None))
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    finally:
        engine.dispose()
        shutil.rmtree(draft, ignore_errors=True)
    return made


def _copy(settings: Settings, engine: sa.Engine, draft: Path, progress: Progress) -> Contents:
    lake, copied = Lake(settings), _Copied(settings.home, draft)
    try:
        # Entries of the tables' logs are cleaned away under this lock; data files that a pin names stay without it.
        with maintenance_lock(lake.folder):
            newest = lake.manifests.newest()
            if newest is None:
                raise InputError("nothing was sealed", where=str(lake.folder))
            _pin(engine, newest.id)
            kept = [*_pinned(lake, engine, newest.id), newest]
            wanted = [lake.path(kind) / name for kind in newest.tables for name in sorted(held_files(lake, kind, kept))]
            for kind in newest.tables:
                for path in _log_files(lake.path(kind), newest.tables[kind]):
                    copied.take(path)
        wanted += [lake.manifests.folder / f"{manifest.id}.json" for manifest in kept]
        people = list(_of_people(settings.home))
        total = sum(path.stat().st_size for path in wanted)
        done = 0
        for path in wanted:
            done += copied.take(path)
            progress(done, total, path.name)
    finally:
        _unpin(engine)
    for path in people:
        with contextlib.suppress(FileNotFoundError):  # somebody works there meanwhile
            copied.take(path)
    copied.note(_STATE, _copy_state(settings, engine, draft))
    made = Contents(
        FORMAT, LAYOUT_VERSION, workbench.__version__, newest.id, newest.segment, time.time_ns() // 1000, copied.files
    )
    os.sync()
    write_durably(draft / CONTENTS, json.dumps(asdict(made), indent=1).encode())
    return made


class _Copied:
    """Copies files of the home to the same place below the draft, and notes size and checksum of what was written."""

    def __init__(self, home: Path, draft: Path) -> None:
        self.files: dict[str, tuple[int, str]] = {}
        self._home = home
        self._draft = draft

    def take(self, path: Path) -> int:
        """Copy a file; its bytes."""
        name = path.relative_to(self._home).as_posix()
        target = self._draft / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as source, target.open("xb") as copy:
            os.fchmod(copy.fileno(), 0o600)
            while chunk := source.read(CHUNK_BYTES):
                copy.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.files[name] = (size, digest.hexdigest())
        return size

    def note(self, name: str, path: Path) -> None:
        """Note a file that somebody else wrote into the draft."""
        self.files[name] = (path.stat().st_size, file_sha256(path))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _log_files(folder: Path, version: int) -> Iterator[Path]:
    """What opens a table at `version` and before, and nothing of later ones."""
    log = folder / "_delta_log"
    for path in sorted(log.iterdir()):
        number = path.name[:20]
        if number.isdigit() and int(number) <= version and path.suffix in (".json", ".parquet"):
            yield path
    pointer = log / "_last_checkpoint"
    if pointer.exists() and json.loads(pointer.read_text())["version"] <= version:
        yield pointer


def _of_people(home: Path) -> Iterator[Path]:
    """All other files of the home that are worth keeping. Links are not followed: they may lead anywhere."""
    for folder, folders, names in os.walk(home):
        inside = Path(folder).relative_to(home)
        folders[:] = [name for name in folders if (inside / name).as_posix() not in _LEFT_OUT]
        for name in names:
            path = Path(folder) / name
            is_state = (inside / name).as_posix().startswith(_STATE)
            if not is_state and not name.endswith(_LEFT_OUT_NAMES) and stat.S_ISREG(path.lstat().st_mode):
                yield path


def _copy_state(settings: Settings, engine: sa.Engine, draft: Path) -> Path:
    """A copy of the relational state as it is at one moment, whoever writes it meanwhile."""
    target = draft / _STATE
    target.parent.mkdir(exist_ok=True, mode=0o700)
    if engine.dialect.name != "sqlite":
        # A backup is whole in itself: what lies in a server comes along as the file that it would be here.
        fresh = state.engine_at(f"sqlite:///{target}")
        try:
            copy_state(engine, fresh)
        finally:
            fresh.dispose()
    with closing(sqlite3.connect(target)) as copy:
        if engine.dialect.name == "sqlite":
            with closing(sqlite3.connect(settings.state_dir / "state.db")) as source:
                source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    target.chmod(0o600)
    return target


def _pin(engine: sa.Engine, lake_version: str) -> None:
    row = {"lake_version": lake_version, "holder": _HOLDER, "created_us": time.time_ns() // 1000}
    with engine.begin() as connection:
        connection.execute(sa.delete(state.pins).where(state.pins.c.holder == _HOLDER))
        connection.execute(sa.insert(state.pins).values(row))


def _unpin(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(state.pins).where(state.pins.c.holder == _HOLDER))


def _pinned(lake: Lake, engine: sa.Engine, newest: str) -> list[Manifest]:
    """The other versions that somebody pinned, and that are still there."""
    with engine.connect() as connection:
        pins = set(connection.execute(sa.select(state.pins.c.lake_version)).scalars())
    return [lake.manifests.read(name) for name in lake.manifests.ids() if name in pins and name != newest]
