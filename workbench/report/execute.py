"""Run a notebook in a kernel of its own; what it gave lies in the target, also where a cell failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import ReportError


def execute(file: Path, target: Path, parameters: Mapping[str, Any]) -> Any:
    """The executed notebook (nbformat 4). Raises ReportError, which names the cell that failed."""
    import nbformat
    import papermill

    try:
        papermill.execute_notebook(
            str(file),
            str(target),
            parameters=dict(parameters),
            kernel_name="python3",
            progress_bar=False,
            language="python",
            kernel_manager_class="workbench.report.kernel.IpcKernelManager",
        )
    except papermill.PapermillExecutionError as error:
        raise ReportError(
            f"{error.ename}: {error.evalue}",
            cell=error.cell_index + 1,
            where=f"{file.name}, cell {error.cell_index + 1}",
        ) from error
    return nbformat.read(target, as_version=4)
