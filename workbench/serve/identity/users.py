"""Users and what they sign in with, as functions over the relational state. Times are microseconds since 1970 UTC.

One admin stays at all times, and the owner stays one: `workbench open` must lead to somebody who can mend things.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from workbench.errors import InputError, SignInRequired
from workbench.serve.identity import passwords
from workbench.serve.identity.people import (
    LINK_SECONDS,
    OWNER,
    ROLES,
    Arrival,
    Clock,
    create_link,
    find_session,
    open_session,
)
from workbench.store import state

PERSON_ROLES = tuple(role for role in ROLES if role != "ingest")
NAME = re.compile(r"[\w][\w.@+-]{0,63}")
SHORT_DIGEST = 16  # of a session's digest: enough to tell it from the others of a user, and it signs nobody in


def add_user(engine: sa.Engine, name: str, role: str, *, subject: str | None = None, clock: Clock = time.time) -> int:
    """The id of a new user. Raises InputError for a name that is taken or odd, or an unknown role."""
    _check_role(role)
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be a name", where="name", hint="Letters, digits and . @ + - _, at most 64 of them."
        )
    users = state.users
    with engine.begin() as connection:
        if connection.execute(sa.select(users.c.id).where(sa.func.lower(users.c.name) == name.lower())).first():
            raise InputError(f"there is a user {name!r} already", where="name")
        made = connection.execute(
            users.insert().values(name=name, role=role, created_us=_now_us(clock), subject=subject)
        ).inserted_primary_key
        return int(made[0]) if made else 0


def find_user(engine: sa.Engine, name: str) -> int:
    """The id of the user of that name. Raises InputError."""
    users = state.users
    with engine.connect() as connection:
        found = connection.execute(sa.select(users.c.id).where(sa.func.lower(users.c.name) == name.lower())).scalar()
    if found is None:
        raise InputError(f"there is no user {name!r}", where="name", hint="`workbench user list` shows them.")
    return int(found)


def get_user(engine: sa.Engine, user_id: int) -> Mapping[str, Any]:
    """Id, name, role, created_us, disabled_us, has_password, subject, sessions (how many). Raises InputError."""
    for user in list_users(engine):
        if user["id"] == user_id:
            return user
    raise InputError(f"there is no user {user_id}", where="user")


def list_users(engine: sa.Engine, *, clock: Clock = time.time) -> list[dict[str, Any]]:
    """All users as `get_user` gives them, by name; passwords never, only whether there is one."""
    users, sessions = state.users, state.sessions
    open_ones = (
        sa.select(sa.func.count())
        .where(sessions.c.user_id == users.c.id, *_valid(_now_us(clock)))
        .scalar_subquery()
        .label("sessions")
    )
    columns = (users.c.id, users.c.name, users.c.role, users.c.created_us, users.c.disabled_us, users.c.subject)
    has_password = users.c.password.is_not(None).label("has_password")
    with engine.connect() as connection:
        found = connection.execute(sa.select(*columns, has_password, open_ones).order_by(sa.func.lower(users.c.name)))
        return [dict(row._mapping) for row in found]


def invite(engine: sa.Engine, user_id: int, *, seconds: int = LINK_SECONDS, clock: Clock = time.time) -> str:
    """The secret of a link that signs a user in once. Raises InputError for one who is disabled."""
    user = get_user(engine, user_id)
    if user["disabled_us"]:
        raise InputError(f"{user['name']} is disabled", where="user", hint="Enable him first.")
    return create_link(engine, user_id, seconds=seconds, clock=clock)


def set_role(engine: sa.Engine, user_id: int, role: str) -> None:
    """Give a user another role, felt everywhere within a second. Raises InputError."""
    _check_role(role)
    if role != "admin":
        _keep_an_admin(engine, user_id, "lose the role of an admin")
    _update(engine, user_id, role=role)


def disable(engine: sa.Engine, user_id: int, *, clock: Clock = time.time) -> None:
    """Let a user in no more: his sessions end and his links are void. Raises InputError."""
    _keep_an_admin(engine, user_id, "be disabled")
    _update(engine, user_id, disabled_us=_now_us(clock))
    end_sessions(engine, user_id, clock=clock)
    with engine.begin() as connection:
        connection.execute(state.signin_links.delete().where(state.signin_links.c.user_id == user_id))


def enable(engine: sa.Engine, user_id: int) -> None:
    """Let a user in again, who then signs in anew. Raises InputError."""
    _update(engine, user_id, disabled_us=None)


def set_password(
    engine: sa.Engine, user_id: int, password: str, *, keep_session: str = "", clock: Clock = time.time
) -> None:
    """Give a user a password and end his other sessions, so that whoever knew the old one is out.

    `keep_session` is the digest of the one that stays. Raises InputError for a password that would be guessed.
    """
    passwords.check_strength(password, get_user(engine, user_id)["name"])
    _update(engine, user_id, password=passwords.hash_password(password))
    end_sessions(engine, user_id, keep=keep_session, clock=clock)


def check_password(engine: sa.Engine, user_id: int, password: str) -> bool:
    """Whether that is the user's password."""
    with engine.connect() as connection:
        stored = connection.execute(sa.select(state.users.c.password).where(state.users.c.id == user_id)).scalar()
    return passwords.matches(stored, password)


