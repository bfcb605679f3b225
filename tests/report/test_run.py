"""A report is a notebook run on a named lake version: kept whole, also when it fails, and reproducible."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa
from conftest import ROOT

from report.conftest import measure, notebook, wait_for_output
from workbench.errors import ReportError, VersionGone
from workbench.report import get_report, list_reports, run_report
from workbench.store import state

DAY = date(2026, 11, 20)
COUNT = """
import workbench
from workbench.report import show_figures
wb = workbench.open(home, version=lake_version)
samples = wb.table("samples").to_pandas()
show_figures({"samples": len(samples), "sum": float(samples["value"].sum() * factor), "day": date})
"""
RUN = """
import sys
from pathlib import Path
from workbench import config
from workbench.report import run_report
run_report("slow", settings=config.load(Path(sys.argv[1]), environ={}))
"""


def pinned(settings) -> dict[str, str]:
    """Holder of a pin -> lake version."""
    with state.engine(settings).connect() as connection:
        return {row.holder: row.lake_version for row in connection.execute(sa.select(state.pins))}


def test_parameters_reach_it_and_run_again_it_gives_the_same_though_more_has_come(home):
    notebook(home, "count", COUNT)
    first = run_report("count", settings=home, day=DAY, parameters={"factor": 10})
    assert first.status == "done"
    provenance = first.provenance()
    assert provenance.figures == {"samples": 4, "sum": 100.0, "day": "2026-11-20"}
    assert provenance.parameters == {"date": "2026-11-20", "factor": 10, "lake_version": first.lake_version}
    assert provenance.lake_version == first.lake_version
    assert provenance.command().endswith(f"--date 2026-11-20 --lake-version {first.lake_version} -p factor=10")
    assert first.notebook.is_file()
    assert first.lake_version in first.html.read_text()

    measure(home, [100.0], offset_us=-3_600_000_000)  # late, for the same day
    again = run_report("count", settings=home, day=DAY, parameters={"factor": 10}, lake_version=first.lake_version)
    assert again.provenance().figures == provenance.figures
    newest = run_report("count", settings=home, day=DAY)
    assert newest.provenance().figures["samples"] == 5
    assert [one.id for one in list_reports(home)] == [newest.id, again.id, first.id]
    assert pinned(home) == {f"report:{one.id}": one.lake_version for one in (first, again, newest)}


def test_a_failing_cell_is_named_and_its_output_kept(home):
    notebook(home, "broken", 'print("so far, so good")', "1 / 0", 'print("never")')
    with pytest.raises(ReportError, match=r"broken.ipynb, cell 4: ZeroDivisionError") as raised:
        run_report("broken", settings=home, day=DAY)
    assert raised.value.cell == 4, "papermill's own cell with the parameters counts"
    (report,) = list_reports(home)
    assert report.status == "failed"
    assert report.error == "broken.ipynb, cell 4: ZeroDivisionError: division by zero"
    assert str(home.home) not in report.error, "viewers read it"
    for kept in (report.html, report.notebook):
        assert "so far, so good" in kept.read_text()
    assert report.provenance().figures == {}


def test_a_notebook_without_parameters_cell_is_refused(home):
    notebook(home, "plain", "1 + 1", parameters=None)
    with pytest.raises(ReportError, match="no cell tagged `parameters`"):
        run_report("plain", settings=home, day=DAY)
    (report,) = list_reports(home)
    assert report.status == "failed"
    assert report.folder.stat().st_mode & 0o077 == 0, "closed to others"
    with pytest.raises(ReportError, match="before its provenance was written"):
        report.provenance()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"factr": 2}, "no parameter 'factr'.*It has: factor"),
        ({"date": "2020-01-01"}, "'date' is filled in"),
        ({"lake_version": "x"}, "'lake_version' is filled in"),
        ({"x = 1; import os": 2}, "no parameter"),
    ],
)
def test_parameters_that_are_not_the_notebooks_are_refused(home, parameters, words: str):
    notebook(home, "count", COUNT)
    with pytest.raises(ReportError, match=words):
        run_report("count", settings=home, day=DAY, parameters=parameters)


def test_a_version_that_is_not_there_says_so_and_is_not_pinned(home):
    notebook(home, "count", COUNT)
    with pytest.raises(VersionGone, match=r"999999-00000000"):
        run_report("count", settings=home, day=DAY, lake_version="999999-00000000")
    assert list_reports(home) == []
    assert pinned(home) == {}


@pytest.mark.parametrize(
    "name", ["../count", "/etc/passwd", "a/../../count", "", "nothing", ".", "count.ipynb", "link"]
)
def test_only_notebooks_of_the_two_folders_run(home, name: str):
    file = notebook(home, "count", COUNT)
    shutil.copy(file, home.home / "count.ipynb")
    (file.parent / "link.ipynb").symlink_to(home.home / "count.ipynb")
    with pytest.raises(ReportError, match="there is no notebook") as raised:
        run_report(name, settings=home, day=DAY)
    assert "daily_report" in raised.value.hint


def test_the_users_copy_goes_before_ours_and_secrets_do_not_reach_it(home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_ALERT_NOTIFY", "mailto://user:password@mail.example.org")
    monkeypatch.setenv("SOME_TOKEN", "swordfish")
    notebook(home, "daily_report", 'import os\nprint("\\n".join(f"{k}={v}" for k, v in os.environ.items()))')
    seen = run_report("daily_report", settings=home, day=DAY).notebook.read_text()
    assert "PATH=" in seen
    assert "password" not in seen
    assert "swordfish" not in seen


def test_at_once_in_one_process_and_in_two_they_are_reports_of_their_own(home):
    notebook(home, "count", COUNT)
    notebook(home, "slow", 'print("quick")')
    process = subprocess.Popen([sys.executable, "-c", RUN, str(home.home)], cwd=ROOT)
    with ThreadPoolExecutor(2) as pool:
        two = list(pool.map(lambda factor: run_report("count", settings=home, day=DAY, parameters=factor),
                            ({"factor": 1}, {"factor": 2})))  # fmt: skip
    assert [one.status for one in two] == ["done", "done"]
    assert [one.provenance().figures["sum"] for one in two] == [10.0, 20.0]
    assert process.wait(60) == 0
    assert [one.status for one in list_reports(home)] == ["done"] * 3
    assert len({one.folder for one in list_reports(home)}) == 3
    files = {".running", "count.html", "count.ipynb", "provenance.json"}
    assert {file.name for file in two[0].folder.iterdir()} == files, "no socket is left"


def test_thirty_are_kept_and_the_rest_goes_with_pin_and_folder_though_the_newest_failed(home):
    engine = state.engine(home)
    with engine.begin() as connection:
        for number in range(31):
            folder = home.reports_dir / f"old-{number}"
            folder.mkdir(parents=True)
            row = {"name": "plain", "date": "2026-11-01", "parameters": {}, "lake_version": f"v{number}",
                   "code_version": "0", "status": "done", "started_us": number, "folder": folder.name}  # fmt: skip
            made = connection.execute(sa.insert(state.reports).values(row).returning(state.reports.c.id)).scalar_one()
            pin = {"lake_version": f"v{number}", "holder": f"report:{made}", "created_us": number}
            connection.execute(sa.insert(state.pins).values(pin))
    notebook(home, "plain", parameters=None)
    with pytest.raises(ReportError):
        run_report("plain", settings=home, day=DAY)
    kept = list_reports(home)
    assert len(kept) == 30
    assert kept[0].status == "failed"
    assert sorted(folder.name for folder in home.reports_dir.glob("old-*")) == sorted(f"old-{n}" for n in range(2, 31))
    assert set(pinned(home).values()) == {kept[0].lake_version, *(f"v{number}" for number in range(2, 31))}


def test_a_run_that_was_killed_is_told_from_one_that_runs(home):
    notebook(home, "slow", "print('be' + 'gun')", "import time; time.sleep(600)")
    process = subprocess.Popen([sys.executable, "-c", RUN, str(home.home)], cwd=ROOT, start_new_session=True)
    try:
        wait_for_output(home, "begun", process)
        assert list_reports(home)[0].status == "running"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert list_reports(home)[0].status == "interrupted"


@pytest.mark.parametrize("where", ["workbench.report.run.render_html", "papermill.execute_notebook"])
def test_a_full_disk_is_called_by_its_name(home, monkeypatch, where: str):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    notebook(home, "nothing_much")
    monkeypatch.setattr(where, full)
    with pytest.raises(ReportError, match="could not be written: the disk is full"):
        run_report("nothing_much", settings=home, day=DAY)
    assert list_reports(home)[0].status == "failed"


def test_an_unknown_report_says_so(home):
    with pytest.raises(ReportError, match="no report 77"):
        get_report(77, settings=home)
