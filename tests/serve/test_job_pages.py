"""The pages of the jobs: what they say, what their buttons do, and who may open them."""

from __future__ import annotations

import html
import re

import pytest
from report.conftest import notebook
from starlette.applications import Starlette
from starlette.testclient import TestClient

from workbench.report import claim, disabled_jobs, enqueue, job_files, last_runs, list_runs, read_jobs
from workbench.report.jobs.runs import fail, finish
from workbench.serve.access import policy
from workbench.serve.identity import people
from workbench.serve.pages.job_pages import job_routes
from workbench.serve.running.home import make_home

NOW_US = 1_795_500_000_000_000
JOB = """
title: Count & <tell>
about: Counts what came.
notebook: count
cron: "30 6 * * *"
timezone: Europe/Berlin
recipients: [a@example.org]
"""


@pytest.fixture
def client(settings, engine):
    """The pages as an operator sees them."""
    make_home(settings)
    notebook(settings, "count", "1")
    (settings.home / "scheduled" / "count.yaml").write_text(JOB)
    app = Starlette(routes=job_routes(settings, engine))

    async def gated(scope, receive, send):
        await app({**scope, "state": {"person": people.Person("user:7", "operator")}}, receive, send)

    return TestClient(gated)


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text.partition("<main")[2])).split())


@pytest.fixture
def job(settings, client):
    return read_jobs(job_files(settings), settings)[0]["count"]


def test_the_list_says_when_in_the_zone_of_the_job_and_in_utc(client):
    text = words(client.get("/jobs/").text)
    assert "Count & <tell>" in text
    assert "Counts what came." in text
    assert "30 6 * * * (Europe/Berlin)" in text
    assert re.search(r"06:30 CES?T \(0[45]:30 UTC\)", text)
    assert "never run" in text
    assert "Daily report" in text, "ours is there too"


def test_run_now_queues_a_run_in_the_name_of_whoever_asked(client, engine):
    answer = client.post("/jobs/count/run")
    assert answer.url.path == "/jobs/count"
    assert "queued and begins" in words(answer.text)
    (run,) = list_runs(engine)
    assert (run.cause, run.requested_by, run.state) == ("manual", "user:7", "queued")
    assert "run by hand (user:7)" in words(answer.text)


def test_a_job_is_switched_off_and_on(client, engine):
    text = words(client.post("/jobs/count/off").text)
    assert disabled_jobs(engine) == {"count"}
    assert "Next" not in text
    assert "Switch on" in text
    assert "off" in words(client.get("/jobs/").text)
    client.post("/jobs/count/on")
    assert not disabled_jobs(engine)


def test_the_history_names_cell_error_report_and_attempts(client, engine, job):
    enqueue(engine, job, cause="schedule", scheduled_us=NOW_US, now_us=NOW_US)
    run = claim(engine, NOW_US)
    fail(engine, run, job, error="count.ipynb, cell 4: <b>Boom</b>", cell=4, report_id=12, now_us=NOW_US + 3_000_000)
    page = client.get("/jobs/count").text
    text = words(page)
    assert "2026-11-24 07:00 CET failed count.ipynb, cell 4: <b>Boom</b> 3 s 12, cell 4" in text
    assert 'href="/reports/12"' in page
    enqueue(engine, job, cause="schedule", scheduled_us=NOW_US + 1, now_us=NOW_US)
    mail = {"dedup_key": "x", "recipients": ["a@example.org"], "subject": "Count", "message": b"x"}
    finish(engine, claim(engine, NOW_US), report_id=13, now_us=NOW_US + 1, mails=[mail])
    assert "done 0 s 13 waits by schedule" in words(client.get("/jobs/count").text)
    assert last_runs(engine)["count"].report_id == 13


def test_a_file_with_a_fault_is_told_with_its_line(client, settings):
    (settings.home / "scheduled" / "bad.yaml").write_text("notebook: count\ncorn: <x>\n")
    assert "bad.yaml, line 2: there is no key 'corn'; did you mean 'cron'?" in words(client.get("/jobs/").text)


def test_what_is_not_there_is_said(client):
    for answer in (client.get("/jobs/nothing"), client.post("/jobs/nothing/run")):
        assert answer.status_code == 404
        assert "no such job" in answer.text
    assert client.get("/jobs/count/run").status_code == 405


@pytest.mark.parametrize("role", people.ROLES)
@pytest.mark.parametrize(("method", "path"), [("GET", "/jobs/"), ("GET", "/jobs/count"), ("POST", "/jobs/count/run")])
def test_jobs_are_for_operators_and_admins(guarded, role, method, path):
    headers = {**guarded.as_cookie(role), "Origin": "http://127.0.0.1:8765"}
    wanted = 200 if role in ("operator", "admin") else 403
    assert guarded.request(method, path, headers).status_code == wanted
    assert policy.allowed(policy.MAIN, role, method, path) == (wanted == 200)


def test_a_form_of_another_site_runs_nothing(guarded):
    headers = {**guarded.as_cookie("admin"), "Origin": "https://evil.example"}
    assert guarded.request("POST", "/jobs/count/run", headers).status_code == 403
    assert guarded.request("POST", "/jobs/count/run", guarded.as_cookie("admin")).status_code == 403
