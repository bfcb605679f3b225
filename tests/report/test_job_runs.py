"""The runs of jobs: each due time once, nothing lost or doubled by a crash, failures told with their cell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from conftest import ROOT

from report.conftest import notebook, wait_for_output
from workbench.report import (
    claim,
    enqueue,
    get_run,
    job_files,
    last_runs,
    list_reports,
    list_runs,
    read_jobs,
    requeue_abandoned,
    run_job,
    switch,
)
from workbench.report.jobs.runs import finish
from workbench.store import state

DUE_US = 1_795_500_000_000_000
JOB = 'notebook: {name}\ncron: "0 6 * * *"\nrecipients: [a@example.org]\nattach: none\n'


@pytest.fixture
def jobs(home):
    """Writes notebook and schedule file of a job; all jobs by name."""

    def write(name: str, *cells: str, more: str = ""):
        notebook(home, name, *cells)
        folder = home.home / "scheduled"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(JOB.format(name=name) + more)
        return read_jobs(job_files(home), home)[0]

    return write


@pytest.fixture
def engine(home):
    made = state.engine(home)
    yield made
    made.dispose()


def queue(engine, job, **values):
    return enqueue(engine, job, **{"cause": "schedule", "scheduled_us": DUE_US, "now_us": DUE_US, **values})


def mails(engine):
    with engine.connect() as connection:
        return connection.execute(sa.select(state.mails).order_by(state.mails.c.id)).all()


def alerts(engine):
    with engine.connect() as connection:
        return {row.labels["scheduled_job"]: row.state for row in connection.execute(sa.select(state.alert_states))}


def test_a_due_time_is_queued_once_however_often_it_is_noticed(engine, jobs):
    job = jobs("count", "1")["count"]
    first = queue(engine, job)
    assert first is not None
    assert queue(engine, job) is None
    run = claim(engine, DUE_US)
    assert (run.id, run.attempt, run.state) == (first, 1, "running")
    assert claim(engine, DUE_US) is None
    assert finish(engine, run, report_id=1, now_us=DUE_US)
    assert queue(engine, job) is None, "also when it is over"
    assert not finish(engine, run, report_id=2, now_us=DUE_US), "a run ends once"


def test_while_a_run_goes_on_the_next_is_skipped_or_waits_as_the_job_says(engine, jobs):
    jobs("waits", "1", more="overlap: queue\n")
    known = jobs("skips", "1")
    for name in ("waits", "skips"):
        queue(engine, known[name])
    running = {claim(engine, DUE_US).job for _ in range(2)}
    assert running == {"waits", "skips"}
    for name in running:
        queue(engine, known[name], scheduled_us=DUE_US + 1)
    assert claim(engine, DUE_US + 1) is None, "one run of a job at a time"
    assert {run.job: run.state for run in list_runs(engine, limit=2)} == {"waits": "queued", "skips": "skipped"}
    asked = queue(engine, known["skips"], cause="manual", requested_by="user:1")
    assert get_run(engine, asked).state == "queued", "a person is never ignored"


def test_a_run_makes_one_report_and_one_mail_and_starts_the_job_after_it(home, engine, jobs):
    known = jobs("second", 'print("after")', more="after: first\n")
    known = jobs("first", 'print("hello")', more="keep: 2\n")
    queue(engine, known["first"])
    assert run_job(claim(engine, DUE_US), settings=home, engine=engine)
    (report,) = list_reports(home)
    run = last_runs(engine)["first"]
    assert (run.state, run.report_id, report.run_id) == ("done", report.id, run.id)
    assert report.date == "2026-11-24"
    (mail,) = mails(engine)
    assert (mail.subject, mail.state) == ("First, 2026-11-24", "queued")
    after = claim(engine, 2 * DUE_US)
    assert (after.job, after.cause, after.scheduled_us) == ("second", "after", DUE_US)


def test_a_failure_is_tried_again_then_told_with_its_cell_and_what_follows_is_skipped(home, engine, jobs):
    jobs("later", "1", more="after: broken\n")
    known = jobs("broken", 'print("so far")', "1 / 0", more="retries: 1\nretry_pause: 90s\n")
    queue(engine, known["broken"])
    assert not run_job(claim(engine, DUE_US), settings=home, engine=engine)
    (run,) = list_runs(engine, job="broken")
    assert (run.state, run.cell) == ("queued", 4)
    assert run.due_us > DUE_US + 90_000_000
    assert not mails(engine)
    assert claim(engine, DUE_US + 60_000_000) is None, "not before the pause"

    again = claim(engine, run.due_us)
    assert again.attempt == 2
    run_job(again, settings=home, engine=engine)
    run = last_runs(engine)["broken"]
    assert (run.state, run.cell) == ("failed", 4)
    assert "broken.ipynb, cell 4: ZeroDivisionError: division by zero" in run.error
    (mail,) = mails(engine)
    assert mail.subject == "Broken failed"
    assert b"cell 4: ZeroDivisionError" in mail.message
    assert "so far" in list_reports(home)[0].html.read_text()
    (skipped,) = list_runs(engine, job="later")
    assert (skipped.state, skipped.error) == ("skipped", "broken failed")
    assert alerts(engine) == {"broken": "firing"}

    notebook(home, "broken", 'print("mended")')
    queue(engine, known["broken"], cause="manual")
    assert run_job(claim(engine, run.due_us * 2), settings=home, engine=engine)
    assert alerts(engine) == {"broken": "resolved"}


def test_at_the_time_limit_the_kernel_ends_and_the_cell_is_named(home, engine, jobs):
    known = jobs("slow", 'print("so far")', "import time; time.sleep(600)", more="timeout: 5s\n")
    queue(engine, known["slow"])
    assert not run_job(claim(engine, DUE_US), settings=home, engine=engine)
    run = last_runs(engine)["slow"]
    assert run.state == "failed"
    assert "not over within 5 s" in run.error
    assert run.cell == 4
    assert "so far" in list_reports(home)[0].notebook.read_text()


@contextmanager
def killed_in_the_middle(home):
    """A process that carries out the claimed run until its notebook has printed `begun`, and is killed then."""
    script = (
        "import sys; from pathlib import Path; from workbench import config\n"
        "from workbench.report import get_run, run_job\nfrom workbench.store import state\n"
        "settings = config.load(Path(sys.argv[1]), environ={}); engine = state.engine(settings)\n"
        "run_job(get_run(engine, 1), settings=settings, engine=engine)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(home.home)], cwd=ROOT, start_new_session=True)
    try:
        wait_for_output(home, "begun", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        yield
    finally:
        process.kill()


def test_killed_in_the_middle_it_gives_one_report_and_one_mail(home, engine, jobs):
    known = jobs("count", "print('be' + 'gun')", "import time; time.sleep(600)")
    queue(engine, known["count"])
    claim(engine, DUE_US)
    with killed_in_the_middle(home):
        assert [report.status for report in list_reports(home)] == ["interrupted"]
        assert requeue_abandoned(engine) == 1
        notebook(home, "count", "1")
        run = claim(engine, DUE_US + 1)
        assert run.attempt == 1, "a kill is no failed attempt"
        assert run_job(run, settings=home, engine=engine)
    assert [report.status for report in list_reports(home)] == ["done"]
    assert len(mails(engine)) == 1
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(state.pins)).scalar() == 1


def test_killed_between_report_and_mail_the_report_is_not_made_again(home, engine, jobs):
    known = jobs("count", "1")
    queue(engine, known["count"])
    run = claim(engine, DUE_US)
    from workbench.report import run_report

    report = run_report("count", settings=home, run_id=run.id)
    requeue_abandoned(engine)
    assert run_job(claim(engine, DUE_US + 1), settings=home, engine=engine)
    assert [one.id for one in list_reports(home)] == [report.id]
    assert len(mails(engine)) == 1


def test_a_job_whose_file_is_gone_or_broken_fails_with_the_reason(home, engine, jobs):
    known = jobs("count", "1")
    queue(engine, known["count"])
    (home.home / "scheduled" / "count.yaml").write_text("notebook: count\ncron: x\n")
    assert not run_job(claim(engine, DUE_US), settings=home, engine=engine)
    assert "count.yaml:2: cron: 'x' is no cron expression" in last_runs(engine)["count"].error


def test_the_day_is_that_of_the_time_it_was_due(home, engine, jobs):
    known = jobs("count", "1", more="date: yesterday\ntimezone: Asia/Tokyo\n")
    queue(engine, known["count"], scheduled_us=round(datetime(2026, 3, 1, 20, tzinfo=UTC).timestamp() * 1e6))
    run_job(claim(engine, DUE_US), settings=home, engine=engine)
    assert list_reports(home)[0].date == "2026-03-01", "in Tokyo it is the 2nd already"


def test_what_is_switched_off_is_not_started_by_the_job_before(home, engine, jobs):
    jobs("second", "1", more="after: first\n")
    known = jobs("first", "1")
    switch(engine, "second", enabled=False, by="user:1", now_us=DUE_US)
    queue(engine, known["first"])
    run_job(claim(engine, DUE_US), settings=home, engine=engine)
    assert not list_runs(engine, job="second")
