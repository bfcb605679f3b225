"""The reports that are kept: a row of the state, a pin on the lake version and a folder for each."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench.config import Settings
from workbench.errors import ReportError
from workbench.report.provenance import Provenance
from workbench.store import state

KEEP = 30
"""How many reports of one name are kept unless its job says otherwise, failed ones included; each pins its version."""


@dataclass(frozen=True)
class Report:
    """One run of a notebook. `status` is running, done, failed or interrupted; times are microseconds UTC."""

    id: int
    name: str
    date: str
    status: str
    lake_version: str
    code_version: str
    started_us: int
    finished_us: int | None
    folder: Path
    error: str
    rows: str
    """Label matchers of whoever published it: it was made of the rows that meet them."""
    run_id: int | None = None

    @property
    def notebook(self) -> Path:
        """The executed notebook; after a failure it holds the output up to the cell that failed."""
        return self.folder / f"{self.name}.ipynb"

    @property
    def html(self) -> Path:
        """The rendered page."""
        return self.folder / f"{self.name}.html"

    @property
    def provenance_file(self) -> Path:
        """What `provenance` reads."""
        return self.folder / "provenance.json"

    def provenance(self) -> Provenance:
        """What gives the same figures again. Raises ReportError where the run ended before it was written."""
        try:
            return Provenance.load(self.provenance_file)
        except FileNotFoundError:
            raise ReportError("the run ended before its provenance was written", where=f"report {self.id}") from None


def list_reports(settings: Settings, *, name: str | None = None, limit: int = 200) -> list[Report]:
    """Reports, newest first."""
    query = sa.select(state.reports).order_by(state.reports.c.id.desc()).limit(limit)
    if name is not None:
        query = query.where(state.reports.c.name == name)
    with state.engine(settings).connect() as connection:
        return [_report(row, settings) for row in connection.execute(query)]


def get_report(number: int, *, settings: Settings) -> Report:
    """One report by its number. Raises ReportError where it is not kept."""
    with state.engine(settings).connect() as connection:
        row = connection.execute(sa.select(state.reports).where(state.reports.c.id == number)).one_or_none()
    if row is None:
        raise ReportError(f"there is no report {number}", hint="It may have been replaced by newer ones.")
    return _report(row, settings)


@contextmanager
def begun(
    settings: Settings,
    name: str,
    values: Mapping[str, Any],
    code_version: str,
    *,
    rows: str = "{}",
    run_id: int | None = None,
    keep: int = KEEP,
) -> Iterator[Report]:
    """Begin a report: its folder, its row and its pin are there while the body runs, and are finished after it.

    What the body raises makes it a failed one, and goes on. `values` are the parameters, `date` and `lake_version`
    among them, `rows` the label matchers of the publisher, `run_id` the run of a job that it belongs to. The folder is
    locked meanwhile, so that others can tell a run that goes on from one that was killed.
    """
    engine = state.engine(settings)
    folder = _new_folder(settings, name)
    with (folder / ".running").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            number = _begin(engine, folder, name, values, code_version, rows=rows, run_id=run_id)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            yield get_report(number, settings=settings)
        except Exception as error:
            # Without the hint: it names places of this machine, and viewers read this.
            what = f"{error.where}: {error.message}" if isinstance(error, ReportError) else str(error)
            _finish(engine, number, "failed", what)
            raise
        finally:
            _forget_old(engine, settings, name, keep)
        _finish(engine, number, "done", None)


def _new_folder(settings: Settings, name: str) -> Path:
    settings.reports_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return Path(tempfile.mkdtemp(prefix=f"{name}-{stamp}-", dir=settings.reports_dir))  # 0700, no two alike


def _begin(
    engine: sa.Engine, folder: Path, name: str, values: Mapping[str, Any], code_version: str, **ties: Any
) -> int:
    row = {
        "name": name,
        "date": values["date"],
        "parameters": {key: value for key, value in values.items() if key != "home"},
        "lake_version": values["lake_version"],
        "code_version": code_version,
        "status": "running",
        "started_us": time.time_ns() // 1000,
        "folder": folder.name,
        **ties,
    }
    with engine.begin() as connection:
        inserted = connection.execute(sa.insert(state.reports).values(row).returning(state.reports.c.id))
        number: int = inserted.scalar_one()
        pin = {"lake_version": row["lake_version"], "holder": f"report:{number}", "created_us": row["started_us"]}
        connection.execute(sa.insert(state.pins).values(pin))
    return number


def _finish(engine: sa.Engine, number: int, status: str, error: str | None) -> None:
    values = {"status": status, "finished_us": time.time_ns() // 1000, "error": error}
    with engine.begin() as connection:
        connection.execute(sa.update(state.reports).where(state.reports.c.id == number).values(values))


def _forget_old(engine: sa.Engine, settings: Settings, name: str, keep: int) -> None:
    """Keep the newest reports of a name; a report that goes takes its pin and its folder along."""
    reports = state.reports
    query = sa.select(reports).where(reports.c.name == name).order_by(reports.c.id.desc()).offset(keep).limit(1000)
    with engine.connect() as connection:
        old = [row for row in connection.execute(query) if not _is_held(settings.reports_dir / row.folder)]
    _forget(engine, settings, old)


def forget_unfinished(settings: Settings, run_id: int) -> None:
    """Remove what a killed process left of the reports of a run: it is made anew, and must not stand there twice."""
    engine = state.engine(settings)
    query = sa.select(state.reports).where(state.reports.c.run_id == run_id, state.reports.c.status == "running")
    with engine.connect() as connection:
        left = [row for row in connection.execute(query) if not _is_held(settings.reports_dir / row.folder)]
    _forget(engine, settings, left)
    engine.dispose()


def latest_report(settings: Settings, run_id: int) -> Report | None:
    """The newest report of a run, if there is one: each attempt that began makes one."""
    query = sa.select(state.reports).where(state.reports.c.run_id == run_id)
    with state.engine(settings).connect() as connection:
        row = connection.execute(query.order_by(state.reports.c.id.desc()).limit(1)).one_or_none()
    return _report(row, settings) if row is not None else None


def done_report(settings: Settings, run_id: int) -> Report | None:
    """The finished report of a run, if there is one."""
    found = latest_report(settings, run_id)
    return found if found is not None and found.status == "done" else None


def _forget(engine: sa.Engine, settings: Settings, rows: Sequence[Any]) -> None:
    with engine.begin() as connection:
        for row in rows:
            connection.execute(sa.delete(state.pins).where(state.pins.c.holder == f"report:{row.id}"))
            connection.execute(sa.delete(state.reports).where(state.reports.c.id == row.id))
    for row in rows:
        shutil.rmtree(settings.reports_dir / row.folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    try:
        with (folder / ".running").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _report(row: Any, settings: Settings) -> Report:
    folder = settings.reports_dir / row.folder
    status = "interrupted" if row.status == "running" and not _is_held(folder) else row.status
    return Report(
        row.id,
        row.name,
        row.date,
        status,
        row.lake_version,
        row.code_version,
        row.started_us,
        row.finished_us,
        folder,
        row.error or "",
        row.rows,
        row.run_id,
    )
