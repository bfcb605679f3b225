"""Users, links, sessions, tokens."""

from __future__ import annotations

import contextlib
import threading

import pytest
import sqlalchemy as sa

from workbench.errors import InputError, SignInRequired
from workbench.serve.identity import people
from workbench.store import state


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def everything_stored(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        return repr([connection.execute(sa.select(table)).all() for table in state.metadata.sorted_tables])


def test_the_owner_is_made_once(engine):
    assert people.create_owner(engine) == people.create_owner(engine)
    session = people.use_link(engine, people.create_link(engine, people.create_owner(engine)))
    assert people.find_session(engine, session) == people.Person("user:1", "admin")


def test_no_secret_is_stored(engine):
    owner = people.create_owner(engine)
    link = people.create_link(engine, owner)
    token = people.create_token(engine, "viewer", name="mine")
    session = people.use_link(engine, link)
    stored = everything_stored(engine)
    for secret in (link, token, session):
        assert secret not in stored
        assert secret.removeprefix("wb_") not in stored
        assert people.digest(secret) in stored


def test_a_link_is_used_once_even_by_many_at_once(engine):
    link = people.create_link(engine, people.create_owner(engine))
    won: list[str] = []
    start = threading.Barrier(8)

    def use() -> None:
        start.wait()
        with contextlib.suppress(SignInRequired):
            won.append(people.use_link(engine, link))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_link_is_good_for_five_minutes(engine, clock):
    owner = people.create_owner(engine)
    young, old = (people.create_link(engine, owner, clock=clock) for _ in range(2))
    clock.now += 299
    people.use_link(engine, young, clock=clock)
    clock.now += 1
    with pytest.raises(SignInRequired, match="workbench open"):
        people.use_link(engine, old, clock=clock)


def test_a_session_ends_after_thirty_days_or_with_its_user(engine, clock):
    owner = people.create_owner(engine)
    session = people.use_link(engine, people.create_link(engine, owner, clock=clock), clock=clock)
    clock.now += 30 * 24 * 3600 - 1
    assert people.find_session(engine, session, clock=clock)
    clock.now += 1
    assert people.find_session(engine, session, clock=clock) is None
    other = people.use_link(engine, people.create_link(engine, owner, clock=clock), clock=clock)
    assert people.find_session(engine, other, clock=clock)
    with engine.begin() as connection:
        connection.execute(state.users.update().values(disabled_us=1))
    assert people.find_session(engine, other, clock=clock) is None


@pytest.mark.parametrize("role", people.ROLES)
def test_a_token_has_its_role(engine, role):
    token = people.create_token(engine, role, name="x")
    assert people.find_token(engine, token) == people.Person("token:1", role)
    assert people.find_token(engine, token + "x") is None
    assert people.find_token(engine, "") is None


def test_an_unknown_role_is_refused(engine):
    with pytest.raises(InputError, match="viewer"):
        people.create_token(engine, "root")
    assert people.list_tokens(engine) == []


def test_a_token_expires(engine, clock):
    token = people.create_token(engine, "viewer", expires_seconds=60, clock=clock)
    clock.now += 59
    assert people.find_token(engine, token, clock=clock)
    clock.now += 1
    assert people.find_token(engine, token, clock=clock) is None


def test_a_revocation_is_felt_within_a_second(engine, clock):
    token = people.create_token(engine, "viewer")
    resolver = people.Resolver(engine, monotonic=clock)
    assert resolver.token(token).role == "viewer"
    assert people.revoke_tokens(engine, token_id=1) == 1
    assert people.revoke_tokens(engine, token_id=1) == 0
    clock.now += 1.0
    with pytest.raises(SignInRequired):
        resolver.token(token)


def test_the_resolver_reads_once_a_second_and_stays_bounded(engine, clock, monkeypatch):
    token = people.create_token(engine, "viewer")
    reads = []
    find = people.find_token
    monkeypatch.setattr(people, "find_token", lambda *args, **more: reads.append(1) or find(*args, **more))
    resolver = people.Resolver(engine, monotonic=clock)
    for _ in range(100):
        resolver.token(token)
    assert len(reads) == 1
    monkeypatch.setattr(resolver, "capacity", 50)
    for guess in range(200):
        with pytest.raises(SignInRequired):
            resolver.token(f"guess {guess}")
        assert len(resolver._known) <= 50


def test_tokens_are_listed_without_secrets(engine):
    secret = people.create_token(engine, "ingest", name="exporter", expires_seconds=60)
    (row,) = people.list_tokens(engine)
    assert {"id", "role", "name", "created_us", "expires_us", "revoked_us"} == set(row)
    assert secret not in repr(row)
