"""Who may come in: users, one-time sign-in links, sessions and tokens, as functions over the relational state.

Secrets are 256 random bits. Only their SHA-256 digest is stored (a slow hash protects guessable passwords; these cannot
be guessed), so nothing in the home signs anybody in. Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from workbench.errors import InputError, SignInRequired
from workbench.store import state

ROLES = ("ingest", "viewer", "analyst", "operator", "admin")
LINK_SECONDS = 300
SESSION_SECONDS = 30 * 24 * 3600
TICKET_SECONDS = 30
FRESH_SECONDS = 15 * 60  # so long after signing in may an admin change people and their rights
REMEMBERED_SECONDS = 1.0  # a revocation is felt everywhere within it
OWNER = "owner"

Clock = Callable[[], float]


@dataclass(frozen=True)
class Person:
    """Who stands at a door: `id` is `user:1` or `token:3`, `role` one of ROLES.

    Of a user also the name, when he last proved who he is (0: a token never did), and the digest of his session.
    """

    id: str
    role: str
    name: str = field(default="", compare=False)
    signed_in_us: int = field(default=0, compare=False)
    session: str = field(default="", compare=False)

    @property
    def user_id(self) -> int:
        """The number of a user; 0 for a token, which is nobody."""
        kind, _, number = self.id.partition(":")
        return int(number) if kind == "user" else 0


@dataclass(frozen=True)
class Arrival:
    """How somebody signed in, as lists of sessions show it: by `link`, `password` or `oidc`, with what, from where."""

    method: str = "link"
    agent: str = ""
    address: str = ""


def is_fresh(person: Person, *, clock: Clock = time.time) -> bool:
    """Whether somebody proved who he is recently enough to change what people may do. A token never did."""
    return person.signed_in_us > _now_us(clock) - FRESH_SECONDS * 1_000_000


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_owner(engine: sa.Engine, *, clock: Clock = time.time) -> int:
    """The id of the owner, an admin; made at the first start."""
    with engine.begin() as connection:
        found = connection.execute(sa.select(state.users.c.id).where(state.users.c.name == OWNER)).scalar()
        if found is not None:
            return int(found)
        made = connection.execute(
            state.users.insert().values(name=OWNER, role="admin", created_us=_now_us(clock))
        ).inserted_primary_key
        return int(made[0]) if made else 0


def create_link(engine: sa.Engine, user_id: int, *, seconds: int = LINK_SECONDS, clock: Clock = time.time) -> str:
    """A secret that signs `user_id` in once, within `seconds`."""
    secret = secrets.token_urlsafe(32)
    now = _now_us(clock)
    links = state.signin_links
    with engine.begin() as connection:
        connection.execute(links.delete().where(links.c.expires_us < now))
        connection.execute(
            links.insert().values(digest=digest(secret), user_id=user_id, expires_us=now + seconds * 1_000_000)
        )
    return secret


def use_link(engine: sa.Engine, secret: str, *, arrival: Arrival = Arrival(), clock: Clock = time.time) -> str:
    """Trade the secret of a sign-in link for the secret of a session. Raises SignInRequired if used, old or unknown."""
    now = _now_us(clock)
    links = state.signin_links
    with engine.begin() as connection:
        # One statement decides who used it: of two that come at once, one sees no row changed.
        used = connection.execute(
            links.update()
            .where(links.c.digest == digest(secret), links.c.used_us.is_(None), links.c.expires_us > now)
            .values(used_us=now)
        )
        if used.rowcount != 1:
            raise SignInRequired(
                "this sign-in link was used already, is too old or was never given out",
                hint="`workbench open` prints a new one.",
            )
        user_id = connection.execute(sa.select(links.c.user_id).where(links.c.digest == digest(secret))).scalar_one()
        return open_session(connection, user_id, arrival, now)


def open_session(connection: sa.Connection, user_id: int, arrival: Arrival, now_us: int) -> str:
    """The secret of a new session for somebody who has just proved who he is."""
    session = secrets.token_urlsafe(32)
    connection.execute(state.sessions.delete().where(state.sessions.c.expires_us < now_us))
    connection.execute(
        state.sessions.insert().values(
            digest=digest(session),
            user_id=user_id,
            created_us=now_us,
            expires_us=now_us + SESSION_SECONDS * 1_000_000,
            signed_in_us=now_us,
            method=arrival.method,
            agent=arrival.agent[:200],
            address=arrival.address,
        )
    )
    return session


def create_ticket(engine: sa.Engine, session: str, *, clock: Clock = time.time) -> str:
    """A secret that lets the holder of `session` into the notebook origin once, within TICKET_SECONDS."""
    secret, now, table = secrets.token_urlsafe(32), _now_us(clock), state.tickets
    with engine.begin() as connection:
        connection.execute(table.delete().where(table.c.expires_us < now))
        connection.execute(
            table.insert().values(
                digest=digest(secret), session=digest(session), expires_us=now + TICKET_SECONDS * 1_000_000
            )
        )
    return secret


def use_ticket(engine: sa.Engine, secret: str, *, clock: Clock = time.time) -> str:
    """Trade a ticket for the secret of a session of the notebook origin. Raises SignInRequired if it is used or old."""
    now, table, sessions = _now_us(clock), state.tickets, state.sessions
    with engine.begin() as connection:
        known = table.c.digest == digest(secret)
        parent = connection.execute(sa.select(table.c.session).where(known, table.c.expires_us > now)).scalar()
        # One statement decides who used it: of two that come at once, one sees no row deleted.
        used = connection.execute(table.delete().where(known)).rowcount
        row = connection.execute(sa.select(sessions).where(sessions.c.digest == parent)).first() if parent else None
        if used != 1 or row is None:
            raise SignInRequired("this ticket was used already or is too old", hint="Open the page again from there.")
        session = secrets.token_urlsafe(32)
        connection.execute(
            sessions.insert().values(
                digest=digest(session),
                user_id=row.user_id,
                created_us=now,
                expires_us=row.expires_us,
                parent=row.digest,
            )
        )
    return session


def sign_out(engine: sa.Engine, session: str, *, clock: Clock = time.time) -> None:
    """End a session; an unknown one is no error."""
    with engine.begin() as connection:
        connection.execute(
            state.sessions.update()
            .where(state.sessions.c.digest == digest(session), state.sessions.c.revoked_us.is_(None))
            .values(revoked_us=_now_us(clock))
        )


def create_token(
    engine: sa.Engine, role: str, *, name: str = "", expires_seconds: int | None = None, clock: Clock = time.time
) -> str:
    """A new token in plain text, which is shown once and never stored. Raises InputError for an unknown role."""
    if role not in ROLES:
        raise InputError(f"there is no role {role!r}", where="role", hint=f"Roles: {', '.join(ROLES)}.")
    secret = "wb_" + secrets.token_urlsafe(32)
    now = _now_us(clock)
    with engine.begin() as connection:
        connection.execute(
            state.tokens.insert().values(
                digest=digest(secret),
                role=role,
                name=name,
                created_us=now,
                expires_us=None if expires_seconds is None else now + expires_seconds * 1_000_000,
            )
        )
    return secret


def list_tokens(engine: sa.Engine) -> list[dict[str, Any]]:
    """All tokens: id, role, name, created_us, expires_us, revoked_us. Never the secret."""
    table = state.tokens
    columns = (table.c.id, table.c.role, table.c.name, table.c.created_us, table.c.expires_us, table.c.revoked_us)
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(*columns).order_by(table.c.id))]


def revoke_tokens(
    engine: sa.Engine, *, token_id: int | None = None, name: str | None = None, clock: Clock = time.time
) -> int:
    """Revoke by id or by name; the number of tokens that were valid until now."""
    table = state.tokens
    chosen = table.c.id == token_id if token_id is not None else table.c.name == name
    with engine.begin() as connection:
        done = connection.execute(
            table.update().where(chosen, table.c.revoked_us.is_(None)).values(revoked_us=_now_us(clock))
        )
        return int(done.rowcount)


def find_token(engine: sa.Engine, secret: str, *, clock: Clock = time.time) -> Person | None:
    """Whose token this is, or None if it is unknown, revoked or expired."""
    table, now = state.tokens, _now_us(clock)
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(table.c.id, table.c.role).where(
                table.c.digest == digest(secret),
                table.c.revoked_us.is_(None),
                sa.or_(table.c.expires_us.is_(None), table.c.expires_us > now),
            )
        ).first()
    return Person(f"token:{row.id}", row.role) if row else None


def find_session(engine: sa.Engine, secret: str, *, notebook: bool = False, clock: Clock = time.time) -> Person | None:
    """Whose session this is, or None if it is unknown, ended or expired, or its user is disabled.

    `notebook` asks for a session of the notebook origin, which also ends with the one that it came from; a session of
    one origin counts nothing on the other.
    """
    sessions, users, now = state.sessions, state.users, _now_us(clock)
    parents = sessions.alias("parents")
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(users.c.id, users.c.role, users.c.name, sessions.c.signed_in_us, sessions.c.digest)
            .select_from(
                sessions.join(users, sessions.c.user_id == users.c.id).outerjoin(
                    parents, sessions.c.parent == parents.c.digest
                )
            )
            .where(
                sessions.c.digest == digest(secret),
                sessions.c.revoked_us.is_(None),
                sessions.c.expires_us > now,
                users.c.disabled_us.is_(None),
                parents.c.digest.is_not(None) if notebook else sessions.c.parent.is_(None),
                parents.c.revoked_us.is_(None),
            )
        ).first()
    if row is None:
        return None
    return Person(f"user:{row.id}", row.role, row.name, row.signed_in_us or 0, row.digest)


def find_notebook_session(engine: sa.Engine, secret: str, *, clock: Clock = time.time) -> Person | None:
    """Whose session of the notebook origin this is, or None."""
    return find_session(engine, secret, notebook=True, clock=clock)


class Resolver:
    """Finds the person behind a token or a session, and remembers the answer for at most REMEMBERED_SECONDS.

    Refusals are remembered too, in the same bounded table, so that guessing does not read the disk each time.
    """

    capacity = 4096

    def __init__(self, engine: sa.Engine, *, clock: Clock = time.time, monotonic: Clock = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], tuple[float, Person | None]] = {}

    def token(self, secret: str) -> Person:
        """The holder of a token. Raises SignInRequired."""
        person = self._resolve("token", secret, find_token)
        if person is None:
            raise SignInRequired("the token is wrong, revoked or expired", hint="`workbench token create` makes one.")
        return person

    def session(self, secret: str) -> Person | None:
        """The user of a session, or None."""
        return self._resolve("session", secret, find_session)

    def notebook_session(self, secret: str) -> Person | None:
        """The user of a session of the notebook origin, or None."""
        return self._resolve("notebook", secret, find_notebook_session)

    def forget(self) -> None:
        """Ask the state again from now on; after a sign-out in this process."""
        self._known.clear()

    def _resolve(self, kind: str, secret: str, find: Callable[..., Person | None]) -> Person | None:
        key, now = (kind, digest(secret)), self._monotonic()
        known = self._known.get(key)
        if known and now - known[0] < REMEMBERED_SECONDS:
            return known[1]
        person = find(self._engine, secret, clock=self._clock)
        if len(self._known) >= self.capacity:
            self._known.clear()
        self._known[key] = (now, person)
        return person


def _now_us(clock: Clock) -> int:
    return int(clock() * 1_000_000)
