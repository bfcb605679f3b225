"""The shelf: published files in the home (`notebooks/`, `dashboards/`, `scheduled/`), their way there and back."""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa

from workbench.config import Settings
from workbench.errors import InputError
from workbench.report.publish.publications import Publication, get_publication, move, newest_published, now_us
from workbench.store import state


def decide(number: int, *, approve: bool, by: str, settings: Settings, engine: sa.Engine) -> Publication:
    """Approve or refuse a job that waits. Raises InputError where it does not wait (any more)."""
    word = "published" if approve else "refused"
    if not move(engine, number, "pending", state=word, decided_by=by, decided_us=now_us()):
        raise InputError(f"publication {number} waits for nobody", hint="`workbench publish --history` lists them.")
    if approve:
        place(engine, settings, get_publication(engine, number))
    return get_publication(engine, number)


def undo(number: int, *, by: str, settings: Settings, engine: sa.Engine) -> Publication:
    """Take a publication back: its files go, and what they took the place of returns.

    Raises InputError where it is not published, a newer one took its place, or a file was edited since.
    """
    found = get_publication(engine, number)
    newest = newest_published(engine, found.name, found.kind)
    if found.state != "published":
        raise InputError(f"publication {number} is {found.state}, not published")
    if newest is not None and newest.id != number:
        raise InputError(f"publication {newest.id} took its place", hint="Take that one back first.")
    for path, text in found.files.items():
        file = settings.home / path
        if file.is_file() and file.read_text(encoding="utf-8") != text:
            raise InputError("the file was edited since it was published", where=path, hint="Move it away first.")
    for path, before in found.replaced.items():
        file = settings.home / path
        if before is None:
            file.unlink(missing_ok=True)
        else:
            _write(file, before)
    move(engine, number, "published", state="undone", decided_by=by, decided_us=now_us())
    return get_publication(engine, number)


def place(engine: sa.Engine, settings: Settings, publication: Publication) -> None:
    """Write the files into the home; what was there is kept first."""
    replaced: dict[str, str | None] = {}
    for path in publication.files:
        file = settings.home / path
        replaced[path] = file.read_text(encoding="utf-8") if file.is_file() else None
    table = state.publications
    with engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.id == publication.id).values(replaced=replaced))
    # The notebook first: a schedule must never name one that is not there.
    for path, text in publication.files.items():
        _write(settings.home / path, text)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)
