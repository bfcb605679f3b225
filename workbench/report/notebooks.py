"""The notebooks that can be run by name: the user's own in the home, and those that we ship."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.config import Settings
from workbench.errors import ReportError

SHIPPED = Path(__file__).resolve().parent.parent.parent / "notebooks"
SHIPPED_BOARDS = SHIPPED.parent / "dashboards"
FILLED_IN = ("date", "home", "lake_version")
"""Parameters that a run sets itself."""


def notebooks(settings: Settings) -> dict[str, Path]:
    """Every notebook by its name; the user's own copy takes the place of ours."""
    return _named((SHIPPED, settings.home / "notebooks"))


def board_notebooks(settings: Settings) -> dict[str, Path]:
    """Name -> notebook of every board: those that people published in the home, else those that we ship."""
    return _named((SHIPPED_BOARDS, settings.home / "dashboards"))


def board_about(name: str, file: Path) -> dict[str, Any]:
    """What a board says of itself in its metadata (`workbench`): title, description, whether it may be interactive."""
    import nbformat

    said = nbformat.read(file, as_version=4).metadata.get("workbench", {})
    return {
        "title": str(said.get("title", name.replace("_", " ").capitalize())),
        "description": str(said.get("description", "")),
        "interactive": said.get("interactive") is True,
    }


def notebook_file(name: str, settings: Settings) -> Path:
    """The notebook of that name. Raises ReportError."""
    known = notebooks(settings)
    # Only names that a listing gives: a path is none of them.
    if name not in known:
        raise ReportError(f"there is no notebook {name!r}", hint=f"There are: {', '.join(sorted(known))}.")
    return known[name]


def _named(places: Iterable[Path]) -> dict[str, Path]:
    found = {file.stem: file for place in places for file in sorted(place.glob("*.ipynb")) if file.is_file()}
    # A link out of the folder would show what nobody published.
    return {name: file for name, file in found.items() if file.resolve().is_relative_to(file.parent.resolve())}
