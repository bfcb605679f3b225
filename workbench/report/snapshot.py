"""A board's snapshot: its notebook run on a named lake version, as a page that opens at once, put in place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.config import Settings
from workbench.errors import ReportError
from workbench.report.board import board_html, live_numbers
from workbench.report.execute import execute, turn
from workbench.report.kernel import confined
from workbench.report.notebooks import board_about, board_notebooks
from workbench.report.provenance import Provenance, code_version, figures_of, sha256
from workbench.report.run import own_parameters
from workbench.report.snapshots import PAGE, Snapshot, drafted, get_snapshot, mark_failed, pinned, put_in_place
from workbench.store import Lake, attach

MAX_PAGE_BYTES = 4 * 2**20
"""A page beyond this is not there in a second, on a phone least of all."""


def render_snapshot(
    name: str,
    *,
    settings: Settings,
    parameters: Mapping[str, Any] | None = None,
    lake_version: str = "",
    rows: str = "{}",
    timeout_seconds: float | None = 600.0,
) -> Snapshot:
    """Run board `name` and show the result from now on.

    Without `lake_version` everything received so far is sealed first. `rows` are the label matchers of whoever
    publishes it: it is shown to those whose rows contain them. Raises ReportError when a cell fails, a parameter
    is not the notebook's, or the page is too big; what was shown before goes on being shown, and says how old it is.
    """
    known = board_notebooks(settings)
    if name not in known:
        raise ReportError(f"there is no board {name!r}", hint=f"There are: {', '.join(sorted(known)) or 'none'}.")
    file = known[name]
    about = board_about(name, file)
    try:
        if lake_version:
            Lake(settings).manifest(lake_version)
        else:
            with attach(settings) as writer:
                lake_version = writer.seal()
        with pinned(settings, name, lake_version), drafted(settings, name) as folder:
            values = {**(parameters or {}), "lake_version": lake_version}
            with turn, confined(settings, rows):
                provenance = _run(file, folder, values, settings, about["title"], timeout_seconds)
            live = live_numbers((folder / PAGE).read_text(encoding="utf-8"))
            put_in_place(settings, folder, provenance, {**about, "rows": rows}, live)
    except Exception as error:
        # Without the hint: it names places of this machine, and viewers read this.
        said = f"{error.where}: {error.message}" if isinstance(error, ReportError) else str(error)
        mark_failed(settings, name, {**about, "rows": rows}, said)
        raise
    return get_snapshot(name, settings=settings)


def _run(
    file: Path,
    folder: Path,
    values: Mapping[str, Any],
    settings: Settings,
    title: str,
    timeout_seconds: float | None,
) -> Provenance:
    """Execute into `folder` and write its page there."""
    own = own_parameters(file, values)
    given = {**values, "home": str(settings.home)}
    filled = {key: given[key] for key in given if key in own}
    executed = execute(file, folder / file.name, filled, timeout_seconds=timeout_seconds)
    provenance = Provenance(
        notebook=file.stem,
        notebook_sha256=sha256(file),
        parameters=dict(values),
        lake_version=str(values["lake_version"]),
        code_version=code_version(),
        executed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        figures=figures_of(executed),
    )
    page = board_html(executed, title=title, provenance=provenance)
    if len(page.encode()) > MAX_PAGE_BYTES:
        size = f"{len(page) / 1e6:.0f} MB"
        raise ReportError(f"the page has {size}", where=file.name, hint=f"At most {MAX_PAGE_BYTES >> 20} MiB.")
    (folder / PAGE).write_text(page, encoding="utf-8")
    return provenance
