"""The relational state, where it is SQLite: whole, or copied row by row into a new one as far as it can be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.store import state
from workbench.store.doctor.files import Backup
from workbench.store.doctor.findings import Finding, Quarantine, Remedy

_STATE = "state/state.db"


def check_state(settings: Settings, backup: Backup | None) -> Iterator[Finding]:
    """Findings about `state.db`."""
    file = settings.state_dir / "state.db"
    if not settings.state_url.startswith("sqlite"):
        yield _server(settings)
        return
    if not file.exists():
        yield Finding("ok", "state: not there yet")
        return
    fault = _fault(file)
    if not fault:
        yield Finding("ok", "state: whole")
        return
    copy = backup.path(_STATE) if backup else None
    if copy is not None:
        plan, source = "take it from the backup; sessions of then do not count", copy
    else:
        plan, source = "move it to quarantine, and copy what can be read of it into a new one", file
    hint = "Stop the workbench first. A backup may have it whole: workbench doctor --backup DIR, or restore it."
    yield Finding(
        "fail", f"state: {fault}", hint, Remedy(plan, lambda place: _made_anew(settings, file, source, place))
    )


def _server(settings: Settings) -> Finding:
    """Whether the server that holds the state answers; that its files are whole, it sees to itself."""
    try:
        state.engine(settings).dispose()
    except WorkbenchError as error:
        return Finding("fail", f"state: {error.message}", error.hint)
    return Finding("ok", "state: in a server, which answers")


def _fault(file: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            answer = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        answer = str(error)
    return "" if answer == "ok" else answer


def _made_anew(settings: Settings, file: Path, source: Path, quarantine: Quarantine) -> str:
    for suffix in ("", "-wal", "-shm"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            moved = quarantine.take(part, "damaged")
            source = moved if part == source else source
    draft = replace(settings, home=settings.home / "state.rebuilding")
    state.engine(draft).dispose()
    made = draft.state_dir / "state.db"
    kept, lost = _copy_rows(source, made)
    with closing(sqlite3.connect(made)) as connection, connection:
        for table in ("sessions", "signin_links"):
            connection.execute(f"DELETE FROM {table}")
    made.rename(file)
    for rest in draft.state_dir.iterdir():
        rest.unlink()
    draft.state_dir.rmdir()
    with suppress(OSError):
        draft.home.rmdir()
    lost_text = f"; tables that could not be read to their end: {', '.join(lost)}" if lost else ""
    return f"a new state holds {kept} rows{lost_text}; everybody signs in again (workbench user list, user link)"


def _copy_rows(source: Path, target: Path) -> tuple[int, list[str]]:
    """Copy every row that can be read, table by table; how many, and the tables of which some could not."""
    kept, lost = 0, []
    with closing(sqlite3.connect(target)) as made:
        made.execute("PRAGMA foreign_keys=OFF")
        tables = [name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table == "alembic_version" or table.startswith("sqlite_"):
                continue
            columns = [row[1] for row in made.execute(f"PRAGMA table_info({table})")]
            number, whole = _copy_table(source, made, table, columns)
            kept += number
            if not whole:
                lost.append(table)
        made.commit()
    return kept, lost


def _copy_table(source: Path, made: sqlite3.Connection, table: str, columns: list[str]) -> tuple[int, bool]:
    """Rows copied from both ends of a table towards the damaged place; whether there was none."""
    found: dict[object, tuple[object, ...]] = {}
    whole = True
    for direction in ("ASC", "DESC"):
        try:
            with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as old:
                there = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
                names = [name for name in columns if name in there]
                if not names:
                    return 0, False
                for row in old.execute(
                    f"SELECT rowid, {', '.join(_quoted(names))} FROM {table} ORDER BY rowid {direction}"
                ):
                    found.setdefault(row[0], row[1:])
                break
        except sqlite3.Error:
            whole = False
    if not found:
        return 0, whole
    marks = ", ".join("?" * len(names))
    number = 0
    for values in found.values():
        with suppress(sqlite3.Error):
            made.execute(f"INSERT INTO {table} ({', '.join(_quoted(names))}) VALUES ({marks})", values)
            number += 1
    return number, whole


def _quoted(names: list[str]) -> list[str]:
    return [f'"{name}"' for name in names]
