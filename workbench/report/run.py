"""Run a parameterised notebook on a named lake version, and keep what it gave: notebook, HTML, provenance."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench.config import Settings
from workbench.errors import ReportError
from workbench.report.provenance import Provenance, code_version, figures_of, sha256
from workbench.report.render import render_html
from workbench.store import attach, state

SHIPPED = Path(__file__).resolve().parent.parent.parent / "notebooks"
KEEP = 30
"""How many reports of one name are kept; each pins its lake version for as long."""


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

    @property
    def notebook(self) -> Path:
        """The executed notebook; after a failure it holds the output up to the cell that failed."""
        return self.folder / f"{self.name}.ipynb"

    @property
    def html(self) -> Path:
        """The rendered page."""
        return self.folder / f"{self.name}.html"

    def provenance(self) -> Provenance:
        """What gives the same figures again."""
        return Provenance.load(self.folder / "provenance.json")


def notebook_file(name: str, settings: Settings) -> Path:
    """The notebook of that name: the user's own copy in the home, else the one we ship. Raises ReportError."""
    places = (settings.home / "notebooks", SHIPPED)
    for place in places:
        file = place / f"{name}.ipynb"
        if file.is_file() and file.resolve().is_relative_to(place.resolve()):
            return file
    known = sorted({file.stem for place in places for file in place.glob("*.ipynb")})
    raise ReportError(f"there is no notebook {name!r}", hint=f"There are: {', '.join(known)}.")


def run_report(
    name: str,
    *,
    settings: Settings,
    day: date | None = None,
    parameters: Mapping[str, Any] | None = None,
    lake_version: str = "",
) -> Report:
    """Run notebook `name` for one UTC day (default: today) and keep the result.

    Without `lake_version` everything received so far is sealed first, so that the version names all that the notebook
    reads; the version is pinned as long as the report is kept. Raises ReportError when a cell fails; output is kept.
    """
    file = notebook_file(name, settings)
    if not lake_version:
        with attach(settings) as writer:
            lake_version = writer.seal()
    day = day or datetime.now(UTC).date()
    engine = state.engine(settings)
    fixed = {"date": day.isoformat(), "home": str(settings.home), "lake_version": lake_version}
    values = {**(parameters or {}), **fixed}
    folder = _new_folder(settings, name)
    with _held(folder):
        row = {
            "name": name,
            "date": values["date"],
            "parameters": {key: value for key, value in values.items() if key != "home"},
            "lake_version": lake_version,
            "code_version": code_version(),
            "status": "running",
            "started_us": time.time_ns() // 1000,
            "folder": folder.name,
        }
        with engine.begin() as connection:
            inserted = connection.execute(sa.insert(state.reports).values(row).returning(state.reports.c.id))
            number = inserted.scalar_one()
            pin = {"lake_version": lake_version, "holder": f"report:{number}", "created_us": row["started_us"]}
            connection.execute(sa.insert(state.pins).values(pin))
        try:
            _execute(file, folder, name, values)
        except ReportError as error:
            _finish(engine, number, "failed", str(error))
            raise
        except Exception as error:  # whatever papermill or the disk had against it
            _finish(engine, number, "failed", str(error))
            raise ReportError(f"{type(error).__name__}: {error}", where=file.name) from error
        _finish(engine, number, "done", None)
    _forget_old(engine, settings, name)
    return get_report(number, settings=settings)


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


def _execute(file: Path, folder: Path, name: str, values: Mapping[str, Any]) -> None:
    import nbformat
    import papermill

    source = nbformat.read(file, as_version=4)
    if not any("parameters" in cell.metadata.get("tags", []) for cell in source.cells):
        raise ReportError(
            "the notebook has no cell tagged `parameters`", where=file.name, hint="Tag its first code cell so."
        )
    target = folder / f"{name}.ipynb"
    failure: ReportError | None = None
    try:
        papermill.execute_notebook(
            str(file),
            str(target),
            parameters=dict(values),
            kernel_name="python3",
            progress_bar=False,
            language="python",
            cwd=str(folder),
            kernel_manager_class="workbench.report.kernel.IpcKernelManager",
        )
    except papermill.PapermillExecutionError as error:
        failure = ReportError(
            f"{error.ename}: {error.evalue}",
            cell=error.cell_index + 1,
            where=f"{file.name}, cell {error.cell_index + 1}",
            hint=f"The notebook with its output so far: {target}",
        )
    executed = nbformat.read(target, as_version=4)
    provenance = Provenance(
        notebook=name,
        notebook_sha256=sha256(file),
        parameters={key: value for key, value in values.items() if key != "home"},
        lake_version=values["lake_version"],
        code_version=code_version(),
        executed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        figures=figures_of(executed),
    )
    provenance.save(folder / "provenance.json")
    title = f"{name.replace('_', ' ').capitalize()}, {values['date']}"
    (folder / f"{name}.html").write_text(render_html(executed, title=title, provenance=provenance), encoding="utf-8")
    if failure is not None:
        raise failure


def _new_folder(settings: Settings, name: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    folder = settings.reports_dir / f"{name}-{stamp}"
    folder.mkdir(parents=True, mode=0o700)
    return folder


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a lock while a report runs, so that others can tell a running one from one that was killed."""
    with (folder / ".running").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_held(folder: Path) -> bool:
    try:
        with (folder / ".running").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _finish(engine: sa.Engine, number: int, status: str, error: str | None) -> None:
    values = {"status": status, "finished_us": time.time_ns() // 1000, "error": error}
    with engine.begin() as connection:
        connection.execute(sa.update(state.reports).where(state.reports.c.id == number).values(values))


def _forget_old(engine: sa.Engine, settings: Settings, name: str) -> None:
    """Keep the newest reports of a name; a report that goes takes its pin and its folder along."""
    query = (
        sa.select(state.reports).where(state.reports.c.name == name).order_by(state.reports.c.id.desc()).offset(KEEP)
    )
    with engine.begin() as connection:
        old = connection.execute(query.limit(1000)).all()
        for row in old:
            connection.execute(sa.delete(state.pins).where(state.pins.c.holder == f"report:{row.id}"))
            connection.execute(sa.delete(state.reports).where(state.reports.c.id == row.id))
    for row in old:
        shutil.rmtree(settings.reports_dir / row.folder, ignore_errors=True)


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
    )
