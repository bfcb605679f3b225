"""A report is a notebook run on a named lake version: kept whole, also when it fails, and reproducible."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import nbformat
import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from conftest import ROOT

from workbench import config
from workbench.errors import ReportError, VersionGone
from workbench.report import get_report, list_reports, render_html, run_report
from workbench.schema import KINDS
from workbench.store import Identity, open_writer, state

DAY = date(2026, 11, 20)
NOON_US = 1_795_176_000_000_000  # 2026-11-20 12:00 UTC

PARAMETERS = 'date = ""\nhome = ""\nlake_version = ""\nfactor = 1'
COUNT = """
import workbench
from workbench.report import show_figures
wb = workbench.open(home, version=lake_version)
samples = wb.table("samples").to_pandas()
show_figures({"samples": len(samples), "sum": float(samples["value"].sum() * factor), "day": date})
"""


def notebook(settings: config.Settings, name: str, *cells: str, tagged: bool = True) -> None:
    """Write a notebook into the home whose first cell holds the parameters."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(text) for text in (PARAMETERS, *cells)]
    if tagged:
        made.cells[0].metadata["tags"] = ["parameters"]
    folder = settings.home / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, folder / f"{name}.ipynb")


def measure(settings: config.Settings, values: list[float], *, offset_us: int = 0) -> str:
    """Write samples of one series and seal them."""
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


@pytest.fixture
def home(tmp_path: Path) -> config.Settings:
    """A home with four samples, open to kernels through their environment."""
    made = config.load(tmp_path / "home", environ={})
    measure(made, [1.0, 2.0, 3.0, 4.0])
    return made


def test_parameters_reach_it_and_figures_come_back(home):
    notebook(home, "count", COUNT)
    report = run_report("count", settings=home, day=DAY, parameters={"factor": 10})
    assert report.status == "done"
    provenance = report.provenance()
    assert provenance.figures == {"samples": 4, "sum": 100.0, "day": "2026-11-20"}
    assert provenance.lake_version == report.lake_version
    assert provenance.parameters == {"date": "2026-11-20", "factor": 10, "lake_version": report.lake_version}
    assert report.notebook.is_file()
    assert report.lake_version in report.html.read_text()
    assert [one.id for one in list_reports(home)] == [report.id]


def test_run_again_it_gives_the_same_figures_though_more_has_come(home):
    notebook(home, "count", COUNT)
    first = run_report("count", settings=home, day=DAY)
    measure(home, [100.0], offset_us=-3_600_000_000)  # late, for the same day
    again = run_report("count", settings=home, day=DAY, lake_version=first.lake_version)
    newest = run_report("count", settings=home, day=DAY)
    assert again.provenance().figures == first.provenance().figures
    assert newest.provenance().figures["samples"] == 5


def test_a_failing_cell_is_named_and_its_output_kept(home):
    notebook(home, "broken", 'print("so far, so good")', "1 / 0", 'print("never")')
    with pytest.raises(ReportError) as raised:
        run_report("broken", settings=home, day=DAY)
    assert raised.value.cell == 4, "papermill's own cell with the parameters counts"
    assert "ZeroDivisionError" in str(raised.value)
    (report,) = list_reports(home)
    assert report.status == "failed"
    assert "ZeroDivisionError" in report.error
    assert "so far, so good" in report.html.read_text()
    assert "so far, so good" in report.notebook.read_text()


def test_a_notebook_without_parameters_cell_is_refused(home):
    notebook(home, "plain", "1 + 1", tagged=False)
    with pytest.raises(ReportError, match="parameters"):
        run_report("plain", settings=home, day=DAY)
    assert list_reports(home)[0].status == "failed"


def test_a_version_that_is_gone_says_so(home):
    notebook(home, "count", COUNT)
    with pytest.raises((ReportError, VersionGone), match=r"999999-00000000"):
        run_report("count", settings=home, day=DAY, lake_version="999999-00000000")


@pytest.mark.parametrize("name", ["../count", "/etc/passwd", "a/../../count", "", "nothing"])
def test_only_notebooks_of_the_two_folders_run(home, name: str):
    notebook(home, "count", COUNT)
    shutil.copy(home.home / "notebooks" / "count.ipynb", home.home / "count.ipynb")
    with pytest.raises(ReportError, match="there is no notebook"):
        run_report(name, settings=home, day=DAY)


