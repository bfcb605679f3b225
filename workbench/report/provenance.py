"""Where a figure comes from: notebook, parameters, lake version, code version."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import workbench

FIGURES_TYPE = "application/vnd.workbench.figures+json"
"""Media type under which a notebook displays the figures it stands for: {name: number or text}."""


@dataclass(frozen=True)
class Provenance:
    """All that is needed to get the same figures again. `notebook_sha256` is of the notebook before it was run."""

    notebook: str
    notebook_sha256: str
    parameters: dict[str, Any]
    lake_version: str
    code_version: str
    executed_at: str
    figures: dict[str, Any]

    def command(self) -> str:
        """The command that runs the same notebook on the same data."""
        extra = "".join(
            f" -p {key}={value}"
            for key, value in sorted(self.parameters.items())
            if key not in {"home", "date", "lake_version"}
        )
        day = self.parameters.get("date", "")
        return f"workbench report {self.notebook} --date {day} --lake-version {self.lake_version}{extra}"

    def save(self, file: Path) -> None:
        """Write as JSON."""
        file.write_text(json.dumps(asdict(self), indent=2, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Provenance:
        """Read what `save` wrote."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))


def code_version() -> str:
    """Version of the package, and of the checkout where it runs from one: `0.1.0+3fa4c21` (`.dirty` if edited)."""
    root = Path(workbench.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return workbench.__version__

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return run.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    dirty = ".dirty" if git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{workbench.__version__}+{commit}{dirty}" if commit else workbench.__version__


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def figures_of(notebook: Any) -> dict[str, Any]:
    """All figures that the cells of an executed notebook displayed; a later cell wins over an earlier one."""
    found: dict[str, Any] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found.update(output.get("data", {}).get(FIGURES_TYPE, {}))
    return found
