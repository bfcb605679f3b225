"""The runs of jobs: a small state machine in the relational state, so that no crash loses or doubles one.

queued -> running -> done | failed; failed with attempts left -> queued; queued -> skipped. What decides whether a run
exists is its key (job and scheduled time): of two that queue the same one, the second changes nothing. Every step is
one transaction; what a run brings about (mails, the jobs after it) is written in the one that ends it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from workbench.report.jobs.files import Job
from workbench.store import state

Cause = Literal["schedule", "manual", "after", "alone"]
"""Why a run is there: its schedule, a person, the job before it, or a person who wants no jobs after it."""
KEPT_RUNS = 200
"""How many runs of a job its history holds."""
LONGEST_PAUSE_US = 6 * 3600 * 1_000_000


@dataclass(frozen=True)
class Run:
    """One run of a job. `state` is queued, running, done, failed or skipped; times are microseconds UTC.

    `scheduled_us` is the time it was due by its schedule, from which its day and parameters follow, also when it runs
    later; `due_us` is when it may begin. `cell` is the 1-based cell that failed, 0 if none did.
    """

    id: int
    job: str
    cause: str
    scheduled_us: int
    state: str
    attempt: int
    due_us: int
    requested_by: str
    started_us: int | None
    finished_us: int | None
    report_id: int | None
    cell: int
    error: str


def enqueue(
    engine: sa.Engine,
    job: Job,
    *,
    cause: Cause,
    scheduled_us: int,
    now_us: int,
    requested_by: str = "",
    key: str = "",
) -> int | None:
    """Queue a run; its id, or None where that run exists already.

    One that its schedule asks for while another of the same job waits or runs is kept as skipped where the job says
    so; what a person asks for is always queued.
    """
    with engine.begin() as connection:
        state.take_turns(connection, state.job_runs)
        return _enqueue(connection, job, cause, scheduled_us, now_us, requested_by, key)


def claim(engine: sa.Engine, now_us: int) -> Run | None:
    """Begin the oldest run that is due and whose job does not run already; None where there is none."""
    table = state.job_runs
    busy = sa.select(table.c.job).where(table.c.state == "running")
    due = (
        sa.select(table.c.id)
        .where(table.c.state == "queued", table.c.due_us <= now_us, table.c.job.not_in(busy))
        .order_by(table.c.due_us, table.c.id)
        .limit(1)
    )
    # A look without the write lock first: nearly always nothing is due.
    with engine.connect() as connection:
        if connection.execute(due).scalar() is None:
            return None
    with engine.begin() as connection:
        state.take_turns(connection, state.job_runs)
        found = connection.execute(due).scalar()
        if found is None:
            return None
        values = {"state": "running", "attempt": table.c.attempt + 1, "started_us": now_us, "error": None, "cell": 0}
        connection.execute(sa.update(table).where(table.c.id == found).values(values))
        return _run(connection.execute(sa.select(table).where(table.c.id == found)).one())


def finish(
    engine: sa.Engine,
    run: Run,
    *,
    report_id: int | None,
    now_us: int,
    mails: Sequence[Mapping[str, Any]] = (),
    followers: Sequence[Job] = (),
) -> bool:
    """A run is done: its mails and the jobs after it are queued with it, all or nothing.

    False where this attempt is not the one that counts any more; then nothing is written.
    """
    with engine.begin() as connection:
        if not _end(connection, run, state="done", report_id=report_id, finished_us=now_us):
            return False
        for mail in mails:
            connection.execute(state.mails.insert().values(**_mail(mail, run, now_us)))
        for job in followers:
            # With the time of the run before: both speak about the same day.
            _enqueue(connection, job, "after", run.scheduled_us, now_us, "", f"{job.name}:after:{run.id}")
        _forget_old(connection, run.job)
    return True


def fail(
    engine: sa.Engine,
    run: Run,
    job: Job | None,
    *,
    error: str,
    now_us: int,
    cell: int = 0,
    report_id: int | None = None,
    mails: Sequence[Mapping[str, Any]] = (),
    followers: Sequence[Job] = (),
) -> bool:
    """An attempt failed: it is tried again after a pause that doubles, or the run is over.

    One that another scheduler asked for alone is not tried again here: that one has its own retries. When it is over,
    its mails are queued and the jobs after it are kept as skipped. Returns whether it is over.
    """
    ended = {"error": error[:2000], "cell": cell, "report_id": report_id}
    if job is not None and run.cause != "alone" and run.attempt <= job.retries:
        pause_us = min(job.retry_pause_seconds * 1_000_000 * 2 ** (run.attempt - 1), LONGEST_PAUSE_US)
        with engine.begin() as connection:
            _end(connection, run, state="queued", due_us=now_us + pause_us, **ended)
        return False
    with engine.begin() as connection:
        if not _end(connection, run, state="failed", finished_us=now_us, **ended):
            return False
        for mail in mails:
            connection.execute(state.mails.insert().values(**_mail(mail, run, now_us)))
        for follower in followers:
            values = _row(follower, "after", run.scheduled_us, now_us, "", f"{follower.name}:after:{run.id}")
            values |= {"state": "skipped", "finished_us": now_us, "error": f"{run.job} failed"}
            connection.execute(state.job_runs.insert().values(values))
        _forget_old(connection, run.job)
    return True


def requeue_abandoned(engine: sa.Engine) -> int:
    """Queue again what ran when its process was killed; how many. The attempt does not count.

    Only for the process that runs them all, at its start: nothing runs then.
    """
    table = state.job_runs
    with engine.begin() as connection:
        done = connection.execute(
            sa.update(table).where(table.c.state == "running").values(state="queued", attempt=table.c.attempt - 1)
        )
    return int(done.rowcount)


def get_run(engine: sa.Engine, number: int) -> Run | None:
    """One run by its number."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(state.job_runs).where(state.job_runs.c.id == number)).one_or_none()
    return _run(row) if row is not None else None


