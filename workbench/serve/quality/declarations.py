"""The files of checks in force: ours, and those in `quality/` of the home, of which one replaces ours of its name."""

from __future__ import annotations

from pathlib import Path

from workbench.analyze import SeriesCheck, TableCheck, read_declarations
from workbench.config import Settings
from workbench.errors import InputError

SHIPPED = Path(__file__).parent / "shipped"


def quality_files(settings: Settings) -> list[Path]:
    """All files in force, by name."""
    own = {
        file.name: file
        for pattern in ("*.yaml", "*.yml")
        for file in (settings.home / "quality").glob(pattern)
        if not file.name.startswith(".")
    }
    return [file for _, file in sorted({**{file.name: file for file in SHIPPED.glob("*.yaml")}, **own}.items())]


def read_checks(files: list[Path]) -> tuple[list[SeriesCheck | TableCheck], list[str]]:
    """All checks of the files that can be read, and the faults of the others, which take no good one down."""
    checks: list[SeriesCheck | TableCheck] = []
    faults: list[str] = []
    for file in files:
        try:
            found = read_declarations(file.read_text(encoding="utf-8"), str(file))
        except InputError as error:
            faults.append(f"{file.name}: {error.message}")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{file.name}: not readable: {error}")
        else:
            checks += found
    twice = {(c.source, c.name) for c in checks if sum((o.source, o.name) == (c.source, c.name) for o in checks) > 1}
    faults += [f"check {name!r} of {source!r} is declared in two files" for source, name in sorted(twice)]
    return [check for check in checks if (check.source, check.name) not in twice], faults
