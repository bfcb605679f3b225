"""The process `jobs`: decides when a job is due, and carries its runs out in child processes, one at a time.

APScheduler keeps the next time of each job in our state, so a time that passed while nothing ran is noticed at the
next start, and made up for once. It only queues runs; the loop here takes them and watches their processes; a thread
sends the mails that they left. `workbench jobs run` does the same for one run where no workbench is running.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from workbench import log
from workbench.config import Settings
from workbench.report import (
    Job,
    Run,
    claim,
    disabled_jobs,
    enqueue,
    get_run,
    give_up_examining,
    job_files,
    last_runs,
    next_queued,
    read_jobs,
    requeue_abandoned,
    send_due,
)
from workbench.serve.pages.job_times import take_lock
from workbench.serve.process import child_main
from workbench.serve.running.timetable import Timetable
from workbench.store import state

LOOK_SECONDS = 0.5
"""How often the queue is looked at; a look costs a tenth of a millisecond."""
RELOAD_SECONDS = 5.0
GRACE_SECONDS = 30.0
"""How much longer than its time limit a run's process may live: it ends its kernel and writes down what there is."""

EXAMINATION_SECONDS = 900.0
FIRST_BOARDS_SECONDS = 45.0
"""How long after the start boards that were never made are: pages and receivers have the machine first."""

Clock = Callable[[], float]

logger = log.get(__name__)


def main() -> None:
    """Run until SIGTERM."""
    settings = child_main("jobs").settings
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lock = take_lock(settings)
    while lock is None:  # `workbench jobs run` finishes what it began
        if stop.wait(LOOK_SECONDS):
            return
        lock = take_lock(settings)
    engine = state.engine(settings)
    runner = Runner(settings, engine)
    mails = threading.Thread(target=_send_mails, args=(settings, engine, stop), name="mails", daemon=True)
    mails.start()
    try:
        runner.start()
        while not stop.wait(LOOK_SECONDS):
            try:
                runner.look()
            except sa.exc.SQLAlchemyError as error:
                logger.error("state cannot be used", error=str(error))
    finally:
        runner.stop()
        engine.dispose()
        os.close(lock)


class Runner:
    """The jobs of a home, their timetable, and the run that is under way."""

    def __init__(self, settings: Settings, engine: sa.Engine, *, clock: Clock = time.time) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._timetable = Timetable(engine, clock)
        self._jobs: dict[str, Job] = {}
        self._read: dict[Path, int] = {}
        self._reload_at = 0.0
        self._first_boards_at = math.inf
        self._process: subprocess.Popen[bytes] | None = None
        self._run: Run | None = None
        self._publication: int | None = None
        self._kill_at = 0.0

    def start(self) -> None:
        """Take up what a killed predecessor left, and begin to watch the clock."""
        left = requeue_abandoned(self._engine)
        if left:
            logger.warning("runs of a killed process are begun anew", runs=left)
        self._reload()
        self._timetable.start(self._jobs)
        self._first_boards_at = time.monotonic() + FIRST_BOARDS_SECONDS

    def stop(self) -> None:
        """End the run under way; it is begun anew at the next start."""
        self._timetable.stop()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            requeue_abandoned(self._engine)

    def look(self) -> None:
        """One round: what changed in the files, what ended, what is due."""
        if time.monotonic() >= self._reload_at:
            self._reload()
            self._timetable.follow(self._jobs)
        self._timetable.tick()
        if time.monotonic() >= self._first_boards_at:
            self._first_boards_at = math.inf
            self._begin_boards()
        if self._process is not None and not self._ended():
            return
        run = claim(self._engine, int(self._clock() * 1e6))
        if run is not None:
            logger.info("run begins", job=run.job, run=run.id, attempt=run.attempt)
            if run.job not in self._jobs:  # its file came a moment ago
                self._reload()
            limit = self._jobs[run.job].timeout_seconds if run.job in self._jobs else 0
            self._run = run
            self._begin("--run", run.id, limit)
        elif (number := next_queued(self._engine)) is not None:
            self._publication = number
            self._begin("--publication", number, EXAMINATION_SECONDS)

    def _begin_boards(self) -> None:
        """Queue the boards that were never made: nobody should wait for their first quarter of an hour."""
        off, known, now_us = disabled_jobs(self._engine), last_runs(self._engine), int(self._clock() * 1e6)
        for job in self._jobs.values():
            if job.kind == "board" and job.name not in off and job.name not in known:
                enqueue(self._engine, job, cause="schedule", scheduled_us=now_us, now_us=now_us)

    def _reload(self) -> None:
        self._reload_at = time.monotonic() + RELOAD_SECONDS
        files = job_files(self._settings)
        found = {file: file.stat().st_mtime_ns for file in files if file.exists()}
        if found == self._read and self._jobs:
            return
        self._read = found
        self._jobs, faults = read_jobs(files, self._settings)
        for fault in faults:
            logger.error("fault in a schedule file", fault=str(fault))

    def _begin(self, what: str, number: int, limit_seconds: float) -> None:
        argv = ["-m", "workbench.serve.job_run", "--parent", str(os.getpid()), what, str(number)]
        self._process = subprocess.Popen([sys.executable, *argv], stdin=subprocess.DEVNULL)
        self._kill_at = time.monotonic() + limit_seconds + GRACE_SECONDS

    def _ended(self) -> bool:
        """Whether the process under way is over; one that outlives its limit by too much is killed."""
        assert self._process is not None
        code = self._process.poll()
        if code is None and time.monotonic() < self._kill_at:
            return False
        if code is None:
            self._process.kill()
            self._process.wait()
        why = "its process did not end within the time limit" if code is None else f"its process ended with {code}"
        if self._run is not None:
            self._close(self._run, why)
        if self._publication is not None:
            give_up_examining(self._publication, why, engine=self._engine)
        self._process = self._run = self._publication = None
        return True

    def _close(self, run: Run, why: str) -> None:
        """Note that a run failed whose process ended without a word."""
        now = get_run(self._engine, run.id)
        if now is not None and now.state == "running" and now.attempt == run.attempt:
            # Heavy to load, and needed only when something went wrong.
            from workbench.report import give_up

            give_up(run, why, settings=self._settings, engine=self._engine)


def _send_mails(settings: Settings, engine: sa.Engine, stop: threading.Event) -> None:
    while not stop.wait(LOOK_SECONDS * 2):
        try:
            send_due(engine, settings, time.time_ns() // 1000)
        except sa.exc.SQLAlchemyError as error:
            logger.error("outbox of mails cannot be used", error=str(error))


if __name__ == "__main__":
    main()
