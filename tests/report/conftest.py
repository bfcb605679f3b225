"""A small home, and notebooks written into it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import nbformat
import numpy as np
import pyarrow as pa
import pytest

from workbench import config
from workbench.report import list_reports
from workbench.schema import KINDS
from workbench.store import Identity, open_writer

NOON_US = 1_795_176_000_000_000  # 2026-11-20 12:00 UTC
PARAMETERS = 'date = ""\nhome = ""\nlake_version = ""\nfactor = 1'


def notebook(settings: config.Settings, name: str, *cells: str, parameters: str | None = PARAMETERS) -> Path:
    """Write a notebook into the home; its first cell holds the parameters, tagged so, unless there are to be none."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(text) for text in (parameters or "1", *cells)]
    if parameters is not None:
        made.cells[0].metadata["tags"] = ["parameters"]
    folder = settings.home / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def measure(settings: config.Settings, values: list[float], *, offset_us: int = 0) -> str:
    """Write samples of one series, one a second from noon on, and seal them: the lake version."""
    with open_writer(settings) as writer:
        (series,) = writer.register([(Identity("otel", "x", "gauge", "1", "", (), ()), "", "")], "test")
        given = {
            "series": pa.array(np.full(len(values), series)),
            "time": pa.array(NOON_US + offset_us + np.arange(len(values)) * 1_000_000),
            "type": pa.array(np.zeros(len(values), np.int8)),
            "value": pa.array(values, pa.float64()),
        }
        schema = KINDS["samples"].schema
        columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(len(values), f.type) for f in schema]
        writer.append({"samples": pa.RecordBatch.from_arrays(columns, schema=schema)}).result()
        return writer.seal()


def wait_for_output(
    settings: config.Settings, text: str, process: subprocess.Popen[bytes], seconds: float = 60
) -> None:
    """Until the notebook of the newest report, which is written after each cell, holds a text."""
    deadline = time.monotonic() + 60
    while not (known := list_reports(settings)) or not _holds(known[0].notebook, text):
        assert process.poll() is None, "it ended before its cell ran"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and text in file.read_text()


@pytest.fixture
def home(tmp_path: Path) -> config.Settings:
    """A home with four samples."""
    made = config.load(tmp_path / "home", environ={})
    measure(made, [1.0, 2.0, 3.0, 4.0])
    return made
