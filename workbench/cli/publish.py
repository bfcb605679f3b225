"""`workbench publish`: a notebook becomes a board, a report or a job; history, approval, and the way back."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench import config, log
from workbench.cli.state import opened_state
from workbench.config import Settings
from workbench.errors import InputError
from workbench.report import (
    PUBLISHERS,
    Publication,
    decide,
    examine,
    hand_in,
    may_approve,
    newest_published,
    publications,
    render_snapshot,
    undo,
)
from workbench.serve import audit, home, people, users
from workbench.store import state


def publish(options: argparse.Namespace) -> int:
    """Do what the flags say."""
    settings = config.load(options.home)
    log.configure("publish", level="WARNING", json=False)
    with opened_state(options) as engine:
        home.use_caches(settings)
        people.create_owner(engine)
        if options.history:
            for one in publications(engine):
                print(_line(one))
            return 0
        if options.undo:
            newest = newest_published(engine, options.undo)
            if newest is None:
                hint = "`workbench publish --history` lists all."
                raise InputError(f"nothing of the name {options.undo!r} is published", hint=hint)
            return _told(undo(newest.id, by=options.by, settings=settings, engine=engine), settings)
        if options.approve is not None or options.refuse is not None:
            number = options.refuse if options.approve is None else options.approve
            approve = options.approve is not None
            if not may_approve(engine, options.by):
                raise InputError(f"{options.by} may not approve jobs", where="--by", hint="Operators and admins may.")
            return _told(decide(number, approve=approve, by=options.by, settings=settings, engine=engine), settings)
        return _publish(options, settings, engine)


def _publish(options: argparse.Namespace, settings: Settings, engine: sa.Engine) -> int:
    if not options.notebook or not options.kind:
        raise InputError("name a notebook and what it becomes", hint="workbench publish NOTEBOOK --as board|report|job")
    if _role(engine, options.by) not in PUBLISHERS:
        raise InputError(f"{options.by} may not publish", where="--by", hint="Analysts and admins may.")
    taken = hand_in(
        _file(options.notebook, settings),
        options.kind,
        by=options.by,
        settings=settings,
        engine=engine,
        name=options.name,
        schedule=_schedule(options),
    )
    done = examine(taken.id, settings=settings, engine=engine)
    for check in done.checks:
        print(f"{'ok ' if check.passed else 'NO '} {check.name}: {check.said}")
    if done.state == "published" and done.kind == "board":
        render_snapshot(done.name, settings=settings)
    return _told(done, settings)


def _told(done: Publication, settings: Settings) -> int:
    """Keep who did it, and say what came of it and where it is."""
    actor = done.decided_by or done.published_by
    audit.from_command_line(settings)(actor, f"publication {done.state}", done.name, kind=done.kind, number=done.id)
    places = {
        "board": f"Its board: /boards/{done.name}",
        "report": f"Run it: workbench report {done.name}",
        "job": f"Its page: /jobs/{done.name}",
    }
    print(_line(done))
    if done.state == "published":
        print(f"{places[done.kind]}. Back: workbench publish --undo {done.name}")
    elif done.state == "pending":
        print("An operator has to approve it, at /jobs/ or by `workbench publish --approve`.")
    return 1 if done.state == "refused" and not done.decided_by else 0


def _schedule(options: argparse.Namespace) -> dict[str, Any]:
    given = {
        "title": options.title,
        "about": options.about,
        "cron": options.schedule,
        "timezone": options.timezone,
        "after": options.after,
        "date": options.date,
        "recipients": options.to,
    }
    return {key: value for key, value in given.items() if value}


def _file(text: str, settings: Settings) -> Path:
    """The notebook that was named: a file, or one of the home."""
    named = settings.home / "notebooks" / f"{text}.ipynb"
    return named if not Path(text).is_file() and named.is_file() else Path(text)


def _role(engine: sa.Engine, name: str) -> str:
    number = users.find_user(engine, name)
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(state.users.c.role).where(state.users.c.id == number, state.users.c.disabled_us.is_(None))
        ).one_or_none()
    if row is None:
        raise InputError(f"{name} may not sign in", where="--by")
    return str(row.role)


def _line(one: Publication) -> str:
    made = datetime.fromtimestamp(one.created_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
    decided = one.decided_by and (one.decided_by != one.published_by or one.state != "published")
    by = f"by {one.published_by}" + (f", {one.state} by {one.decided_by}" if decided else "")
    return f"{one.id:>4}  {made}  {one.kind:<6} {one.name:<24} {one.state:<9} {by}"
