"""A report leads back to its data: run again from its provenance, it gives the same figures."""

from __future__ import annotations

import json
import subprocess
import sys

from conftest import ROOT

from system.conftest import Workbench, wait_for
from workbench.config import load
from workbench.report import get_report, list_reports

SCRIPT = """
import sys, workbench
wb = workbench.open(sys.argv[1])
samples = wb.catalog["samples"].read()
print(len(samples.head(5)), wb.version, float(wb.query("sum(system_memory_usage_bytes)").max()))
"""


def script(home: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", SCRIPT, home], capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_report_is_kept_listed_and_reproducible(workbench: Workbench):
    settings = load(workbench.home, environ={})
    token = workbench.token("viewer")
    wait_for(lambda: workbench.query("system_cpu_utilization_ratio", token), "this host is measured", 60)
    wait_for(
        lambda: len(workbench.query("count_over_time(system_cpu_load_average_1m[1m]) > 5", token)), "some samples", 60
    )
    from datetime import UTC, datetime

    today = datetime.now(UTC).date().isoformat()
    run = workbench.command("report", "daily_report", "--date", today)
    report = list_reports(settings)[0]
    assert report.status == "done", run.stdout + run.stderr
    assert report.notebook.is_file()
    first = report.provenance()
    assert first.lake_version
    assert first.figures["Memory used, mean"] > 0

    status, page = workbench.get("/reports/", token=token)
    assert status == 200
    assert f"/reports/{report.id}" in page.decode()
    status, html = workbench.get(f"/reports/{report.id}", token=token)
    assert status == 200
    assert f"/reports/{report.id}/page" in html.decode()
    browser = workbench.browser()
    framed = browser.get(f"/to/reports/{report.id}/page")
    browser.close()
    assert framed.status_code == 200
    assert str(framed.url).startswith(workbench.status()["notebook_url"])
    assert first.lake_version in framed.text
    assert "http://" not in framed.text.replace("http://www.w3.org/", "")
    assert "alt=" in framed.text

    # What its foot says to run.
    command = first.command().split()
    assert command[:2] == ["workbench", "report"]
    workbench.command(*command[1:])
    again = list_reports(settings)[0]
    assert again.id != report.id
    assert again.provenance().figures == first.figures
    assert json.dumps(again.provenance().parameters) == json.dumps(first.parameters)
    assert get_report(report.id, settings=settings).lake_version == again.lake_version


def test_the_catalog_opens_in_a_plain_script_running_and_stopped(workbench: Workbench):
    running = script(str(workbench.home))
    assert running.returncode == 0, running.stderr
    assert running.stdout.split()[0] == "5"
    workbench.down()
    stopped = script(str(workbench.home))
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.split()[0] == "5"


def test_a_missing_notebook_names_those_that_exist(workbench: Workbench):
    run = workbench.command("report", "nothing_like_it", check=False)
    assert run.returncode != 0
    assert "daily_report" in run.stderr
    assert "Traceback" not in run.stderr