def test_the_users_copy_goes_before_ours(home):
    notebook(home, "daily_report", 'from workbench.report import show_figures\nshow_figures({"mine": 1})')
    assert run_report("daily_report", settings=home, day=DAY).provenance().figures == {"mine": 1}


def test_secrets_do_not_reach_the_kernel(home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_ALERT_NOTIFY", "mailto://user:password@mail.example.org")
    monkeypatch.setenv("SOME_TOKEN", "swordfish")
    notebook(home, "look", 'import os\nprint("\\n".join(f"{k}={v}" for k, v in os.environ.items()))')
    report = run_report("look", settings=home, day=DAY)
    seen = report.notebook.read_text()
    assert "PATH=" in seen
    assert "password" not in seen
    assert "swordfish" not in seen


def test_thirty_are_kept_and_the_rest_goes_with_pin_and_folder(home):
    engine = state.engine(home)
    with engine.begin() as connection:
        for number in range(31):
            folder = home.reports_dir / f"old-{number}"
            folder.mkdir(parents=True)
            row = {"name": "count", "date": "2026-11-01", "parameters": {}, "lake_version": f"v{number}",
                   "code_version": "0", "status": "done", "started_us": number, "folder": folder.name}  # fmt: skip
            made = connection.execute(sa.insert(state.reports).values(row).returning(state.reports.c.id)).scalar_one()
            pin = {"lake_version": f"v{number}", "holder": f"report:{made}", "created_us": number}
            connection.execute(sa.insert(state.pins).values(pin))
    notebook(home, "count", COUNT)
    newest = run_report("count", settings=home, day=DAY)
    kept = list_reports(home)
    assert len(kept) == 30
    assert kept[0].id == newest.id
    assert not (home.reports_dir / "old-0").exists()
    assert not (home.reports_dir / "old-1").exists()
    assert (home.reports_dir / "old-2").exists()
    with engine.connect() as connection:
        pinned = set(connection.execute(sa.select(state.pins.c.lake_version)).scalars())
    assert newest.lake_version in pinned
    assert {"v0", "v1"}.isdisjoint(pinned)
    assert "v2" in pinned


RUN = """
import sys
from pathlib import Path
from workbench import config
from workbench.report import run_report
run_report("slow", settings=config.load(Path(sys.argv[1]), environ={}))
"""


def test_a_run_that_was_killed_is_told_from_one_that_runs(home):
    marker = home.home / "started"
    notebook(home, "slow", f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(600)")
    process = subprocess.Popen([sys.executable, "-c", RUN, str(home.home)], cwd=ROOT, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert list_reports(home)[0].status == "running"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert list_reports(home)[0].status == "interrupted"


def test_an_unknown_report_says_so(home):
    with pytest.raises(ReportError, match="no report 77"):
        get_report(77, settings=home)


HOSTILE = [
    '<script src="https://evil.example/x.js"></script>',
    '<img src="https://evil.example/pixel.png">',
    '<link rel="stylesheet" href="//evil.example/x.css">',
    '<iframe src="https://evil.example/"></iframe>',
    '<meta http-equiv="refresh" content="0; url=https://evil.example/">',
    "</main></body><script>parent.location = 'https://evil.example'</script>",
    "<style>@import url(https://evil.example/x.css);</style>",
    '<svg><image href="https://evil.example/x.png"/></svg>',
    '<object data="https://evil.example/x"></object>',
    '<form action="https://evil.example/"><button>press</button></form>',
]


@pytest.mark.parametrize("html", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_that_a_cell_shows_loads_or_runs(html: str):
    made = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": f"<p>kept</p>{html}"})]
    made.cells = [cell, nbformat.v4.new_markdown_cell(f"# Title\n\n{html}\n\nand [a link](https://good.example/)")]
    page = render_html(made, title="Hostile")
    assert "<p>kept</p>" in page
    assert "evil.example" not in page
    assert "<script" not in page
    assert "</footer>" not in page.split("</main>")[0]
