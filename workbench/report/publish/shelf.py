"""Publications: what was handed in, by whom, what became of it, and the way back.

checking -> refused (a demand is not met), pending (a job waits for an operator) or published; pending -> published or
refused; published -> undone. What is published lies as plain files in the home, `notebooks/`, `dashboards/` and
`scheduled/`; the row keeps them, and what they took the place of.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from workbench.config import Settings
from workbench.errors import InputError
from workbench.report.jobs.files import NAME, job_files, read_jobs, text_faults
from workbench.report.publish.checks import Check, static_checks, stripped, trial
from workbench.store import state

KINDS = ("board", "report", "job")
APPROVERS = ("operator", "admin")
PUBLISHERS = ("analyst", "admin")
BOARD_CRON = "*/15 * * * *"
"""How often the snapshot of a published board is made anew unless somebody says otherwise."""


@dataclass(frozen=True)
class Publication:
    """One row. `state` is checking, refused, pending, published or undone; `files` are texts by path in the home."""

    id: int
    name: str
    kind: str
    state: str
    notebook_sha256: str
    files: Mapping[str, str]
    replaced: Mapping[str, str | None]
    checks: tuple[Check, ...]
    published_by: str
    created_us: int
    decided_by: str
    decided_us: int | None


def hand_in(
    notebook: Path,
    kind: str,
    *,
    by: str,
    settings: Settings,
    engine: sa.Engine,
    name: str = "",
    schedule: Mapping[str, Any] | None = None,
) -> Publication:
    """Take a notebook in the name of a user; nothing is checked but what can be seen at once. `examine` follows.

    `schedule` are keys of a schedule file (for a job: with `cron` or `after`; for a board: to refresh it otherwise than
    every 15 minutes). Raises InputError for a file that is no notebook, a name that cannot be one, and a schedule with
    faults.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} is nothing to publish as", where="--as", hint=f"One of {', '.join(KINDS)}.")
    if not notebook.is_file():
        raise InputError("there is no such file", where=str(notebook))
    name = name or re.sub(r"[^a-z0-9]+", "_", notebook.stem.lower()).strip("_")
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name", where="name", hint="Small letters, digits and _, a letter first.")
    planned = dict(schedule or {})
    text = stripped(notebook, title=planned.get("title", ""), about=planned.get("about", ""))
    files = _files(name, kind, text, by, planned)
    planned_file = files.get(_schedule_path(name, kind))
    if planned_file and (faults := text_faults(name, planned_file, notebook, settings)):
        raise InputError("; ".join(faults), where="schedule")
    row = {
        "name": name,
        "kind": kind,
        "state": "checking",
        "notebook_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "files": files,
        "replaced": {},
        "checks": [],
        "published_by": by,
        "created_us": _now_us(),
    }
    with engine.begin() as connection:
        made = connection.execute(state.publications.insert().values(row)).inserted_primary_key
    return get_publication(engine, int(made[0]) if made else 0)


def examine(number: int, *, settings: Settings, engine: sa.Engine) -> Publication:
    """Check what was handed in, run it once, and publish or refuse it, or let it wait for an operator.

    A job waits where its publisher may not approve jobs, and so does a notebook that a job runs already. May be done
    again after a crash. Raises InputError where there is nothing to examine.
    """
    found = get_publication(engine, number)
    if found.state != "checking":
        raise InputError(f"publication {number} is {found.state} already")
    notebook_text = next(text for path, text in found.files.items() if path.endswith(".ipynb"))
    with tempfile.TemporaryDirectory(prefix="workbench-publish-") as folder:
        notebook = Path(folder) / f"{found.name}.ipynb"
        notebook.write_text(notebook_text, encoding="utf-8")
        checks = list(static_checks(notebook, found.kind))
        if all(check.passed for check in checks):
            checks += trial(notebook, found.kind, settings)
    passed = all(check.passed for check in checks)
    approved = may_approve(engine, found.published_by) or not (
        found.kind == "job" or _runs_by_itself(found.name, found.kind, settings)
    )
    word = "refused" if not passed else "published" if approved else "pending"
    values: dict[str, Any] = {"state": word, "checks": [check.as_dict() for check in checks]}
    if word == "published":
        values |= {"decided_by": found.published_by, "decided_us": _now_us()}
    if _move(engine, number, "checking", **values) and word == "published":
        _place(engine, settings, found)
    return get_publication(engine, number)


def may_approve(engine: sa.Engine, name: str) -> bool:
    """Whether a user may approve jobs: an operator or an admin who may sign in."""
    users = state.users
    query = sa.select(users.c.id).where(
        users.c.name == name, users.c.role.in_(APPROVERS), users.c.disabled_us.is_(None)
    )
    with engine.connect() as connection:
        return connection.execute(query).first() is not None


