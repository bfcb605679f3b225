"""The pages about people, through the gate, as a browser without scripts uses them."""

from __future__ import annotations

import html
import re

import pytest
from starlette.applications import Starlette

from workbench.serve.access.origins import local_origins
from workbench.serve.access.rows import rows_of
from workbench.serve.identity import people, users
from workbench.serve.pages.people_pages import device, people_routes

from .conftest import ORIGIN, PORT, Guarded

pytestmark = pytest.mark.usefixtures("light_hashing")
GOOD = "seven lamps under water"


class Site(Guarded):
    """The pages behind the gate; `noted` is what was kept of who did what."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.noted: list[tuple] = []
        self.owner = people.create_owner(self.engine)
        self.pages = Starlette(
            routes=people_routes(
                self.engine, local_origins(PORT, PORT + 1), lambda *row, **more: self.noted.append((*row, more))
            )
        )

    async def _app(self, scope, receive, send):
        await self.pages(scope, receive, send)

    def form(self, role: str, path: str, /, **fields: str):
        return self.request(
            "POST", path, {**self.as_cookie(role), "Origin": ORIGIN, "Accept": "text/html"}, data=fields
        )

    def see(self, role: str, path: str) -> str:
        answer = self.request("GET", path, {**self.as_cookie(role), "Accept": "text/html"})
        assert answer.status_code == 200
        return answer.text

    def sign_in(self, **fields: str):
        self.resolver.forget()
        return self.request("POST", "/signin", {"Origin": ORIGIN, "Accept": "text/html"}, data=fields)


@pytest.fixture
def site(engine):
    return Site(engine)


def link_on(page: str) -> str:
    return html.unescape(re.search(r'value="([^"]+/signin#[^"]+)"', page)[1])


def test_from_the_invite_to_a_password_and_back_in(site):
    shown = site.form("admin", "/people/add", name="anna", role="analyst")
    assert shown.status_code == 200
    assert '<svg class="qr"' not in shown.text, "no phone reaches loopback"
    assert site.noted[-1][1:] == ("user.add", "anna", {"role": "analyst"})
    link = link_on(shown.text)
    assert link.partition("#")[2] not in site.see("admin", "/people/")
    entered = site.sign_in(link=link, next="/")
    assert entered.headers["location"] == "/people/me?welcome"
    site.cookies["anna"] = re.match(r"[^=]+=([^;]+)", entered.headers["set-cookie"])[1]
    assert "Choose a password" in site.see("anna", "/people/me?welcome")
    for first, second, told in (("short", "short", "fewer than 10"), (GOOD, GOOD + "x", "not the same")):
        refused = site.form("anna", "/people/me/password", password=first, again=second)
        assert refused.status_code == 400
        assert told in refused.text
    assert "The password is set" in site.form("anna", "/people/me/password", password=GOOD, again=GOOD).text
    again = site.sign_in(name="anna", password=GOOD, next="/live/overview")
    assert (again.status_code, again.headers["location"]) == (303, "/live/overview")
    wrong = site.sign_in(name="anna", password="guess", next="/live/overview")
    assert wrong.status_code == 401
    assert "Name or password is wrong" in wrong.text
    assert 'value="/live/overview"' in wrong.text
    assert "guess" not in wrong.text


def test_guessing_is_stopped_and_told_so(site):
    anna = users.add_user(site.engine, "anna", "viewer")
    users.set_password(site.engine, anna, GOOD)
    answers = [site.sign_in(name="anna", password=f"guess {n}") for n in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert "Too many wrong tries" in answers[-1].text
    assert int(answers[-1].headers["retry-after"]) > 0
    assert site.sign_in(name="anna", password=GOOD).status_code == 429, "also for the right one, or guessing goes on"
    assert site.sign_in(link="#" + users.invite(site.engine, anna)).status_code == 303, "a link is no guess"


def test_roles_and_disabling(site):
    users.add_user(site.engine, "otto", "viewer")
    otto = users.find_user(site.engine, "otto")
    site.cookies["otto"] = people.use_link(site.engine, users.invite(site.engine, otto))
    assert site.form("admin", f"/people/{otto}/role", role="operator").status_code == 303
    assert users.get_user(site.engine, otto)["role"] == "operator"
    assert site.noted[-1][1:] == ("user.role", "otto", {"role": "operator", "before": "viewer"})
    assert site.form("admin", f"/people/{otto}/disable").status_code == 303
    assert site.request("GET", "/people/me", site.as_cookie("otto")).status_code == 401
    assert "disabled" in site.see("admin", "/people/")
    assert site.form("admin", f"/people/{otto}/enable").status_code == 303
    refused = site.form("admin", f"/people/{site.owner}/disable")
    assert refused.status_code == 400
    assert "The owner cannot be disabled" in refused.text
    assert site.form("admin", "/people/999/disable").status_code == 400
    assert site.form("admin", f"/people/{otto}/role", role="root").status_code == 400


def test_admin_forms_want_a_sign_in_of_the_last_quarter_hour(site, monkeypatch):
    monkeypatch.setattr(people, "FRESH_SECONDS", 0)
    answer = site.form("admin", "/people/add", name="eve", role="admin")
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin?again&next=%2Fpeople%2F")
    assert "eve" not in [user["name"] for user in users.list_users(site.engine)]
    assert "once more" in site.see("admin", answer.headers["location"])
    assert "Sign in again" in site.see("admin", "/people/")
    monkeypatch.undo()
    before = site.cookies["admin"]
    admin = people.find_session(site.engine, before).user_id
    link = users.invite(site.engine, admin)
    entered = site.request(
        "POST", "/signin", {**site.as_cookie("admin"), "Origin": ORIGIN}, data={"link": "#" + link, "next": "/people/"}
    )
    assert f"={before};" in entered.headers["set-cookie"], "the session goes on"
    assert site.form("admin", "/people/add", name="eve", role="viewer").status_code == 200


def test_nobody_else_and_no_token_changes_people(site):
    for role in ("viewer", "analyst", "operator"):
        assert site.request("GET", "/people/", site.as_cookie(role)).status_code == 403
        assert site.form(role, "/people/add", name="eve", role="admin").status_code == 403
    for origin in (None, "http://evil.example", "null"):
        headers = {**site.as_cookie("admin"), **({"Origin": origin} if origin else {})}
        assert site.request("POST", "/people/add", headers, data={"name": "eve", "role": "admin"}).status_code == 403
    for path in ("/people/add", "/people/tokens/create", "/people/me/password", "/people/me/link"):
        data = {"name": "eve", "role": "admin", "password": GOOD, "again": GOOD}
        assert site.request("POST", path, site.as_token("admin"), data=data).status_code == 403
    assert site.request("GET", "/people/me", site.as_token("admin")).status_code == 403
    assert "eve" not in [user["name"] for user in users.list_users(site.engine)]
    assert site.noted == []


def test_rows_of_a_role_and_a_user(site):
    page = site.see("admin", "/people/")
    assert 'value="role:viewer"' in page
    assert 'value="user:owner"' in page
    bad = site.form("admin", "/people/rows/set", subject="role:viewer", matchers="up")
    assert bad.status_code == 400
    assert "Label matchers stand in braces" in bad.text
    for subject in ("role:viewer", "user:owner"):
        assert site.form("admin", "/people/rows/set", subject=subject, matchers='{domain="a<b"}').status_code == 303
    assert site.noted[-1][1:] == ("rows.set", "user:owner", {"matchers": '{domain="a<b"}'})
    assert site.see("admin", "/people/").count("<code>{domain=&#34;a&lt;b&#34;}</code>") == 2
    assert len(rows_of(site.engine, people.Person("user:7", "viewer"))) == 1
    site.form("admin", "/people/rows/remove", subject="role:viewer")
    assert rows_of(site.engine, people.Person("user:7", "viewer")) == ()
    assert site.form("operator", "/people/rows/remove", subject="user:owner").status_code == 403


def test_tokens_are_made_shown_once_and_revoked(site):
    shown = site.form("admin", "/people/tokens/create", name="exporter <b>", role="ingest", days="30")
    secret = re.search(r'value="(wb_[^"]+)"', shown.text)[1]
    person = people.find_token(site.engine, secret)
    assert person.role == "ingest"
    listing = site.see("admin", "/people/")
    assert secret not in listing
    assert "exporter &lt;b&gt;" in listing
    number = person.id.partition(":")[2]
    assert site.form("admin", f"/people/tokens/{number}/revoke").status_code == 303
    assert people.find_token(site.engine, secret) is None
    assert site.form("admin", f"/people/tokens/{number}/revoke").status_code == 400
    assert site.form("admin", "/people/tokens/create", name="x", role="ingest", days="-1").status_code == 400


def test_ones_own_sessions(site):
    person = people.find_session(site.engine, site.cookies["viewer"])
    arrival = people.Arrival("link", "Mozilla/5.0 (iPhone; like Mac OS X) Version/17 Mobile Safari/604.1", "10.0.0.7")
    phone = people.use_link(site.engine, people.create_link(site.engine, person.user_id), arrival=arrival)
    page = site.see("viewer", "/people/me")
    assert "Safari on iPhone" in page
    assert "10.0.0.7" in page
    session_id = people.digest(phone)[: users.SHORT_DIGEST]
    other = people.find_session(site.engine, site.cookies["admin"]).session[: users.SHORT_DIGEST]
    site.form("viewer", "/people/me/sign-out", session=other)
    assert people.find_session(site.engine, site.cookies["admin"]), "not somebody else's"
    site.form("viewer", "/people/me/sign-out")
    assert people.find_session(site.engine, phone)
    site.form("viewer", "/people/me/sign-out", session=session_id)
    assert people.find_session(site.engine, phone) is None
    link = link_on(site.form("viewer", "/people/me/link").text)
    assert people.find_session(site.engine, people.use_link(site.engine, link.partition("#")[2])) == person
    site.form("viewer", "/people/me/sign-out-everywhere")
    assert people.find_session(site.engine, site.cookies["viewer"]) is None


def test_an_old_session_needs_the_present_password_for_a_new_one(site, monkeypatch):
    person = people.find_session(site.engine, site.cookies["viewer"])
    users.set_password(site.engine, person.user_id, GOOD, keep_session=person.session)
    monkeypatch.setattr(people, "FRESH_SECONDS", 0)
    new = "nine kites above a river"
    for old in ({}, {"old": ""}, {"old": "guess"}):
        assert site.form("viewer", "/people/me/password", password=new, again=new, **old).status_code == 400
    assert site.form("viewer", "/people/me/password", password=new, again=new, old=GOOD).status_code == 200
    assert users.check_password(site.engine, person.user_id, new)
    tries = [site.form("viewer", "/people/me/password", password=new, again=new, old=str(n)).text for n in range(11)]
    assert "too many wrong tries" in tries[-1].lower()


def test_the_pages_have_nothing_inline_and_name_all_fields(site):
    for role, path in (("admin", "/people/"), ("viewer", "/people/me")):
        page = site.see(role, path)
        body = page.partition("<main")[2]
        assert " style=" not in body
        assert "<style" not in body
        assert not re.search(r"\son\w+=", body)
        assert "Set-Cookie" not in body
        for field in re.findall(r"<(?:input|select)[^>]*>", body):
            identifier = re.search(r'id="([^"]+)"', field)
            named = "aria-label" in field or 'type="hidden"' in field
            assert named or f'for="{identifier[1]}"' in body, field


@pytest.mark.parametrize(
    ("agent", "words"),
    [("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Linux"),
     ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
     ("Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0", "Firefox on Android"),
     ("curl/8.5.0", "curl"), ("", "unknown")],
)  # fmt: skip
def test_devices_in_words(agent, words):
    assert device(agent) == words