def sign_in(engine: sa.Engine, name: str, password: str, arrival: Arrival, *, clock: Clock = time.time) -> str:
    """The secret of a session. Raises SignInRequired, in the same words and after the same time whatever was wrong."""
    users = state.users
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(users.c.id, users.c.password).where(
                sa.func.lower(users.c.name) == name.strip().lower(), users.c.disabled_us.is_(None)
            )
        ).first()
    if not passwords.matches(row.password if row else None, password) or row is None:
        raise SignInRequired("name or password is wrong", hint="An admin, or `workbench user link`, can help.")
    with engine.begin() as connection:
        return open_session(connection, row.id, arrival, _now_us(clock))


def any_password(engine: sa.Engine) -> bool:
    """Whether anybody can sign in with a password at all."""
    with engine.connect() as connection:
        return (
            connection.execute(sa.select(state.users.c.id).where(state.users.c.password.is_not(None))).first()
            is not None
        )


def renew_session(engine: sa.Engine, old: str, new: str, *, clock: Clock = time.time) -> str:
    """Which of two sessions of one browser goes on, by their secrets; the other one ends.

    Where both are of one user that is the old one, with a note that he proved anew who he is: what hangs on it at the
    notebook origin stays open.
    """
    before, after = find_session(engine, old, clock=clock), find_session(engine, new, clock=clock)
    if before is None or after is None:
        return new
    same = before.id == after.id
    table = state.sessions
    with engine.begin() as connection:
        if same:
            proved = table.update().where(table.c.digest == before.session).values(signed_in_us=after.signed_in_us)
            connection.execute(proved)
        ended = after if same else before
        connection.execute(table.update().where(table.c.digest == ended.session).values(revoked_us=_now_us(clock)))
    return old if same else new


def list_sessions(engine: sa.Engine, user_id: int, *, clock: Clock = time.time) -> list[dict[str, Any]]:
    """A user's open sessions, newest first: id (part of the digest), created_us, method, agent, address."""
    table = state.sessions
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(table)
            .where(table.c.user_id == user_id, *_valid(_now_us(clock)))
            .order_by(table.c.created_us.desc())
        ).all()
    return [
        {
            "id": row.digest[:SHORT_DIGEST],
            "created_us": row.created_us,
            "method": row.method or "link",
            "agent": row.agent or "",
            "address": row.address or "",
        }
        for row in rows
    ]


def end_sessions(
    engine: sa.Engine, user_id: int, *, session_id: str = "", keep: str = "", clock: Clock = time.time
) -> int:
    """End a user's sessions: the one of that id, or all but `keep` (a digest); the number that ended."""
    table = state.sessions
    chosen = sa.func.substr(table.c.digest, 1, SHORT_DIGEST) == session_id if session_id else table.c.digest != keep
    now = _now_us(clock)
    with engine.begin() as connection:
        ended = connection.execute(
            table.update().where(table.c.user_id == user_id, chosen, *_valid(now)).values(revoked_us=now)
        )
        return int(ended.rowcount)


def _valid(now_us: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Of sessions of the main origin; those of the notebooks end with them."""
    table = state.sessions
    return table.c.revoked_us.is_(None), table.c.expires_us > now_us, table.c.parent.is_(None)


def _check_role(role: str) -> None:
    if role not in PERSON_ROLES:
        raise InputError(f"no person has the role {role!r}", where="role", hint=f"Roles: {', '.join(PERSON_ROLES)}.")


def _keep_an_admin(engine: sa.Engine, user_id: int, what: str) -> None:
    user = get_user(engine, user_id)
    if user["name"] == OWNER:
        raise InputError(f"the owner cannot {what}", where="user")
    others = [
        one for one in list_users(engine) if one["role"] == "admin" and not one["disabled_us"] and one["id"] != user_id
    ]
    if user["role"] == "admin" and not others:
        raise InputError(f"the last admin cannot {what}", where="user")


def _update(engine: sa.Engine, user_id: int, **values: Any) -> None:
    with engine.begin() as connection:
        changed = connection.execute(state.users.update().where(state.users.c.id == user_id).values(**values))
        if changed.rowcount != 1:
            raise InputError(f"there is no user {user_id}", where="user")


def _now_us(clock: Clock) -> int:
    return int(clock() * 1_000_000)
