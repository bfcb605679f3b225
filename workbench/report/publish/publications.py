"""Publications: what was handed in, by whom, and what became of it.

queued or checking -> refused (a demand is not met), pending (a job waits for an operator) or published; pending ->
published or refused; published -> undone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from workbench.errors import InputError
from workbench.store import state

KINDS = ("board", "report", "job")
APPROVERS = ("operator", "admin")
PUBLISHERS = ("analyst", "admin")


@dataclass(frozen=True)
class Check:
    """One demand: whether it is met, and what was found."""

    name: str
    passed: bool
    said: str

    def as_dict(self) -> dict[str, Any]:
        """As the state keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class Publication:
    """One row. `state` is queued, checking, refused, pending, published or undone; `files` are texts by path."""

    id: int
    name: str
    kind: str
    state: str
    notebook_sha256: str
    files: Mapping[str, str]
    replaced: Mapping[str, str | None]
    checks: tuple[Check, ...]
    published_by: str
    created_us: int
    decided_by: str
    decided_us: int | None


def publications(engine: sa.Engine, *, states: Iterable[str] = (), limit: int = 200) -> list[Publication]:
    """Publications, the newest first."""
    table = state.publications
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if wanted := list(states):
        query = query.where(table.c.state.in_(wanted))
    with engine.connect() as connection:
        return [_publication(row) for row in connection.execute(query)]


def newest_published(engine: sa.Engine, name: str, kind: str = "") -> Publication | None:
    """The newest that is published under a name, of a kind or of any."""
    found = publications(engine, states=["published"], limit=10_000)
    return next((one for one in found if one.name == name and kind in ("", one.kind)), None)


def get_publication(engine: sa.Engine, number: int) -> Publication:
    """One publication by its number. Raises InputError."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(state.publications).where(state.publications.c.id == number)).one_or_none()
    if row is None:
        raise InputError(f"there is no publication {number}", hint="`workbench publish --history` lists all.")
    return _publication(row)


def give_up_examining(number: int, why: str, *, engine: sa.Engine) -> None:
    """Refuse what could not be examined to the end; nothing happens where it was."""
    refused = Check("could be examined", False, why).as_dict()
    move(engine, number, "queued", state="refused", checks=[refused])


def next_queued(engine: sa.Engine) -> int | None:
    """The oldest publication that waits to be examined."""
    table = state.publications
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.min(table.c.id)).where(table.c.state == "queued")).scalar()


def may_approve(engine: sa.Engine, name: str) -> bool:
    """Whether a user may approve jobs: an operator or an admin who may sign in."""
    users = state.users
    query = sa.select(users.c.id).where(
        users.c.name == name, users.c.role.in_(APPROVERS), users.c.disabled_us.is_(None)
    )
    with engine.connect() as connection:
        return connection.execute(query).first() is not None


def move(engine: sa.Engine, number: int, before: str, **values: Any) -> bool:
    """Change a publication that is in the state `before`; whether it was: of two who decide, one does."""
    table = state.publications
    with engine.begin() as connection:
        mine = sa.and_(table.c.id == number, table.c.state == before)
        return bool(connection.execute(sa.update(table).where(mine).values(**values)).rowcount)


def _publication(row: Any) -> Publication:
    return Publication(
        row.id,
        row.name,
        row.kind,
        row.state,
        row.notebook_sha256,
        row.files,
        row.replaced,
        tuple(Check(**check) for check in row.checks),
        row.published_by,
        row.created_us,
        row.decided_by or "",
        row.decided_us,
    )


def now_us() -> int:
    """The present, microseconds UTC."""
    return time.time_ns() // 1000
