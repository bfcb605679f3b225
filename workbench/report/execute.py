"""Run a notebook in a kernel of its own; what it gave lies in the target, also where a cell failed or time ran out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import ReportError
from workbench.report.kernel import why_ended
from workbench.report.limit import last_cell, time_limit

turn = threading.Lock()
"""Held around `execute`: papermill changes the working directory of the whole process."""


def execute(file: Path, target: Path, parameters: Mapping[str, Any], *, timeout_seconds: float | None = None) -> Any:
    """The executed notebook (nbformat 4), run in the folder of `target`. Raises ReportError, which names the cell."""
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    with time_limit(timeout_seconds) as limit:
        try:
            papermill.execute_notebook(
                str(file),
                str(target),
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                language="python",
                cwd=str(target.parent),
                kernel_manager_class="workbench.report.kernel.IpcKernelManager",
            )
        except papermill.PapermillExecutionError as error:
            raise ReportError(
                f"{error.ename}: {error.evalue}",
                cell=error.cell_index + 1,
                where=f"{file.name}, cell {error.cell_index + 1}",
                hint=f"The notebook with its output so far: {target}",
            ) from error
        except DeadKernelError as error:
            cell = last_cell(nbformat.read(target, as_version=4))
            ended = why_ended() or "The kernel ended by itself."
            what = f"not over within {limit.seconds:g} s" if limit.passed else ended[:1].lower() + ended[1:].rstrip(".")
            raise ReportError(what, cell=cell, where=f"{file.name}, cell {cell}" if cell else file.name) from error
    return nbformat.read(target, as_version=4)
