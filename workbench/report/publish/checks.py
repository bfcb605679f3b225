"""What a notebook must be like before others see it, each demand checked and told in words."""

from __future__ import annotations

import ast
import re
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.config import Settings
from workbench.errors import InputError, WorkbenchError
from workbench.report.board import board_html
from workbench.report.execute import execute, turn
from workbench.report.jobs.values import parameters_of
from workbench.report.kernel import confined
from workbench.report.provenance import Provenance
from workbench.report.publish.publications import Check
from workbench.report.publish.secrets import secrets_in
from workbench.report.render import render_html
from workbench.store import attach

MAX_SOURCE_BYTES = 2_000_000
MAX_PAGE_BYTES = {"board": 4 * 2**20, "report": 16 * 2**20, "job": 16 * 2**20}
MAX_SECONDS = {"board": 120, "report": 600, "job": 600}
FOREIGN_PATH = re.compile(r"^(?:/(?:home|Users|root|tmp|var|mnt|media|opt|etc|srv|data)/|~/|[A-Za-z]:[\\/])")
"""How a path begins that is there on its writer's machine alone."""


def static_checks(notebook: Path, kind: str) -> Iterator[Check]:
    """What can be seen without running it: parameters, secrets, paths, size. Raises InputError for no notebook."""
    import nbformat

    size_bytes = notebook.stat().st_size
    own = parameters_of(notebook)
    wanted = {"home", "lake_version"} | ({"date"} if kind == "job" else set())
    if own is None:
        yield Check("parameters", False, "no cell is tagged `parameters`; tag the first code cell so")
    elif missing := sorted(wanted - set(own)):
        yield Check("parameters", False, f"the cell of parameters does not assign {', '.join(missing)}")
    else:
        yield Check("parameters", True, f"it has {', '.join(own)}")
    cells = nbformat.read(notebook, as_version=4).cells
    secrets = [f"cell {at}, line {line}: {what}" for at, cell in enumerate(cells, 1) for line, what in _secrets(cell)]
    yield Check("no secrets", not secrets, "; ".join(secrets[:10]) or "none found")
    paths = [
        f"cell {at}, line {line}: {path!r}"
        for at, cell in enumerate(cells, 1)
        if cell.cell_type == "code"
        for line, path in foreign_paths(cell.source)
    ]
    yield Check("no paths of one machine", not paths, "; ".join(paths[:10]) or "none found")
    source_bytes = sum(len(cell.source.encode()) for cell in cells)
    fits = source_bytes <= MAX_SOURCE_BYTES
    yield Check("size", fits, f"{source_bytes / 1000:.0f} kB of cells in {size_bytes / 1000:.0f} kB")


def trial(notebook: Path, kind: str, settings: Settings, rows: str = "{}") -> Iterator[Check]:
    """What only a run shows: it ends well on the data of now, in time, and its page is not too large.

    It sees the rows that meet the matchers `rows`. Nothing of it is kept.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-trial-") as name:
        target = Path(name) / "trial.ipynb"
        began = time.monotonic()
        try:
            with attach(settings) as writer:
                lake_version = writer.seal()
            day = datetime.now(UTC).date().isoformat()
            values = {"date": day, "home": str(settings.home), "lake_version": lake_version}
            own = parameters_of(notebook) or {}
            given = {key: value for key, value in values.items() if key in own}
            with turn, confined(settings, rows):
                executed = execute(notebook, target, given, timeout_seconds=MAX_SECONDS[kind])
        except WorkbenchError as error:
            # Counted as its writer sees them: papermill put one before those that follow the parameters.
            cell = max(getattr(error, "cell", 0) - 1, 0)
            yield Check("runs on the data of now", False, f"cell {cell}: {error.message}" if cell else error.message)
            return
        seconds = time.monotonic() - began
        yield Check("runs on the data of now", True, f"in {seconds:.0f} s, at most {MAX_SECONDS[kind]} s")
        if kind == "board":
            page = board_html(executed, title="Trial", provenance=_nowhere(given, lake_version))
        else:
            page = render_html(executed, title="Trial")
    size_bytes, most = len(page.encode()), MAX_PAGE_BYTES[kind]
    yield Check("size of the page", size_bytes <= most, f"{size_bytes / 1000:.0f} kB, at most {most >> 20} MiB")


def _nowhere(given: dict[str, Any], lake_version: str) -> Provenance:
    """The provenance of a page that nobody keeps."""
    return Provenance("trial", "", given, lake_version, "", "", {})


def foreign_paths(source: str) -> Iterator[tuple[int, str]]:
    """(1-based line, path) of each text in a cell of Python that is a path of one machine."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and FOREIGN_PATH.match(node.value):
            yield node.lineno, node.value[:80]


def stripped(notebook: Path, *, title: str = "", about: str = "") -> str:
    """The notebook without what its runs left in it: nobody's output is published by mistake.

    `title` and `about` are written into its metadata, where boards read them. Raises InputError.
    """
    import nbformat

    try:
        read = nbformat.read(notebook, as_version=4)
    except Exception as error:  # nbformat raises whatever its parts do
        raise InputError("is no notebook that can be read", where=notebook.name) from error
    for cell in read.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
            cell.metadata.pop("papermill", None)
    read.metadata.pop("papermill", None)
    said = {key: text for key, text in (("title", title), ("description", about)) if text}
    if said:
        read.metadata["workbench"] = {**read.metadata.get("workbench", {}), **said}
    return str(nbformat.writes(read))


def _secrets(cell: Any) -> Iterator[tuple[int, str]]:
    yield from secrets_in(cell.source)
