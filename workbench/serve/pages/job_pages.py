"""The jobs on the main address: what runs when, how it ended, and the buttons of those who may press them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.report import (
    Job,
    Run,
    disabled_jobs,
    enqueue,
    job_files,
    last_runs,
    list_runs,
    mails_of,
    publications,
    read_jobs,
    switch,
)
from workbench.serve.pages.job_times import next_times
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.report_pages import FOLDER, TEMPLATES
from workbench.show import render_page

CAUSES = {"schedule": "by schedule", "manual": "run by hand", "after": "after another job", "alone": "run by hand"}
SAID = {"queued": "It is queued and begins within a second.", "on": "It is switched on.", "off": "It is switched off."}


def job_routes(settings: Settings, engine: sa.Engine) -> list[Route]:
    """`/jobs/`, `/jobs/NAME` with its history, and what a button of theirs posts to: `/jobs/NAME/run|on|off`."""

    def shell(request: Request, title: str, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        body = Markup(TEMPLATES.get_template(template).render(**values))
        return HTMLResponse(render_page(title, body, current="/jobs/", navigation=navigation(request)), status)

    async def style(_: Request) -> Response:
        return FileResponse(FOLDER / "jobs.css", media_type="text/css", headers={"cache-control": "private"})

    async def listing(request: Request) -> Response:
        jobs, faults = await asyncio.to_thread(read_jobs, job_files(settings), settings)
        off, last, due = disabled_jobs(engine), last_runs(engine), next_times(engine)
        rows = [_row(job, off, last, due) for job in jobs.values()]
        shown = [f"{fault.file.name}, line {fault.line}: {fault.message}" for fault in faults]
        waiting = publications(engine, states=["pending"])
        return shell(request, "Jobs", "jobs.html", rows=rows, faults=shown, waiting=waiting)

    async def one(request: Request) -> Response:
        job = await find(request)
        if job is None:
            return missing(request)
        row = _row(job, disabled_jobs(engine), last_runs(engine), next_times(engine))
        runs = list_runs(engine, job=job.name)
        mails = mails_of(engine, [run.id for run in runs])
        history = [_told(run, job, mails.get(run.id, "")) for run in runs]
        said = SAID.get(request.query_params.get("said", ""), "")
        return shell(request, job.title, "job.html", job=job, row=row, history=history, said=said, limits=_limits(job))

    async def act(request: Request) -> Response:
        job, action = await find(request), request.path_params["action"]
        if job is None:
            return missing(request)
        by, now_us = request.state.person.id, time.time_ns() // 1000
        if action == "run":
            enqueue(engine, job, cause="manual", scheduled_us=now_us, now_us=now_us, requested_by=by)
        else:
            switch(engine, job.name, enabled=action == "on", by=by, now_us=now_us)
        return RedirectResponse(f"/jobs/{job.name}?said={'queued' if action == 'run' else action}", 303)

    async def find(request: Request) -> Job | None:
        jobs, _ = await asyncio.to_thread(read_jobs, job_files(settings), settings)
        return jobs.get(request.path_params["name"])

    def missing(request: Request) -> Response:
        body = Markup("<p>There is no such job. <a href='/jobs/'>All jobs</a></p>")
        return HTMLResponse(render_page("No such job", body, navigation=navigation(request)), 404)

    actions = [
        Route(f"/jobs/{{name}}/{action}", _with(act, action), methods=["POST"]) for action in ("run", "on", "off")
    ]
    return [Route("/jobs/", listing), Route("/jobs/jobs.css", style), Route("/jobs/{name}", one), *actions]


def _with(act: Any, action: str) -> Any:
    async def bound(request: Request) -> Response:
        request.path_params["action"] = action
        found: Response = await act(request)
        return found

    return bound


def _row(job: Job, off: set[str], last: Mapping[str, Run], due: Mapping[str, int]) -> dict[str, Any]:
    """What the list shows of a job."""
    next_us = due.get(job.name)
    if next_us is None and job.cron and (moment := job.next_time(datetime.now(UTC))):
        next_us = round(moment.timestamp() * 1e6)
    run = last.get(job.name)
    return {
        "job": job,
        "on": job.name not in off,
        "when": f"{job.cron.text} ({job.timezone})" if job.cron else f"after {job.after}",
        "next": in_zone(next_us, job) if next_us and job.name not in off else "",
        "next_utc": _utc(next_us) if next_us and job.name not in off and job.timezone != "UTC" else "",
        "last": _told(run, job, "") if run else None,
    }


def _told(run: Run, job: Job, mail: str) -> dict[str, Any]:
    """What the history shows of a run."""
    took = ""
    if run.started_us and run.finished_us and run.state in ("done", "failed"):
        took = f"{(run.finished_us - run.started_us) / 1e6:.0f} s"
    state = "retrying" if run.state == "queued" and run.attempt else run.state
    return {
        "run": run,
        "state": state,
        "due": in_zone(run.scheduled_us, job),
        "ended": in_zone(run.finished_us, job) if run.finished_us else "",
        "took": took,
        "cause": CAUSES[run.cause] + (f" ({run.requested_by})" if run.requested_by else ""),
        "mail": mail,
    }


def _limits(job: Job) -> str:
    """The limits of a job in words."""
    seconds = job.timeout_seconds
    span = f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"
    tries = "one attempt" if not job.retries else f"up to {job.retries + 1} attempts"
    kept = f", the newest {job.keep} are kept" if job.kind == "report" else ""
    return f"{span} a run, {tries}{kept}"


def in_zone(time_us: int, job: Job) -> str:
    """A time for people in the zone of a job, to the minute."""
    return datetime.fromtimestamp(time_us / 1e6, job.zone).strftime("%Y-%m-%d %H:%M %Z")


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%H:%M UTC")
