"""`/people/` for admins: users, their sessions, rows, tokens. `/people/me` for everybody: own password, own sessions.

All of it is plain forms that work without scripts. Each POST comes from our own page (the gate's Origin rule), changes
one thing and is kept in the audit; what changes people and their rights asks admins to sign in again after 15 minutes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import sqlalchemy as sa
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from workbench.errors import Busy, Forbidden, InputError
from workbench.query import matchers_text
from workbench.serve.access import rows
from workbench.serve.access.origins import Origins, is_local
from workbench.serve.identity import people, qr, users
from workbench.serve.identity.audit import Audit
from workbench.serve.identity.forms import read_form
from workbench.serve.identity.passwords import Attempts
from workbench.serve.identity.people import Person
from workbench.serve.identity.signin import WRONG_HERE, refused_page
from workbench.serve.pages.navigation import navigation
from workbench.show import render_page

FOLDER = Path(__file__).parent / "templates"
TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True)
TOKEN_DAYS = (1, 7, 30, 90, 365)

Form = Mapping[str, str]
Handler = Callable[[Request], Awaitable[Response]]
Change = Callable[[Request, Form], Response | None]
"""What a form does, in a thread; None leads back to the page. Raises InputError, which the page then says."""


class PeoplePages:
    """What the pages share: where people are kept, how they reach us, where changes are noted."""

    def __init__(self, engine: sa.Engine, origins: Origins, audit: Audit) -> None:
        self._engine = engine
        self._origins = origins
        self._audit = audit
        self._attempts = Attempts()

    async def listing(self, request: Request) -> Response:
        """All people and tokens."""
        return await run_in_threadpool(self._listing, request)

    async def own(self, request: Request) -> Response:
        """What one may change about oneself."""
        if not _person(request).user_id:
            return refused_page(Forbidden("a token is nobody, so it has no page of its own"))
        return await run_in_threadpool(self._own, request)

    def changes_people(self, change: Change) -> Handler:
        """A handler of an admin's form: only for a person who has signed in within the last 15 minutes."""

        async def handle(request: Request) -> Response:
            person = _person(request)
            if not person.user_id:
                return refused_page(Forbidden("a token may not change people and their rights"))
            if not people.is_fresh(person):
                return RedirectResponse(f"/signin?again&{urlencode({'next': '/people/'})}", status_code=303)
            return await self._answer(request, change, self._listing, "/people/")

        return handle

    def changes_own(self, change: Change) -> Handler:
        """A handler of somebody's form about himself."""

        async def handle(request: Request) -> Response:
            if not _person(request).user_id:
                return refused_page(Forbidden("a token is nobody, so it has no page of its own"))
            return await self._answer(request, change, self._own, "/people/me")

        return handle

    async def _answer(self, request: Request, change: Change, page: Callable[..., Response], back: str) -> Response:
        form = await read_form(request.receive)
        try:
            found = await run_in_threadpool(change, request, form)
        except InputError as error:
            return await run_in_threadpool(page, request, error)
        return found or RedirectResponse(back, status_code=303)

    # What admins change

    def add(self, request: Request, form: Form) -> Response:
        """Make a user and show the link that lets him in."""
        name, role = form.get("name", "").strip(), form.get("role", "")
        user_id = users.add_user(self._engine, name, role)
        self._note(request, "user.add", name, role=role)
        return self._link(request, user_id, name)

    def link(self, request: Request, form: Form) -> Response:
        """Show a new link for a user."""
        user = self._user(request)
        answer = self._link(request, user["id"], user["name"])
        self._note(request, "user.link", user["name"])
        return answer

    def role(self, request: Request, form: Form) -> None:
        """Give a user another role."""
        user, role = self._user(request), form.get("role", "")
        users.set_role(self._engine, user["id"], role)
        self._note(request, "user.role", user["name"], role=role, before=user["role"])

    def disable(self, request: Request, form: Form) -> None:
        """Let a user in no more."""
        user = self._user(request)
        users.disable(self._engine, user["id"])
        self._note(request, "user.disable", user["name"])

    def enable(self, request: Request, form: Form) -> None:
        """Let a user in again."""
        user = self._user(request)
        users.enable(self._engine, user["id"])
        self._note(request, "user.enable", user["name"])

    def end_sessions(self, request: Request, form: Form) -> None:
        """Sign a user out everywhere; oneself everywhere else."""
        user = self._user(request)
        ended = users.end_sessions(self._engine, user["id"], keep=_person(request).session)
        self._note(request, "user.end_sessions", user["name"], ended=ended)

    def create_token(self, request: Request, form: Form) -> Response:
        """Make a token and show it."""
        name, role, days = form.get("name", "").strip()[:100], form.get("role", ""), form.get("days", "")
        if days and days not in map(str, TOKEN_DAYS):
            raise InputError("that is no span", where="days")
        secret = people.create_token(self._engine, role, name=name, expires_seconds=int(days) * 86400 if days else None)
        self._note(request, "token.create", name, role=role, days=days or "no end")
        return self._page(request, "New token", "people_token.html", "/people/", token=secret, name=name, role=role)

    def revoke_token(self, request: Request, form: Form) -> None:
        """Make a token invalid."""
        token_id = int(request.path_params["id"])
        if not people.revoke_tokens(self._engine, token_id=token_id):
            raise InputError(f"there is no valid token {token_id}", where="token")
        self._note(request, "token.revoke", str(token_id))

    def set_rows(self, request: Request, form: Form) -> None:
        """Let a role or a user see only some rows."""
        subject = form.get("subject", "")
        matchers = rows.set_rows(self._engine, subject, form.get("matchers", ""))
        self._note(request, "rows.set", subject, matchers=matchers_text(matchers))

    def remove_rows(self, request: Request, form: Form) -> None:
        """Let a role or a user see all rows again."""
        subject = form.get("subject", "")
        rows.remove_rows(self._engine, subject)
        self._note(request, "rows.remove", subject)

    # What everybody changes

    def set_password(self, request: Request, form: Form) -> Response:
        """Choose a password: with the old one, or soon after signing in."""
        person = _person(request)
        if form.get("password", "") != form.get("again", ""):
            raise InputError("the two passwords are not the same", where="password")
        if not people.is_fresh(person) and not self._knows_password(person, form.get("old", "")):
            raise InputError("the present password is wrong", where="password")
        users.set_password(self._engine, person.user_id, form["password"], keep_session=person.session)
        self._note(request, "user.password", person.name)
        return self._own(request, done="The password is set. You are signed out everywhere else.")

    def _knows_password(self, person: Person, password: str) -> bool:
        """Whoever found a session open must not find out the password there."""
        bounds = ((person.id, WRONG_HERE),)
        try:
            self._attempts.check(bounds)
        except Busy as error:
            raise InputError(error.message, where="password", hint=error.hint) from error
        self._attempts.failed(bounds)
        right = users.check_password(self._engine, person.user_id, password)
        if right:
            self._attempts.succeeded(bounds)
        return right

    def end_own_session(self, request: Request, form: Form) -> None:
        """Sign out one of one's sessions."""
        person = _person(request)
        users.end_sessions(self._engine, person.user_id, session_id=form.get("session", "-"))
        self._note(request, "session.end", person.name)

    def end_own_sessions(self, request: Request, form: Form) -> None:
        """Sign out everywhere, here too."""
        person = _person(request)
        users.end_sessions(self._engine, person.user_id)
        self._note(request, "user.end_sessions", person.name)

    def own_link(self, request: Request, form: Form) -> Response:
        """A link with which one signs in on another device."""
        person = _person(request)
        return self._link(request, person.user_id, person.name)

    # Pages

    def _listing(self, request: Request, error: InputError | None = None) -> Response:
        person = _person(request)
        return self._page(
            request,
            "People",
            "people.html",
            "/people/",
            error=error,
            users=users.list_users(self._engine),
            tokens=[token for token in people.list_tokens(self._engine) if token["revoked_us"] is None],
            roles=users.PERSON_ROLES,
            limits=rows.list_rows(self._engine),
            token_roles=people.ROLES,
            token_days=TOKEN_DAYS,
            own_id=person.user_id,
            owner=people.OWNER,
            fresh=people.is_fresh(person),
        )

    def _own(self, request: Request, error: InputError | None = None, done: str = "") -> Response:
        person = _person(request)
        return self._page(
            request,
            person.name,
            "people_me.html",
            "/people/me",
            error=error,
            done=done,
            welcome="welcome" in request.query_params,
            user=users.get_user(self._engine, person.user_id),
            sessions=users.list_sessions(self._engine, person.user_id),
            this_session=person.session[: users.SHORT_DIGEST],
            fresh=people.is_fresh(person),
        )

    def _link(self, request: Request, user_id: int, name: str) -> Response:
        origin = self._origins.shared(request.headers["host"])
        link = f"{origin}/signin#{users.invite(self._engine, user_id)}"
        code = None if is_local(origin) else qr.svg(link, label="The sign-in link as a QR code")
        minutes = people.LINK_SECONDS // 60
        own = user_id == _person(request).user_id
        back = "/people/me" if own else "/people/"
        values = {"link": link, "code": code, "name": name, "minutes": minutes, "own": own}
        return self._page(request, "Sign-in link", "people_link.html", back, back=back, **values)

    def _page(self, request: Request, title: str, template: str, current: str, **values: Any) -> Response:
        error = values.get("error")
        body = Markup(TEMPLATES.get_template(template).render(day=day, minute=minute, device=device, **values))
        page = render_page(title, body, current=current, navigation=navigation(request))
        return HTMLResponse(page, error.status if error else 200)

    def _user(self, request: Request) -> Mapping[str, Any]:
        return users.get_user(self._engine, int(request.path_params["id"]))

    def _note(self, request: Request, action: str, target: str, **detail: Any) -> None:
        person = _person(request)
        self._audit(f"{person.id} {person.name}", action, target, **detail)


