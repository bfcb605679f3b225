"""The process `jobs` as `up` runs it: on time by its own clock, and killed in the middle of a run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import ROOT
from report.mailbox import Mailbox, mail_server

from workbench import config
from workbench.report import Job, enqueue, get_run, job_files, last_runs, list_reports, list_runs, read_jobs
from workbench.serve.pages.job_times import next_times
from workbench.serve.running import home
from workbench.store import state


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture
def mailbox():
    with mail_server(Mailbox()) as made:
        yield made


@pytest.fixture
def place(settings, mailbox):
    """A home with one job, and the environment of its processes."""
    home.make_home(settings)
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell('date = ""\nhome = ""\nlake_version = ""')]
    book.cells[0].metadata["tags"] = ["parameters"]
    wait = f"import os, time\nif os.path.exists({str(settings.home / 'slow')!r}): time.sleep(600)\nprint('counted')"
    book.cells.append(nbformat.v4.new_code_cell(wait))
    nbformat.write(book, settings.home / "notebooks" / "count.ipynb")
    (settings.home / "scheduled" / "count.yaml").write_text(
        'notebook: count\ncron: "0 6 * * *"\nrecipients: [a@example.org]\nattach: none\n'
    )
    environment = {
        **os.environ,
        "WORKBENCH_HOME": str(settings.home),
        "WORKBENCH_MAIL_SERVER": mailbox.url,
        "NO_PROXY": "127.0.0.1",
    }
    engine = state.engine(settings)
    yield Place(settings, engine, environment)
    engine.dispose()


class Place:
    def __init__(self, settings: config.Settings, engine: Any, environment: dict[str, str]) -> None:
        self.settings, self.engine, self.environment = settings, engine, environment

    @property
    def job(self) -> Job:
        return read_jobs(job_files(self.settings), self.settings)[0]["count"]

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench.serve.jobs"], env=self.environment, cwd=ROOT, start_new_session=True
        )

    def command(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "workbench.cli", "jobs", *words],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.slow
def test_killed_in_the_middle_of_a_run_it_makes_one_report_and_sends_one_mail(place, mailbox):
    (place.settings.home / "slow").touch()
    number = enqueue(place.engine, place.job, cause="schedule", scheduled_us=1_795_500_000_000_000, now_us=0)
    process = place.start()
    try:
        wait_for(lambda: list_reports(place.settings), "the run has begun its report")
        process.kill()
        process.wait()
        (place.settings.home / "slow").unlink()
        wait_for(lambda: list_reports(place.settings)[0].status == "interrupted", "its process died with it")
        process = place.start()
        wait_for(lambda: get_run(place.engine, number).state == "done", "the run is done")
        wait_for(lambda: mailbox.taken, "the mail has arrived")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    (report,) = list_reports(place.settings)
    assert report.status == "done"
    assert report.run_id == number
    ((recipients, message),) = mailbox.taken
    assert recipients == ["a@example.org"]
    assert message["subject"] == "Count, 2026-11-24"
    assert len(list_runs(place.engine)) == 1


@pytest.mark.slow
def test_the_command_line_runs_a_job_with_and_without_the_process(place, mailbox):
    alone = place.command("run", "count")
    assert alone.returncode == 0, alone.stderr
    assert "count: done, report 1" in alone.stdout
    assert len(mailbox.taken) == 1
    process = place.start()
    try:
        wait_for(lambda: next_times(place.engine), "it has read its files")
        folder = place.settings.home / "scheduled"
        (folder / "later.yaml").write_text((folder / "count.yaml").read_text())  # it does not know this one yet
        beside = place.command("run", "later")
        assert "later: done, report 2" in beside.stdout, beside.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    assert last_runs(place.engine)["later"].cause == "manual"


def test_commands_list_and_switch(place):
    assert place.command("off", "count").stdout == "count is off\n"
    assert re.search(r"^count +off +never run$", place.command("list").stdout, re.MULTILINE)
    unknown = place.command("run", "cuont")
    assert unknown.returncode == 1
    assert "there is no job 'cuont'. There are: count" in unknown.stderr


def test_a_file_with_a_fault_is_named_and_spares_the_others(place, tmp_path):
    (Path(place.settings.home) / "scheduled" / "bad.yaml").write_text("notebook: count\ncorn: x\n")
    listed = place.command("list")
    assert listed.returncode == 1
    assert "count" in listed.stdout
    assert "bad.yaml:2: there is no key 'corn'; did you mean 'cron'?" in listed.stderr
    checked = place.command("check", str(Path(place.settings.home) / "scheduled" / "bad.yaml"))
    assert checked.returncode == 2
    good = tmp_path / "later.yaml"
    good.write_text("notebook: count\nafter: count\n")
    assert place.command("check", str(good)).stdout == "1 jobs: no faults\n"
