"""From a backup to a home: checked first, then put in its place as a whole.

The restored lake gets a log of its own, with a new identity and numbers above all that its tables hold: what the old
home has sealed since is never mistaken for sealed here, and newer rows still win over older ones.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect

from workbench.config import Settings, ensure_private_dir
from workbench.errors import InputError, LayoutUnknown
from workbench.schema import LAYOUT_VERSION
from workbench.store.backup import CONTENTS, FORMAT, Contents, Progress, file_sha256
from workbench.store.lake import Lake
from workbench.store.layout import published_path, write_durably
from workbench.store.lock import writer_lock
from workbench.store.published import create_published

_ENDED = ("sessions", "notebook_sessions", "signin_links")
"""Tables of the state whose rows would let somebody in who was signed out since."""


def read_contents(folder: Path) -> Contents:
    """What a backup says of itself. Raises InputError where it is none, LayoutUnknown for one of another layout."""
    path = folder / CONTENTS
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        found = Contents(**{**body, "files": {name: tuple(of) for name, of in body["files"].items()}})
    except FileNotFoundError:
        raise InputError("this is no whole backup", where=str(path), hint="It is written last.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("not readable as the contents of a backup", where=str(path)) from error
    if (found.format, found.layout) != (FORMAT, LAYOUT_VERSION):
        raise LayoutUnknown(
            f"the backup has format {found.format} and layout {found.layout}, this version knows {FORMAT} and "
            f"{LAYOUT_VERSION}",
            where=str(path),
            hint=f"Restore it with workbench {found.code_version}.",
        )
    return found


def restore(settings: Settings, folder: Path, *, force: bool = False, progress: Progress | None = None) -> Path | None:
    """Put a backup in the place of the home, all or nothing; where to the old home was moved, None if there was none.

    A home that holds anything is refused without `force`, one in use always. Sessions and sign-in links end. Raises
    InputError (a damaged backup too), LakeLocked, LayoutUnknown.
    """
    contents = read_contents(folder)
    home = settings.home
    occupied = home.exists() and any(home.iterdir())
    if occupied and not force:
        raise InputError(
            "the home is not empty", where=str(home), hint="Name another with --home, or --force moves it aside."
        )
    draft = home.with_name(f".{home.name}.{os.getpid()}.restoring")
    try:
        ensure_private_dir(draft)
        _copy(folder, contents, draft, progress or (lambda done, total, name: None))
        _begin_log(replace(settings, home=draft), contents)
        _end_sessions(draft / "state" / "state.db")
        os.sync()
        return _swap(settings, draft, occupied=occupied)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy(folder: Path, contents: Contents, draft: Path, progress: Progress) -> None:
    done, total = 0, sum(size for size, _ in contents.files.values())
    for name, (size, sha256) in contents.files.items():
        target = draft / name
        if not target.resolve().is_relative_to(draft.resolve()):
            raise InputError("the backup names a file outside itself", where=name)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            shutil.copyfile(folder / name, target, follow_symlinks=False)
        except FileNotFoundError:
            raise InputError("a file of the backup is missing", where=str(folder / name)) from None
        target.chmod(0o600)
        if target.stat().st_size != size or file_sha256(target) != sha256:
            raise InputError("a file of the backup is damaged: its checksum fails", where=str(folder / name))
        done += size
        progress(done, total, target.name)


def _begin_log(settings: Settings, contents: Contents) -> None:
    """A new log, whose segments follow the last one in the lake."""
    log_uuid = str(uuid.uuid4())
    write_durably(settings.home / "layout.json", json.dumps({"layout": LAYOUT_VERSION}).encode())
    settings.log_dir.mkdir(mode=0o700)
    Lake(settings).adopt_log(log_uuid, first=contents.segment + 1)
    create_published(published_path(settings), log_uuid)


def _end_sessions(file: Path) -> None:
    with closing(connect(file)) as connection, connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in tables & set(_ENDED):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM pins WHERE holder = 'backup'")


def _swap(settings: Settings, draft: Path, *, occupied: bool) -> Path | None:
    home = settings.home
    if not occupied:
        if home.exists():
            home.rmdir()
        draft.rename(home)
        return None
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = home.with_name(f"{home.name}.before-{stamp}")
    lock = writer_lock(settings)
    lock.acquire()
    try:
        home.rename(aside)
        draft.rename(home)
    finally:
        lock.release()
    return aside