def people_routes(engine: sa.Engine, origins: Origins, audit: Audit) -> list[Route]:
    """The pages and forms below `/people/`."""
    pages = PeoplePages(engine, origins, audit)

    async def style(_: Request) -> Response:
        return FileResponse(FOLDER / "people.css", media_type="text/css", headers={"cache-control": "private"})

    admin = {
        "add": pages.add,
        "{id:int}/link": pages.link,
        "{id:int}/role": pages.role,
        "{id:int}/disable": pages.disable,
        "{id:int}/enable": pages.enable,
        "{id:int}/sign-out": pages.end_sessions,
        "rows/set": pages.set_rows,
        "rows/remove": pages.remove_rows,
        "tokens/create": pages.create_token,
        "tokens/{id:int}/revoke": pages.revoke_token,
    }
    own = {
        "password": pages.set_password,
        "sign-out": pages.end_own_session,
        "sign-out-everywhere": pages.end_own_sessions,
        "link": pages.own_link,
    }
    return [
        Route("/people/", pages.listing),
        Route("/people/people.css", style),
        Route("/people/me", pages.own),
        *(Route(f"/people/{path}", pages.changes_people(change), methods=["POST"]) for path, change in admin.items()),
        *(Route(f"/people/me/{path}", pages.changes_own(change), methods=["POST"]) for path, change in own.items()),
    ]


def day(time_us: int) -> str:
    """A day for people, UTC."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d")


def minute(time_us: int) -> str:
    """A time for people, to the minute, UTC."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def device(agent: str) -> str:
    """Browser and system in words, of a `User-Agent`; what it begins with where neither is known."""
    browsers = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "Mac OS": "macOS"}
    browser = next((name for mark, name in browsers.items() if mark in agent), "")
    system = next((name for mark, name in {**systems, "Linux": "Linux"}.items() if mark in agent), "")
    return " on ".join(filter(None, (browser, system))) or agent.partition("/")[0] or "unknown"


def _person(request: Request) -> Person:
    person: Person = request.state.person
    return person
