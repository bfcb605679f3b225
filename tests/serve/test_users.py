"""Users, passwords, and how many wrong tries are borne."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import Busy, InputError, SignInRequired
from workbench.serve.identity import passwords, people, users
from workbench.serve.identity.people import Arrival
from workbench.store import state

GOOD = "seven lamps under water"
pytestmark = pytest.mark.usefixtures("light_hashing")
BY_PASSWORD = Arrival("password", "Browser/1", "127.0.0.1")


@pytest.fixture
def anna(engine):
    people.create_owner(engine)
    return users.add_user(engine, "Anna", "analyst")


def session_of(engine, user_id: int) -> str:
    return people.use_link(engine, users.invite(engine, user_id))


def test_an_invite_leads_to_a_password_which_signs_in(engine, anna):
    invited = people.find_session(engine, session_of(engine, anna))
    assert (invited.name, invited.role, invited.user_id) == ("Anna", "analyst", anna)
    users.set_password(engine, anna, GOOD, keep_session=invited.session)
    session = users.sign_in(engine, " anna ", GOOD, BY_PASSWORD)
    assert people.find_session(engine, session) == invited
    assert [one["method"] for one in users.list_sessions(engine, anna)] == ["password", "link"]
    for wrong in ("", GOOD + "x", GOOD.upper()):
        with pytest.raises(SignInRequired, match="name or password"):
            users.sign_in(engine, "anna", wrong, BY_PASSWORD)


def test_wrong_name_and_wrong_password_look_alike_and_take_the_same_work(engine, anna, monkeypatch):
    worked = []
    verify = passwords._hasher.verify
    counting = SimpleNamespace(hash=passwords._hasher.hash, verify=lambda *args: worked.append(1) or verify(*args))
    monkeypatch.setattr(passwords, "_hasher", counting)
    users.set_password(engine, anna, GOOD)
    told = set()
    users.add_user(engine, "bob", "viewer")  # who has no password
    for name, password in (("anna", "wrong"), ("nobody", GOOD), ("bob", GOOD), ("owner", "")):
        with pytest.raises(SignInRequired) as refused:
            users.sign_in(engine, name, password, BY_PASSWORD)
        told.add(str(refused.value))
    assert len(told) == 1
    assert len(worked) == 4


def test_no_password_is_stored_and_equal_ones_differ(engine, anna):
    other = users.add_user(engine, "otto", "viewer")
    users.set_password(engine, anna, GOOD)
    users.set_password(engine, other, GOOD)
    with engine.connect() as connection:
        stored = [row.password for row in connection.execute(sa.select(state.users)) if row.password]
    assert all(text.startswith("$argon2id$") and GOOD not in text for text in stored)
    assert len(set(stored)) == 2


def test_the_work_of_a_guess(monkeypatch):
    monkeypatch.undo()
    hasher = passwords._hasher
    assert (hasher.type.name, hasher.memory_cost, hasher.time_cost) == ("ID", 64 * 1024, 3)


def test_a_new_password_ends_other_sessions(engine, anna):
    here, elsewhere = session_of(engine, anna), session_of(engine, anna)
    users.set_password(engine, anna, GOOD, keep_session=people.digest(here))
    assert people.find_session(engine, here)
    assert people.find_session(engine, elsewhere) is None


def test_disabling_ends_sessions_and_links_and_passwords(engine, anna):
    users.set_password(engine, anna, GOOD)
    session, link = session_of(engine, anna), users.invite(engine, anna)
    users.disable(engine, anna)
    assert people.find_session(engine, session) is None
    with pytest.raises(SignInRequired):
        people.use_link(engine, link)
    with pytest.raises(SignInRequired):
        users.sign_in(engine, "anna", GOOD, BY_PASSWORD)
    with pytest.raises(InputError, match="disabled"):
        users.invite(engine, anna)
    users.enable(engine, anna)
    assert people.find_session(engine, session) is None, "what ended stays ended"
    assert users.sign_in(engine, "anna", GOOD, BY_PASSWORD)


def test_a_change_of_role_is_felt_in_a_session_that_is_open(engine, anna):
    session = session_of(engine, anna)
    users.set_role(engine, anna, "viewer")
    assert people.find_session(engine, session).role == "viewer"


def test_there_is_always_an_admin_and_the_owner_is_one(engine, anna):
    owner = people.create_owner(engine)
    users.set_role(engine, anna, "admin")
    for change in (lambda: users.disable(engine, owner), lambda: users.set_role(engine, owner, "viewer")):
        with pytest.raises(InputError, match="owner"):
            change()
    users.disable(engine, anna)
    with pytest.raises(InputError, match="owner"):
        users.disable(engine, owner)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 65, "<b>", "-x", "ANNA", "owner"])
def test_odd_names_and_names_that_are_taken(engine, anna, name):
    with pytest.raises(InputError):
        users.add_user(engine, name, "viewer")


@pytest.mark.parametrize("role", ["ingest", "root", ""])
def test_roles_of_people(engine, anna, role):
    with pytest.raises(InputError, match="viewer"):
        users.set_role(engine, anna, role)
    assert users.get_user(engine, anna)["role"] == "analyst"


def test_sessions_are_listed_without_secrets_and_ended_one_by_one(engine, anna):
    one, two = session_of(engine, anna), session_of(engine, anna)
    listed = users.list_sessions(engine, anna)
    assert len(listed) == 2
    assert people.digest(one) not in repr(listed)
    assert users.end_sessions(engine, anna, session_id=people.digest(one)[: users.SHORT_DIGEST]) == 1
    assert people.find_session(engine, one) is None
    assert people.find_session(engine, two)
    owner = people.create_owner(engine)
    assert users.end_sessions(engine, owner, session_id=people.digest(two)[: users.SHORT_DIGEST]) == 0
    assert users.end_sessions(engine, anna) == 1


def test_signing_in_again_keeps_the_session_of_the_same_user_only(engine, anna):
    owner = people.create_owner(engine)
    now = 1_000_000.0
    old = people.use_link(engine, people.create_link(engine, anna, clock=lambda: now), clock=lambda: now)
    later = now + people.FRESH_SECONDS
    assert not people.is_fresh(people.find_session(engine, old, clock=lambda: later), clock=lambda: later)
    new = people.use_link(engine, people.create_link(engine, anna, clock=lambda: later), clock=lambda: later)
    assert users.renew_session(engine, old, new, clock=lambda: later) == old
    assert people.is_fresh(people.find_session(engine, old, clock=lambda: later), clock=lambda: later)
    assert people.find_session(engine, new, clock=lambda: later) is None
    other = people.use_link(engine, people.create_link(engine, owner, clock=lambda: later), clock=lambda: later)
    assert users.renew_session(engine, old, other, clock=lambda: later) == other
    assert people.find_session(engine, old, clock=lambda: later) is None
    assert not people.is_fresh(people.Person("token:1", "admin")), "a token never proved anything"


@pytest.mark.parametrize(
    "password",
    ["", "short", "123456789", "1234567890", "0987654321", "aaaaaaaaaaaa", "abababababab", "password123",
     "P@ssw0rd2026!", "qwertyuiop", "qwertzuiop1", "annalena99", "Anna.Lena.Berg", "iloveyou1234", "Welcome2026!",
     "workbench-admin", "summer2026!!", "abcdefghijk", "x" * 201],
)  # fmt: skip
def test_passwords_that_would_be_guessed(password):
    with pytest.raises(InputError, match="this password") as refused:
        passwords.check_strength(password, "anna.lena.berg")
    assert password not in str(refused.value) or password == ""


@pytest.mark.parametrize(
    "password", [GOOD, "Zwölf Boxkämpfer!", "tr0ub4dor&3x", "kW9$fgTz1q", "правда и вода", "annas 3 blue kites"]
)
def test_passwords_that_are_good(password):
    passwords.check_strength(password, "anna")


@given(st.text(max_size=40))
def test_any_text_is_judged_without_a_crash(text):
    with contextlib.suppress(InputError):
        passwords.check_strength(text, text)


def test_a_password_typed_composed_or_not_is_the_same():
    assert passwords.matches(passwords.hash_password("schöner Abend"), "scho\u0308ner Abend")


def test_tries_are_bounded_and_forgiven_with_time():
    now = [0.0]
    attempts = passwords.Attempts(window_seconds=60, clock=lambda: now[0])
    bounds = [("here", 3), ("anywhere", 5)]
    for _ in range(3):
        attempts.check(bounds)
        attempts.failed(bounds)
    with pytest.raises(Busy, match="too many") as refused:
        attempts.check(bounds)
    assert refused.value.retry_after_seconds == 61
    attempts.check([("elsewhere", 3), ("anywhere", 5)])
    now[0] = 60.0
    attempts.check(bounds)
    attempts.capacity = 10
    for guess in range(100):
        attempts.failed([(f"name {guess}", 3)])
    assert len(attempts._failures) == 10
