"""`workbench jobs list|run|history|check|on|off|export`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from workbench import config, log
from workbench.cli.state import opened_state
from workbench.config import Settings
from workbench.errors import InputError
from workbench.report import (
    Cause,
    Job,
    Run,
    airflow,
    claim,
    disabled_jobs,
    enqueue,
    get_run,
    job_files,
    kubernetes,
    last_runs,
    list_runs,
    load_jobs,
    read_jobs,
    requeue_abandoned,
    send_due,
    switch,
)
from workbench.serve import home, job_times

LOOK_SECONDS = 0.3


def list_(options: argparse.Namespace) -> int:
    """Print every job: when it is due next, and how its last run ended."""
    settings = config.load(options.home)
    with opened_state(options) as engine:
        jobs, faults = read_jobs(job_files(settings), settings)
        off, last = disabled_jobs(engine), last_runs(engine)
        known = job_times.next_times(engine)
    for job in jobs.values():
        if job.name in off:
            due = "off"
        elif job.cron:
            moment = job.next_time(datetime.now(UTC))
            due = "next " + _moment(known.get(job.name) or (round(moment.timestamp() * 1e6) if moment else 0), job)
        else:
            due = f"after {job.after}"
        run = last.get(job.name)
        ended = f"{run.state} {_moment(run.finished_us or run.started_us or run.due_us, job)}" if run else "never run"
        print(f"{job.name:<24} {due:<36} {ended}")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def run(options: argparse.Namespace) -> int:
    """Run a job now, and wait for its end: in the running workbench, or here where none runs."""
    settings = config.load(options.home)
    with opened_state(options) as engine:
        job = _job(options.name, settings)
        now_us = time.time_ns() // 1000
        cause: Cause = "alone" if options.only else "manual"
        number = enqueue(engine, job, cause=cause, scheduled_us=now_us, now_us=now_us, requested_by="command line")
        assert number is not None
        lock = job_times.take_lock(settings)
        try:
            ended = _wait(engine, number) if lock is None else _run_here(engine, settings, number)
        finally:
            if lock is not None:
                os.close(lock)
    if ended.state != "done":
        print(f"{job.name}: {ended.state}. {ended.error}", file=sys.stderr)
        return 1
    print(f"{job.name}: done" + (f", report {ended.report_id}" if ended.report_id else ""))
    return 0


def history(options: argparse.Namespace) -> int:
    """Print the last runs, of one job or of all."""
    settings = config.load(options.home)
    with opened_state(options) as engine:
        job = _job(options.name, settings).name if options.name else None
        runs = list_runs(engine, job=job)
    for one in runs:
        took = f"{(one.finished_us - one.started_us) / 1e6:.0f} s" if one.finished_us and one.started_us else ""
        cell = f"cell {one.cell}: " if one.cell else ""
        report = f"report {one.report_id} " if one.report_id else ""
        due = datetime.fromtimestamp(one.scheduled_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
        text = f"{one.id:>5}  {one.job:<24} {due}  {one.cause:<8} {one.state:<8} {took:>6}  {report}{cell}{one.error}"
        print(text.rstrip())
    return 0


def check(options: argparse.Namespace) -> int:
    """Check schedule files: all their faults at once."""
    settings = config.load(options.home)
    own = {file.resolve() for file in options.files}
    others = [file for file in job_files(settings) if file.stem not in {one.stem for one in own}]
    known, _ = read_jobs(others, settings)
    # Those in force are read along, as `after` may name one of them; their faults are not asked about here.
    jobs = load_jobs([*options.files, *(job.file for job in known.values())], settings)
    count = sum(job.file.resolve() in own for job in jobs.values())
    print(f"{count} jobs: no faults")
    return 0


def on(options: argparse.Namespace) -> int:
    """Switch a job on."""
    return _switch(options, enabled=True)


def off(options: argparse.Namespace) -> int:
    """Switch a job off."""
    return _switch(options, enabled=False)


def export(options: argparse.Namespace) -> int:
    """Write the schedule for a cluster."""
    settings = config.load(options.home)
    jobs = load_jobs(job_files(settings), settings)
    with opened_state(options) as engine:
        switched_off = disabled_jobs(engine)
    if options.kubernetes:
        text = kubernetes(jobs, image=options.image, claim=options.claim, off=switched_off)
    else:
        text = airflow(jobs, home=options.worker_home, off=switched_off)
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


def _switch(options: argparse.Namespace, *, enabled: bool) -> int:
    settings = config.load(options.home)
    job = _job(options.name, settings)
    with opened_state(options) as engine:
        switch(engine, job.name, enabled=enabled, by="command line", now_us=time.time_ns() // 1000)
    print(f"{job.name} is {'on' if enabled else 'off'}")
    return 0


def _job(name: str, settings: Settings) -> Job:
    jobs, faults = read_jobs(job_files(settings), settings)
    if name not in jobs:
        own = "; ".join(str(fault) for fault in faults if fault.file.stem == name)
        raise InputError(own or f"there is no job {name!r}", hint=f"There are: {', '.join(jobs)}.")
    return jobs[name]


def _wait(engine: sa.Engine, number: int) -> Run:
    """The run, once the process `jobs` has ended it."""
    while (found := get_run(engine, number)) is not None and found.state in ("queued", "running"):
        time.sleep(LOOK_SECONDS)
    if found is None:
        raise InputError("the run is gone from the history")
    return found


def _run_here(engine: sa.Engine, settings: Settings, number: int) -> Run:
    """Carry out all that waits, the jobs after ours too, and send the mails that came of it."""
    from workbench.report import run_job  # takes a second to load, and is needed by no other command

    log.configure("jobs", level="WARNING", json=False)
    home.use_caches(settings)
    requeue_abandoned(engine)
    while True:
        claimed = claim(engine, time.time_ns() // 1000)
        if claimed is not None:
            run_job(claimed, settings=settings, engine=engine)
            continue
        found = get_run(engine, number)
        if found is None or found.state not in ("queued", "running"):
            break
        time.sleep(LOOK_SECONDS)  # until its next attempt is due
    send_due(engine, settings, time.time_ns() // 1000)
    if found is None:
        raise InputError("the run is gone from the history")
    return found


def _moment(time_us: int, job: Job) -> str:
    return datetime.fromtimestamp(time_us / 1e6, job.zone).strftime("%Y-%m-%d %H:%M %Z")
