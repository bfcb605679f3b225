"""Every notebook that we ship runs from top to bottom; on a Dask cluster it gives the same figures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from conftest import ROOT

from workbench import config
from workbench.report.provenance import figures_of

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK: dict[str, dict[str, Any]] = {
    "explore_host": {"hours": 48},
    "forecast_prototype": {"step_minutes": 60, "folds": 4, "bayesian_folds": 0},
}
"""Parameters by which they run in seconds."""


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    """Kernels run the code under test, and keep to themselves."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Dask cluster with two workers, processes of their own."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, memory_limit=0
    ) as made:
        yield made.scheduler_address


def run(name: str, folder: Path, **parameters: Any) -> Any:
    """The executed notebook."""
    file = ROOT / "notebooks" / f"{name}.ipynb"
    papermill.execute_notebook(
        str(file), str(folder / file.name), parameters=parameters, kernel_name="python3", progress_bar=False,
        cwd=str(folder), start_timeout=120,
    )  # fmt: skip
    return nbformat.read(folder / file.name, as_version=4)


def shown(notebook: Any) -> str:
    """All texts that the cells displayed."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            found += [output.get("text", ""), data.get("text/markdown", ""), data.get("text/html", "")]
    return "\n".join(found)


def own_parameters(home: tuple[config.Settings, str], name: str) -> dict[str, Any]:
    settings, version = home
    return {"home": str(settings.home), "lake_version": version, **QUICK.get(name, {})}


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_shipped_notebook_is_clean(file):
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "shipped without results"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    (parameters,) = [cell.source for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert {"home", "lake_version"} <= set(dict.fromkeys(line.split(" = ")[0] for line in parameters.splitlines()))
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", ["start", "explore_host", "large_data"])
def test_it_runs_and_gives_the_same_figures_on_a_cluster(home, tmp_path, cluster, name):
    parameters = own_parameters(home, name)
    here = run(name, tmp_path, **parameters)
    assert "Traceback" not in shown(here)
    figures = figures_of(here)
    assert len(figures) >= 2
    if name == "large_data":
        assert figures["Samples"] == 8 * 5 * 720
        assert "50% of the series are simulated" in shown(here)
    if name != "start":
        there = run(name, tmp_path, **parameters, cluster=cluster)
        assert figures_of(there) == pytest.approx(figures, rel=1e-9)


def test_the_forecast_finds_the_season_and_says_what_its_intervals_held(home, tmp_path, cluster):
    parameters = own_parameters(home, "forecast_prototype")
    found = run("forecast_prototype", tmp_path, **{**parameters, "bayesian_folds": 1, "draws": 50})
    figures, text = figures_of(found), shown(found)
    assert "bayesian" in text
    assert figures["Mean error of theta"] < figures["Mean error of naive"]
    assert "intervals of" in text
    assert "better than the naive forecast" in text
    there = run("forecast_prototype", tmp_path, **parameters, cluster=cluster)
    assert figures_of(there) == pytest.approx(figures, rel=1e-6)


def test_a_short_history_is_said_to_be_too_short(tmp_path):
    settings = config.load(tmp_path / "home", environ={})
    found = run("forecast_prototype", tmp_path, home=str(settings.home))
    assert "The history is too short: 0.0 hours" in shown(found)
