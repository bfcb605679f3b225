"""Workbench: monitoring and analysis of an AI content platform, in notebooks, pages and reports.

`workbench.open()` is the way in from a notebook or a script; `workbench.sql()` asks one question at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from workbench.query import Workbench

__version__ = "0.1.0"


def open(home: Path | str | None = None, *, version: str | None = None) -> Workbench:
    """Open the workbench at `home` (default: as `workbench up` would find it) for reading, running or stopped.

    `version` names a lake version; the same version gives the same numbers. Raises VersionGone if it is not kept.
    """
    from workbench.query import open_workbench

    return open_workbench(home, version=version)


def sql(text: str) -> pd.DataFrame:
    """Answer a SELECT over the tables of the default workbench, as pandas: `workbench.open().sql(text)`."""
    return open().sql(text)


def load_ipython_extension(shell: object) -> None:
    """`%load_ext workbench`: `%%promql`, `%%sql`, completion of names, bars, plain errors."""
    from workbench.query import load_extension

    load_extension(shell)


__all__ = ["__version__", "load_ipython_extension", "open", "sql"]
