"""Snapshots of boards: replaced at once and whole, pinned to their data, kept where a later run fails."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
import sqlalchemy as sa
import yaml

from workbench import config
from workbench.errors import ReportError
from workbench.report import board_notebooks, get_snapshot, list_snapshots, live_dir, render_snapshot
from workbench.store import state

PARAMETERS = 'home = ""\nlake_version = ""\nfail = False'
LIVE = """
from workbench.report import Kpi, Live, kpis, show_figures
import workbench
wb = workbench.open(home, version=lake_version)
show_figures({"Samples": len(wb.table("samples"))})
kpis([Kpi("Load", "1", live=Live("now", "x", "load"))])
"""


def board(settings: config.Settings, name: str, *cells: str, parameters: str = PARAMETERS, **about: object) -> Path:
    """Publish a board into the home."""
    made = nbformat.v4.new_notebook(metadata={"workbench": about})
    made.cells = [nbformat.v4.new_code_cell(text) for text in (parameters, *cells)]
    made.cells[0].metadata["tags"] = ["parameters"]
    folder = settings.home / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def pins(settings: config.Settings) -> dict[str, str]:
    with state.engine(settings).connect() as connection:
        return {row.holder: row.lake_version for row in connection.execute(sa.select(state.pins))}


def folders(settings: config.Settings) -> list[str]:
    entries = settings.snapshots_dir.iterdir()
    return sorted(entry.name for entry in entries if entry.is_dir() and entry.name != "live")


def test_a_snapshot_replaces_the_last_one_and_outlives_a_run_that_fails(home):
    board(home, "load", LIVE, "assert not fail, 'as asked'", title="Load", interactive=True)
    first = render_snapshot("load", settings=home, rows='{__name__="x_ratio"}')
    assert first.page is not None
    assert "Load" in first.page.read_text()
    assert first.provenance is not None
    assert first.provenance.figures == {"Samples": 4}
    assert (first.title, first.interactive, first.rows) == ("Load", True, '{__name__="x_ratio"}')
    assert pins(home) == {"snapshot:load": first.provenance.lake_version}
    dashboard = yaml.safe_load((live_dir(home) / "board_load.yaml").read_text())
    assert dashboard["sections"][0]["tiles"][0]["expr"] == "x"
    assert dashboard["sections"][0]["tiles"][0]["unit"] == "load"

    second = render_snapshot("load", settings=home)
    assert folders(home) == [second.folder.name] != [first.folder.name]
    assert pins(home) == {"snapshot:load": second.provenance.lake_version}

    with pytest.raises(ReportError, match="as asked"):
        render_snapshot("load", settings=home, parameters={"fail": True})
    kept = get_snapshot("load", settings=home)
    assert kept.page == second.page
    assert kept.page.is_file()
    assert kept.executed_us == second.executed_us < kept.failed_us
    assert "as asked" in kept.error
    assert str(home.home) not in kept.error, "viewers read it"
    assert folders(home) == [second.folder.name]
    assert pins(home) == {"snapshot:load": second.provenance.lake_version}


def test_a_board_that_never_ran_through_says_why(home):
    board(home, "broken", "1 / 0")
    with pytest.raises(ReportError, match="ZeroDivisionError"):
        render_snapshot("broken", settings=home)
    (only,) = list_snapshots(home)
    assert only.page is None
    assert "ZeroDivisionError" in only.error
    assert folders(home) == []
    assert pins(home) == {}


def test_a_board_that_cannot_name_its_data_is_refused_before_it_runs(home):
    board(home, "loose", "1", parameters="factor = 2")
    with pytest.raises(ReportError, match="lake_version"):
        render_snapshot("loose", settings=home)
    assert pins(home) == {}


def test_an_unknown_board_is_refused_with_those_there_are(home):
    with pytest.raises(ReportError, match="executive"):
        render_snapshot("nothing", settings=home)


def test_a_link_out_of_the_folder_is_no_board(home, tmp_path):
    outside = board(home, "inside", "1").rename(tmp_path / "outside.ipynb")
    (home.home / "dashboards" / "inside.ipynb").symlink_to(outside)
    assert "inside" not in board_notebooks(home)


def test_the_executive_board_stands_although_there_is_hardly_any_data(home):
    made = render_snapshot("executive", settings=home)
    assert made.interactive
    page = made.page.read_text()
    assert "There is no platform data yet." in page
    assert "no goal set" in page
    assert "Traceback" not in page
    assert len(made.live) >= 5
