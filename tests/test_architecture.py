"""The house keeps its floors: imports point down, rooms meet through their faces, files stay readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "workbench"
FLOORS = {
    "schema": 0, "config": 0, "errors": 0, "log": 0,
    "store": 1,
    "query": 2,
    "analyze": 3, "govern": 3,
    "alert": 4, "ingest": 4, "sandbox": 4, "stream": 4,
    "report": 5, "show": 5,
    "serve": 6, "cli": 6,
}  # fmt: skip
BESIDE = {
    "collect": {"config", "errors", "log"},
    # It sends as any monitored program does: through the collectors' delivery.
    "simulate": {"schema", "config", "errors", "log", "store", "collect"},
}
GROUND = {"schema", "config", "errors", "log"}
# serve starts the processes that the command line asks for; they are one floor with one direction.
SAME_FLOOR = {("cli", "serve"), ("config", "errors"), ("log", "errors"), ("schema", "errors")}


def room_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(file: Path) -> list[tuple[int, str]]:
    """(line, dotted name below `workbench`) of every import in a file, top level or not."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} uses a relative import"
            if node.module == "workbench":
                found += [(node.lineno, f"workbench.{alias.name}") for alias in node.names]
            elif node.module:
                found.append((node.lineno, node.module))
    return [(line, name.removeprefix("workbench.")) for line, name in found if name.startswith("workbench.")]


SOURCES = sorted(file for file in PACKAGE.rglob("*.py") if "node_modules" not in file.parts)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down_and_enter_by_the_face(file):
    room = room_of(file)
    wrong = []
    for line, name in imports(file):
        other, _, inside = name.partition(".")
        if other in {room, "__version__"}:
            continue
        if room == "install":
            wrong.append(f"{line}: the installer runs before anything is installed, yet imports {name}")
        elif room == "__init__":
            if other != "query":
                wrong.append(f"{line}: the package's face imports {name}")
        elif room in BESIDE:
            if other not in BESIDE[room]:
                wrong.append(f"{line}: {room} knows only {sorted(BESIDE[room])}, yet imports {name}")
        elif room == "cli" and other in BESIDE:
            continue  # the command line starts them, and an incident on the simulated platform
        elif other not in FLOORS:
            wrong.append(f"{line}: {room} imports {name}, which is on no floor")
        elif FLOORS[other] >= FLOORS[room] and (room, other) not in SAME_FLOOR:
            wrong.append(f"{line}: {room} (floor {FLOORS[room]}) imports {name} (floor {FLOORS[other]})")
        if inside and other not in GROUND and (PACKAGE / other).is_dir() and room not in {"install"}:
            path = PACKAGE / other / inside.replace(".", "/")
            # `from workbench.store import x` enters by the face; `workbench.store.x` by the window.
            if (path.with_suffix(".py").exists() or path.is_dir()) and (other, inside) not in {("store", "state")}:
                wrong.append(f"{line}: {room} enters {name} past its face")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_and_functions_stay_readable(file):
    if "migrations" in file.parts:  # a list of columns, never edited after its release
        return
    text = file.read_text()
    assert text.count("\n") <= 450, "split the file: one idea each"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            assert length <= 80, f"{node.name} has {length} lines; say it in smaller steps"


def imported_by(statement: str) -> set[str]:
    """Top-level modules that a statement loads in a fresh interpreter."""
    script = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


def test_importing_the_package_loads_nothing_dear():
    heavy = {"numpy", "pandas", "pyarrow", "numba", "dask", "xarray", "sqlalchemy", "deltalake", "opentelemetry"}
    assert not imported_by("import workbench") & heavy


def test_the_collectors_load_neither_arrow_nor_the_sdk_until_they_run():
    heavy = {"numpy", "pandas", "pyarrow", "numba", "sqlalchemy", "deltalake", "requests"}
    assert not imported_by("import workbench.collect") & heavy