def decide(number: int, *, approve: bool, by: str, settings: Settings, engine: sa.Engine) -> Publication:
    """Approve or refuse a job that waits. Raises InputError where it does not wait (any more)."""
    word = "published" if approve else "refused"
    if not _move(engine, number, "pending", state=word, decided_by=by, decided_us=_now_us()):
        raise InputError(f"publication {number} waits for nobody", hint="`workbench publish --history` lists them.")
    if approve:
        _place(engine, settings, get_publication(engine, number))
    return get_publication(engine, number)


def undo(name: str, *, by: str, settings: Settings, engine: sa.Engine) -> Publication:
    """Take the newest publication of a name back: its files go, and what they took the place of returns.

    Raises InputError where nothing of that name is published, and where a file was edited since.
    """
    newest = next((one for one in publications(engine) if one.name == name and one.state == "published"), None)
    if newest is None:
        raise InputError(f"nothing of the name {name!r} is published", hint="`workbench publish --history` lists all.")
    for path, text in newest.files.items():
        place = settings.home / path
        if place.is_file() and place.read_text(encoding="utf-8") != text:
            raise InputError("the file was edited since it was published", where=path, hint="Move it away first.")
    for path, before in newest.replaced.items():
        place = settings.home / path
        if before is None:
            place.unlink(missing_ok=True)
        else:
            _write(place, before)
    _move(engine, newest.id, "published", state="undone", decided_by=by, decided_us=_now_us())
    return get_publication(engine, newest.id)


def publications(engine: sa.Engine, *, states: Iterable[str] = (), limit: int = 200) -> list[Publication]:
    """Publications, the newest first."""
    table = state.publications
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if wanted := list(states):
        query = query.where(table.c.state.in_(wanted))
    with engine.connect() as connection:
        return [_publication(row) for row in connection.execute(query)]


def get_publication(engine: sa.Engine, number: int) -> Publication:
    """One publication by its number. Raises InputError."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(state.publications).where(state.publications.c.id == number)).one_or_none()
    if row is None:
        raise InputError(f"there is no publication {number}", hint="`workbench publish --history` lists all.")
    return _publication(row)


def _files(name: str, kind: str, notebook: str, by: str, schedule: dict[str, Any]) -> dict[str, str]:
    """Path in the home -> text of all that is published."""
    folder = "dashboards" if kind == "board" else "notebooks"
    files = {f"{folder}/{name}.ipynb": notebook}
    if kind == "report":
        if schedule:
            raise InputError("a report has no schedule", where="--as", hint="Publish it as a job.")
        return files
    if kind == "job" and not schedule.get("cron") and not schedule.get("after"):
        raise InputError("a job needs to know when to run", where="--schedule", hint='As in --schedule "0 6 * * mon".')
    if kind == "board":
        schedule = {"kind": "board", "cron": BOARD_CRON, "timeout": "5m", **schedule}
    head = f"# Published by {by}; `workbench publish --undo {name}` takes it back.\n"
    body = {"notebook": name, **schedule, **({"publisher": by} if by else {})}
    files[_schedule_path(name, kind)] = head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)
    return files


def _runs_by_itself(name: str, kind: str, settings: Settings) -> bool:
    """Whether a job that somebody else answers for runs the notebook of that name."""
    if kind == "board":
        return False  # its own schedule is published with it, in the name of the same person
    jobs, _ = read_jobs(job_files(settings), settings)
    return any(job.notebook == name and job.kind == "report" for job in jobs.values())


def _schedule_path(name: str, kind: str) -> str:
    return f"scheduled/{'board_' if kind == 'board' else ''}{name}.yaml"


def _move(engine: sa.Engine, number: int, before: str, **values: Any) -> bool:
    """Change a publication that is in the state `before`; whether it was: of two who decide, one does."""
    table = state.publications
    with engine.begin() as connection:
        mine = sa.and_(table.c.id == number, table.c.state == before)
        return bool(connection.execute(sa.update(table).where(mine).values(**values)).rowcount)


def _place(engine: sa.Engine, settings: Settings, publication: Publication) -> None:
    """Write the files into the home; what was there is kept first."""
    replaced: dict[str, str | None] = {}
    for path in publication.files:
        place = settings.home / path
        replaced[path] = place.read_text(encoding="utf-8") if place.is_file() else None
    table = state.publications
    with engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.id == publication.id).values(replaced=replaced))
    # The notebook first: a schedule must never name one that is not there.
    for path, text in publication.files.items():
        _write(settings.home / path, text)


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, place)


def _publication(row: Any) -> Publication:
    return Publication(
        row.id,
        row.name,
        row.kind,
        row.state,
        row.notebook_sha256,
        row.files,
        row.replaced,
        tuple(Check(**check) for check in row.checks),
        row.published_by,
        row.created_us,
        row.decided_by or "",
        row.decided_us,
    )


def _now_us() -> int:
    return time.time_ns() // 1000
