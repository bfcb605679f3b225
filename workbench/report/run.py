"""Run a parameterised notebook on a named lake version, and keep what it gave: notebook, HTML, provenance."""

from __future__ import annotations

import ast
import errno
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from workbench.config import Settings
from workbench.errors import ReportError
from workbench.report.execute import execute, turn
from workbench.report.kept import KEEP, Report, begun, get_report
from workbench.report.kernel import confined
from workbench.report.notebooks import FILLED_IN, notebook_file
from workbench.report.provenance import Provenance, code_version, figures_of, sha256
from workbench.report.render import render_html, too_big
from workbench.store import Lake, attach

MAX_NOTEBOOK_BYTES = 32 * 1024 * 1024
"""A notebook with more output is kept, but not rendered: no browser would show the page."""


def run_report(
    name: str,
    *,
    settings: Settings,
    day: date | None = None,
    parameters: Mapping[str, Any] | None = None,
    lake_version: str = "",
    rows: str = "{}",
    timeout_seconds: float | None = None,
    keep: int = KEEP,
    run_id: int | None = None,
) -> Report:
    """Run notebook `name` for one UTC day (default: today) and keep the result.

    Without `lake_version` everything received so far is sealed first, so that the version names all that the notebook
    reads; the version is pinned as long as the report is kept, and the newest `keep` of its name are. `rows` are the
    label matchers of its publisher: who may not see all that they show will not be shown the report. After
    `timeout_seconds` its kernel is ended. Raises ReportError when a cell fails or is not over by then (its output is
    kept), when a parameter is not the notebook's and when there is no room to write; VersionGone. `run_id` ties the
    report to the run of a job.
    """
    file = notebook_file(name, settings)
    if lake_version:
        Lake(settings).manifest(lake_version)
    else:
        with attach(settings) as writer:
            lake_version = writer.seal()
    day = day or datetime.now(UTC).date()
    given = dict(parameters or {})
    for key in FILLED_IN:
        if key in given:
            raise ReportError(f"parameter {key!r} is filled in by the run", hint="Use --date, --home, --lake-version.")
    values = {**given, "date": day.isoformat(), "home": str(settings.home), "lake_version": lake_version}
    try:
        with turn, begun(settings, name, values, code_version(), rows=rows, run_id=run_id, keep=keep) as report:
            try:
                with confined(settings, rows):
                    _execute(file, report, given, values, timeout_seconds)
            except (ReportError, OSError):
                raise
            except Exception as error:  # whatever papermill or the notebook's format had against it
                raise ReportError(f"{type(error).__name__}: {error}", where=file.name) from error
    except (OSError, SQLAlchemyError) as error:
        full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        what = "the disk is full" if full else f"{type(error).__name__}: {error}"
        raise ReportError(f"the report could not be written: {what}", where=str(settings.reports_dir)) from error
    return get_report(report.id, settings=settings)


def _execute(
    file: Path, report: Report, given: Mapping[str, Any], values: Mapping[str, Any], timeout_seconds: float | None
) -> None:
    """Run the notebook, write notebook, provenance and page; a failing cell is raised after they are written."""
    import nbformat

    own = own_parameters(file, given)
    failure: ReportError | None = None
    try:
        filled = {key: values[key] for key in values if key in own}
        execute(file, report.notebook, filled, timeout_seconds=timeout_seconds)
    except ReportError as error:
        failure = error
    executed = nbformat.read(report.notebook, as_version=4)
    provenance = Provenance(
        notebook=report.name,
        notebook_sha256=sha256(file),
        parameters={key: value for key, value in values.items() if key != "home"},
        lake_version=report.lake_version,
        code_version=report.code_version,
        executed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        figures=figures_of(executed),
    )
    provenance.save(report.provenance_file)
    size_bytes = report.notebook.stat().st_size
    shown = too_big(size_bytes) if size_bytes > MAX_NOTEBOOK_BYTES else executed
    title = f"{report.name.replace('_', ' ').capitalize()}, {report.date}"
    report.html.write_text(render_html(shown, title=title, provenance=provenance), encoding="utf-8")
    if failure is not None:
        raise failure


def own_parameters(file: Path, given: Mapping[str, Any]) -> set[str]:
    """Names in the cell of parameters. Raises ReportError where there is no such cell, or a given one is not in it."""
    import nbformat

    source = nbformat.read(file, as_version=4)
    cell = next((cell for cell in source.cells if "parameters" in cell.metadata.get("tags", [])), None)
    if cell is None:
        raise ReportError(
            "the notebook has no cell tagged `parameters`", where=file.name, hint="Tag its first code cell so."
        )
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        raise ReportError(f"its cell of parameters is not Python: {error.msg}", where=file.name) from error
    stored = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    own = {node.id for node in stored}
    unknown = sorted(set(given) - own)
    if unknown:
        free = sorted(own - set(FILLED_IN))
        hint = f"It has: {', '.join(free)}." if free else "It has none of its own."
        raise ReportError(f"the notebook has no parameter {unknown[0]!r}", where=file.name, hint=hint)
    return own
