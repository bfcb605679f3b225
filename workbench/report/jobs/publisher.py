"""Whose rows a job reads: those of the person who published it."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.errors import Forbidden
from workbench.query import matchers_text, policy_of, read_policies
from workbench.store import state


def rows_of_publisher(engine: sa.Engine, name: str) -> str:
    """The label matchers of a publisher by name, `{}` where nothing limits him; without a name the owner's.

    Raises Forbidden for somebody who is not there any more.
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
    return matchers_text(policy_of(read_policies(engine), row.role, f"user:{row.id}"))
