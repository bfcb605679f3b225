"""Whose rows a job reads: those of the person who published it."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.errors import Forbidden, InputError
from workbench.query import matchers_text, rows_of_user
from workbench.store import state


def rows_of_publisher(engine: sa.Engine, name: str) -> str:
    """The label matchers of a publisher by name, `{}` where nothing limits him; without a name the owner's.

    Raises Forbidden for somebody who is not there any more.
    """
    if not name:
        return "{}"
    try:
        matchers = rows_of_user(engine, name)
    except InputError:
        raise _gone(name) from None
    with engine.connect() as connection:
        users = state.users
        off = connection.execute(
            sa.select(users.c.id).where(sa.func.lower(users.c.name) == name.lower(), users.c.disabled_us.is_not(None))
        )
        if off.first() is not None:
            raise _gone(name)
    return matchers_text(matchers)


def _gone(name: str) -> Forbidden:
    return Forbidden(f"its publisher {name!r} is not there any more", where="publisher", hint="Publish it again.")