def list_runs(engine: sa.Engine, *, job: str | None = None, limit: int = 50) -> list[Run]:
    """Runs, the newest first."""
    table = state.job_runs
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if job is not None:
        query = query.where(table.c.job == job)
    with engine.connect() as connection:
        return [_run(row) for row in connection.execute(query)]


def last_runs(engine: sa.Engine) -> dict[str, Run]:
    """The newest run of each job, skipped ones apart."""
    table = state.job_runs
    newest = sa.select(sa.func.max(table.c.id)).where(table.c.state != "skipped").group_by(table.c.job)
    with engine.connect() as connection:
        found = [_run(row) for row in connection.execute(sa.select(table).where(table.c.id.in_(newest)))]
    return {run.job: run for run in found}


def disabled_jobs(engine: sa.Engine) -> set[str]:
    """Names of the jobs that somebody switched off."""
    with engine.connect() as connection:
        return set(connection.execute(sa.select(state.jobs.c.name).where(sa.not_(state.jobs.c.enabled))).scalars())


def switch(engine: sa.Engine, job: str, *, enabled: bool, by: str, now_us: int) -> None:
    """Switch a job on or off; `by` is the person who does."""
    values = {"enabled": enabled, "changed_us": now_us, "changed_by": by}
    with engine.begin() as connection:
        state.take_turns(connection, state.job_runs)
        known = connection.execute(sa.update(state.jobs).where(state.jobs.c.name == job).values(values)).rowcount
        if not known:
            connection.execute(state.jobs.insert().values(name=job, **values))


def _enqueue(
    connection: sa.Connection, job: Job, cause: str, scheduled_us: int, now_us: int, requested_by: str, key: str
) -> int | None:
    table = state.job_runs
    if cause in ("manual", "alone"):
        key = key or f"{job.name}:manual:{time.time_ns()}"
    values = _row(job, cause, scheduled_us, now_us, requested_by, key or f"{job.name}:{scheduled_us}")
    if connection.execute(sa.select(table.c.id).where(table.c.key == values["key"])).first() is not None:
        return None
    others = sa.select(table.c.id).where(table.c.job == job.name, table.c.state.in_(("queued", "running"))).limit(1)
    if cause == "schedule" and job.overlap == "skip" and connection.execute(others).first() is not None:
        values |= {"state": "skipped", "finished_us": now_us, "error": "the run before was not over"}
    made = connection.execute(table.insert().values(values)).inserted_primary_key
    return int(made[0]) if made else None


def _row(job: Job, cause: str, scheduled_us: int, now_us: int, requested_by: str, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "job": job.name,
        "cause": cause,
        "scheduled_us": scheduled_us,
        "state": "queued",
        "attempt": 0,
        "due_us": now_us,
        "requested_by": requested_by,
        "cell": 0,
    }


def _end(connection: sa.Connection, run: Run, **values: Any) -> bool:
    """End an attempt, if it is still the one that runs: a process that was given up must not write its result."""
    table = state.job_runs
    mine = sa.and_(table.c.id == run.id, table.c.state == "running", table.c.attempt == run.attempt)
    return bool(connection.execute(sa.update(table).where(mine).values(**values)).rowcount)


def _mail(mail: Mapping[str, Any], run: Run, now_us: int) -> dict[str, Any]:
    return {**mail, "run_id": run.id, "state": "queued", "created_us": now_us, "attempts": 0, "next_attempt_us": 0}


def _forget_old(connection: sa.Connection, job: str) -> None:
    table = state.job_runs
    ended = sa.and_(table.c.job == job, table.c.state.in_(("done", "failed", "skipped")))
    last = connection.execute(sa.select(table.c.id).where(ended).order_by(table.c.id.desc()).offset(KEPT_RUNS).limit(1))
    oldest = last.scalar()
    if oldest is not None:
        connection.execute(sa.delete(table).where(ended, table.c.id <= oldest))


def _run(row: Any) -> Run:
    return Run(
        row.id,
        row.job,
        row.cause,
        row.scheduled_us,
        row.state,
        row.attempt,
        row.due_us,
        row.requested_by,
        row.started_us,
        row.finished_us,
        row.report_id,
        row.cell or 0,
        row.error or "",
    )
