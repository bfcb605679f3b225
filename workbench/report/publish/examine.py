"""The way of a notebook to the shelf: handed in, checked, run once, and published, refused, or left to an operator."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from workbench.config import Settings
from workbench.errors import Forbidden, InputError
from workbench.report.jobs.files import NAME, job_files, read_jobs, text_faults
from workbench.report.jobs.publisher import rows_of_publisher
from workbench.report.publish.checks import static_checks, stripped, trial
from workbench.report.publish.publications import KINDS, Check, Publication, get_publication, may_approve, move, now_us
from workbench.report.publish.shelf import place
from workbench.store import state

BOARD_CRON = "*/15 * * * *"
"""How often the snapshot of a published board is made anew unless somebody says otherwise."""


def hand_in(
    notebook: Path,
    kind: str,
    *,
    by: str,
    settings: Settings,
    engine: sa.Engine,
    name: str = "",
    schedule: Mapping[str, Any] | None = None,
    queue: bool = False,
) -> Publication:
    """Take a notebook in the name of a user; nothing is checked but what can be seen at once. `examine` follows.

    With `queue` it waits for the process `jobs` to examine it.

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
    row: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "state": "queued" if queue else "checking",
        "notebook_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "files": files,
        "replaced": {},
        "checks": [],
        "published_by": by,
        "created_us": now_us(),
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
    if found.state not in ("queued", "checking"):
        raise InputError(f"publication {number} is {found.state} already")
    notebook_text = next(text for path, text in found.files.items() if path.endswith(".ipynb"))
    with tempfile.TemporaryDirectory(prefix="workbench-publish-") as folder:
        notebook = Path(folder) / f"{found.name}.ipynb"
        notebook.write_text(notebook_text, encoding="utf-8")
        checks = list(static_checks(notebook, found.kind))
        if all(check.passed for check in checks):
            try:
                rows = rows_of_publisher(engine, found.published_by)
            except Forbidden as error:
                checks.append(Check("its publisher may publish", False, error.message))
            else:
                checks += trial(notebook, found.kind, settings, rows)
    passed = all(check.passed for check in checks)
    approved = may_approve(engine, found.published_by) or not (
        found.kind == "job" or _runs_by_itself(found.name, found.kind, settings)
    )
    word = "refused" if not passed else "published" if approved else "pending"
    values: dict[str, Any] = {"state": word, "checks": [check.as_dict() for check in checks]}
    if word == "published":
        values |= {"decided_by": found.published_by, "decided_us": now_us()}
    if move(engine, number, found.state, **values) and word == "published":
        place(engine, settings, found)
    return get_publication(engine, number)


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
