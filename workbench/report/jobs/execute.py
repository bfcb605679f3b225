"""Carry out one run of a job: its report, then all that follows from it, written in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from workbench import log
from workbench.alert import channel_id, commit_changes, job_watch, load_alerts
from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.report.deliver.mail import failure_mail, report_mail
from workbench.report.jobs.files import Job, job_files, read_jobs
from workbench.report.jobs.publisher import rows_of_publisher
from workbench.report.jobs.runs import Run, disabled_jobs, fail, finish
from workbench.report.kept import Report, done_report, forget_unfinished, latest_report
from workbench.report.run import run_report
from workbench.report.snapshot import render_snapshot
from workbench.report.snapshots import Snapshot

logger = log.get(__name__)


def run_job(run: Run, *, settings: Settings, engine: sa.Engine) -> bool:
    """Carry out a claimed run; whether it is done. Nothing is raised for what a notebook or a file does wrong.

    A report that an earlier life of this run finished is taken as it is; what one left half done is removed first.
    """
    jobs, faults = read_jobs(job_files(settings), settings)
    job = jobs.get(run.job)
    if job is None:
        own = [str(fault) for fault in faults if fault.file.stem == run.job]
        return _failed(settings, engine, run, None, jobs, "; ".join(own) or "there is no such job any more")
    try:
        made = _make(run, job, settings, rows_of_publisher(engine, job.publisher))
        mails = []
        if job.recipients and isinstance(made, Report):
            message = report_mail(job, run, made, sender=_sender(settings), link=_link(settings, made.id))
            mails = [_mail(job, f"run:{run.id}", f"{job.title}, {made.date}", message)]
    except (WorkbenchError, OSError) as error:
        # Without the hint: it may name places of this machine, and what is said here is mailed.
        said = f"{error.where}: {error.message}" if isinstance(error, WorkbenchError) else str(error)
        return _failed(settings, engine, run, job, jobs, said.removeprefix(": "), getattr(error, "cell", 0))
    except Exception as error:  # a fault of ours in rendering or delivery must not leave a run that never ends
        logger.exception("run failed", job=run.job)
        return _failed(settings, engine, run, job, jobs, f"{type(error).__name__}: {error}")
    done = finish(
        engine,
        run,
        report_id=made.id if isinstance(made, Report) else None,
        now_us=_now_us(),
        mails=mails,
        followers=_followers(engine, run, job, jobs),
    )
    if done:
        _watch(settings, engine, job, "")
    return done


def _make(run: Run, job: Job, settings: Settings, rows: str) -> Report | Snapshot:
    """What the run is for: a report, or the snapshot of a board (made again, it takes the place of the one before)."""
    day, parameters = job.values(datetime.fromtimestamp(run.scheduled_us / 1e6, UTC))
    if job.kind == "board":
        return render_snapshot(
            job.notebook, settings=settings, parameters=parameters, rows=rows, timeout_seconds=job.timeout_seconds
        )
    forget_unfinished(settings, run.id)
    return done_report(settings, run.id) or run_report(
        job.notebook,
        settings=settings,
        day=day,
        parameters=parameters,
        rows=rows,
        timeout_seconds=job.timeout_seconds,
        keep=job.keep,
        run_id=run.id,
    )


def give_up(run: Run, error: str, *, settings: Settings, engine: sa.Engine) -> None:
    """Note that the process of a run ended without a word."""
    jobs, _ = read_jobs(job_files(settings), settings)
    _failed(settings, engine, run, jobs.get(run.job), jobs, error)


def _failed(
    settings: Settings,
    engine: sa.Engine,
    run: Run,
    job: Job | None,
    jobs: Mapping[str, Job],
    error: str,
    cell: int = 0,
) -> bool:
    report = latest_report(settings, run.id)
    report_id = report.id if report else None
    mails = []
    if job is not None and job.recipients:
        message = failure_mail(job, run, error, sender=_sender(settings), link=_link(settings, report_id))
        mails = [_mail(job, f"run:{run.id}:failed", f"{job.title} failed", message)]
    followers = _followers(engine, run, job, jobs) if job else []
    over = fail(
        engine,
        run,
        job,
        error=error,
        cell=cell,
        report_id=report_id,
        now_us=_now_us(),
        mails=mails,
        followers=followers,
    )
    if over:
        _watch(settings, engine, job or Job(run.job, settings.home, ""), error)
    logger.warning("run failed", job=run.job, error=error, over=over)
    return False


def _watch(settings: Settings, engine: sa.Engine, job: Job, error: str) -> None:
    """Raise the alert of a job that failed, or end it."""
    before = next(iter(load_alerts(engine, owner=job_watch.owner(job.name))), None)
    changes = job_watch.step(before, job.name, job.title or job.name, error, _now_us())
    commit_changes(engine, changes, [channel_id(url) for url in settings.alert.notify])


def _followers(engine: sa.Engine, run: Run, job: Job, jobs: Mapping[str, Job]) -> Sequence[Job]:
    if run.cause == "alone":
        return []
    off = disabled_jobs(engine)
    return [other for other in jobs.values() if other.after == job.name and other.name not in off]


def _mail(job: Job, key: str, subject: str, message: bytes) -> dict[str, Any]:
    return {"dedup_key": key, "recipients": list(job.recipients), "subject": subject, "message": message}


def _sender(settings: Settings) -> str:
    return settings.mail.sender or "workbench@localhost"


def _link(settings: Settings, report_id: int | None) -> str:
    base = settings.alert.external_url.rstrip("/")
    return f"{base}/reports/{report_id}" if base and report_id is not None else ""


def _now_us() -> int:
    return time.time_ns() // 1000
