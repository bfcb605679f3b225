"""Whose rows a job reads: those of the person who published it."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.errors import Forbidden
from workbench.query import matchers_text, policy_of, read_policies
from workbench.sandbox import available
from workbench.store import state


def rows_of_publisher(engine: sa.Engine, name: str) -> str:
    """The label matchers of a publisher by name, `{}` where nothing limits him; without a name the owner's.

    Raises Forbidden for somebody who is not there any more, and where the system has no sandbox for anybody but an
    admin: what he wrote would run with the rights of the workbench.
    """
    if not name:
        return "{}"
    users = state.users
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(users.c.id, users.c.role).where(users.c.name == name, users.c.disabled_us.is_(None))
        ).one_or_none()
    if row is None:
        raise Forbidden(f"its publisher {name!r} is not there any more", where="publisher", hint="Publish it again.")
    if row.role != "admin" and (reason := available()):
        raise Forbidden(f"what {name!r} wrote may run in a sandbox alone. {reason.rstrip('.')}", where="publisher")
    return matchers_text(policy_of(read_policies(engine), row.role, f"user:{row.id}"))
