"""Rows policies: role or user -> label matchers, and the view of the data that a person gets.

A policy says which rows its subject may see, as PromQL writes matchers: `{domain=~"science|arts"}`. Whoever has none
sees all. Policies of one person (that of the role, that of the user) all have to hold. They are looked up at most once
a second, so a change is felt everywhere within one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from workbench.errors import InputError
from workbench.query import (
    Condition,
    Matchers,
    limited,
    matchers_text,
    parse_matchers,
    policy_of,
    read_policies,
)
from workbench.serve.identity.people import ROLES, Person
from workbench.serve.identity.users import find_user
from workbench.store import View, state

REMEMBERED_SECONDS = 0.9  # with the time that a request takes: felt within a second
VIEWS_MAX = 32
"""Different limits whose views are kept at once, each with the index of its series."""

SUBJECTS = "a role (`role:viewer`) or a user (`user:NAME`)"


def set_rows(engine: sa.Engine, subject: str, text: str, *, clock: Callable[[], float] = time.time) -> Matchers:
    """Let a role or a user see only rows that meet matchers; replaces what was set. Raises InputError.

    `subject` is `role:ROLE` or `user:NAME`.
    """
    matchers = parse_matchers(text)
    if not matchers:
        raise InputError("matchers without a condition limit nothing", where=text, hint="`workbench rows remove`.")
    key = _key(engine, subject)
    row = {"subject": key, "matchers": matchers_text(matchers), "changed_us": int(clock() * 1e6)}
    with engine.begin() as connection:
        connection.execute(sa.delete(state.rows_policies).where(state.rows_policies.c.subject == key))
        connection.execute(sa.insert(state.rows_policies).values(row))
    return matchers


def remove_rows(engine: sa.Engine, subject: str) -> bool:
    """Take the limit of a role or a user away; False if there was none. Raises InputError."""
    key = _key(engine, subject)
    with engine.begin() as connection:
        done = connection.execute(sa.delete(state.rows_policies).where(state.rows_policies.c.subject == key))
    return bool(done.rowcount)


def list_rows(engine: sa.Engine) -> list[tuple[str, str]]:
    """(`role:ROLE` or `user:NAME`, matchers) of every policy."""
    users, policies = state.users, state.rows_policies
    with engine.connect() as connection:
        people = connection.execute(sa.select(users.c.id, users.c.name))
        names = {f"user:{row.id}": f"user:{row.name}" for row in people}
        rows = connection.execute(sa.select(policies.c.subject, policies.c.matchers).order_by(policies.c.subject))
        return [(names.get(row.subject, row.subject), row.matchers) for row in rows]


def rows_of(engine: sa.Engine, person: Person) -> Matchers:
    """What the rows of a person have to meet; empty where nothing limits him."""
    return policy_of(read_policies(engine), person.role, person.id)


@dataclass(frozen=True, eq=False)
class Rows:
    """What people with one limit see: the same object for all of them, another as soon as the limit is changed.

    `matchers` are empty where nothing is limited; `condition` asks them of labels (alerts are shown by it).
    """

    matchers: Matchers
    view: View
    condition: Condition


class RowsViews:
    """The rows of each person, over one view. Thread-safe."""

    def __init__(self, view: View, engine: sa.Engine, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._engine = engine
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._policies: dict[str, Matchers] = {}
        self._read = -math.inf
        self._kept: OrderedDict[Matchers, Rows] = OrderedDict()

    def of(self, person: Person) -> Rows:
        """What a person may see by the policies as they are, or were less than a second ago."""
        with self._guard:
            now = self._monotonic()
            if now - self._read >= REMEMBERED_SECONDS:
                # Reads SQLite (0.1 ms), at most once a second in a process.
                self._policies, self._read = read_policies(self._engine), now
            matchers = policy_of(self._policies, person.role, person.id)
            if matchers not in self._kept:
                while len(self._kept) >= VIEWS_MAX:
                    self._kept.popitem(last=False)
                self._kept[matchers] = Rows(matchers, limited(self._view, matchers), Condition(matchers))
            self._kept.move_to_end(matchers)
            return self._kept[matchers]


def _key(engine: sa.Engine, subject: str) -> str:
    """`role:ROLE`, or `user:ID` of a user's name."""
    kind, _, name = subject.partition(":")
    if kind == "role" and name in ROLES:
        return subject
    if kind == "user":
        return f"user:{find_user(engine, name)}"
    raise InputError(f"{subject!r} is nobody", where="subject", hint=f"Name {SUBJECTS}. Roles: {', '.join(ROLES)}.")
