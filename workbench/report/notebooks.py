"""The notebooks that can be run by name: the user's own in the home, and those that we ship."""

from __future__ import annotations

from pathlib import Path

from workbench.config import Settings
from workbench.errors import ReportError

SHIPPED = Path(__file__).resolve().parent.parent.parent / "notebooks"
FILLED_IN = ("date", "home", "lake_version")
"""Parameters that a run sets itself."""


def notebooks(settings: Settings) -> dict[str, Path]:
    """Every notebook by its name; the user's own copy takes the place of ours."""
    places = (SHIPPED, settings.home / "notebooks")
    found = {file.stem: file for place in places for file in place.glob("*.ipynb") if file.is_file()}
    # A link out of the folder is none of them.
    return {name: file for name, file in found.items() if file.resolve().is_relative_to(file.parent.resolve())}


def notebook_file(name: str, settings: Settings) -> Path:
    """The notebook of that name. Raises ReportError."""
    known = notebooks(settings)
    # Only names that a listing gives: a path is none of them.
    if name not in known:
        raise ReportError(f"there is no notebook {name!r}", hint=f"There are: {', '.join(sorted(known))}.")
    return known[name]
