"""Signing in and out: the one page that is open to everybody.

A link is `/signin#SECRET`. What stands after `#` is never sent in a request line or a Referer, so it reaches no log; a
script of the page posts it as a form. Without scripts the person pastes the link into the same form. Beside it stand
name and password, and single sign-on where an identity provider is set up.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

import jinja2
import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from workbench import log
from workbench.errors import Busy, Forbidden, SignInRequired, WorkbenchError
from workbench.serve.access.headers import Headers
from workbench.serve.access.origins import Origins
from workbench.serve.identity import people, users
from workbench.serve.identity.forms import read_form
from workbench.serve.identity.passwords import Attempts
from workbench.serve.identity.people import Arrival

PAGE = Path(__file__).parent / "signin_page"
FILES = {"/signin/signin.css": "text/css", "/signin/signin.js": "text/javascript"}
SIGN_OUT_HEADERS = {"clear-site-data": '"cache", "storage"'}
OWN_PAGE = "/people/me"

# Wrong passwords in a quarter of an hour: of one name from one address, from one address, of one name from anywhere.
WRONG_HERE, WRONG_FROM_ADDRESS, WRONG_OF_NAME = 10, 50, 200

_log = log.get(__name__)


class SingleSignOn(Protocol):
    """An identity provider, as the sign-in page needs it: `label` on its link, and the answers below `/signin/oidc`."""

    label: str

    async def answer(self, scope: MutableMapping[str, Any], headers: Headers) -> tuple[str, str] | Response | None:
        """(secret of a session, path to land on) of who comes back signed in; or a redirect; None for all else."""


class SignIn:
    """The sign-in page of the main origin."""

    def __init__(
        self,
        engine: sa.Engine,
        resolver: people.Resolver,
        origins: Origins,
        *,
        single_sign_on: SingleSignOn | None = None,
    ) -> None:
        self.cookie = cookie_name(origins.main_port)
        self._engine = engine
        self._resolver = resolver
        self._origins = origins
        self._single_sign_on = single_sign_on
        self._attempts = Attempts()

    async def answer(self, scope: MutableMapping[str, Any], headers: Headers, receive: Any) -> Response | None:
        """The answer to a request for the sign-in page, its files, or signing in or out; None for all else."""
        if scope["type"] != "http":
            return None
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD"):
            if path == "/signin":
                return self._asked_for(scope)
            return await self._through_provider(scope, headers) if path.startswith("/signin/oidc") else page_file(path)
        if path == "/signin" and method == "POST":
            return await self._sign_in(await read_form(receive), headers, arrival(scope, headers, "link"))
        if path == "/signout" and method == "POST" and headers.origin is not None:
            return await self._sign_out(headers)
        return None

    def page(
        self,
        error: WorkbenchError | None,
        *,
        next_path: str = "/",
        query: bytes = b"",
        host: str = "",
        status: int = 0,
        again: bool = False,
    ) -> HTMLResponse:
        """The page, with what went wrong; the person lands on `next_path` after signing in.

        Who is signed in and refused all the same gets no form, but a way back.
        """
        if isinstance(error, Forbidden):
            return refused_page(error)
        text = _template("signin.html").render(
            message=_message(error),
            next=next_path + (f"?{query.decode('latin-1')}" if query else ""),
            passwords=users.any_password(self._engine),
            provider=self._single_sign_on.label if self._single_sign_on else "",
            again=again,
        )
        answer = HTMLResponse(text, status_code=status or (error.status if error else 200))
        if isinstance(error, Busy):
            answer.headers["retry-after"] = str(error.retry_after_seconds)
        return answer

    def _asked_for(self, scope: Mapping[str, Any]) -> HTMLResponse:
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        target = local_path(asked.get("next", ["/"])[0])
        return self.page(None, next_path=target, status=200, again="again" in asked)

    async def _sign_in(self, form: Mapping[str, str], headers: Headers, came: Arrival) -> Response:
        target = local_path(form.get("next", "/"))
        try:
            if "name" in form:
                session = await self._by_password(form["name"], form.get("password", ""), came)
            else:
                secret = form.get("link", "").rpartition("#")[2].strip()
                session = await run_in_threadpool(people.use_link, self._engine, secret, arrival=came)
                if target == "/" and await run_in_threadpool(self._is_new, session):
                    target = f"{OWN_PAGE}?welcome"
        except (SignInRequired, Busy) as error:
            return self.page(error, next_path=target)
        return await self._signed_in(session, target, headers)

    async def _by_password(self, name: str, password: str, came: Arrival) -> str:
        folded = name.strip().casefold()[:64]
        bounds = (
            (f"here {folded} {came.address}", WRONG_HERE),
            (f"address {came.address}", WRONG_FROM_ADDRESS),
            (f"name {folded}", WRONG_OF_NAME),
        )
        self._attempts.check(bounds)
        # Counted before it is known to be wrong, so that many at once do not all slip through the check.
        self._attempts.failed(bounds)
        came = Arrival("password", came.agent, came.address)
        try:
            session = await run_in_threadpool(users.sign_in, self._engine, name, password, came)
        except SignInRequired:
            _log.info("wrong password", name=folded, address=came.address)
            raise
        self._attempts.succeeded(bounds)
        return session

    def _is_new(self, session: str) -> bool:
        person = people.find_session(self._engine, session)
        user = users.get_user(self._engine, person.user_id) if person else None
        return user is not None and user["name"] != people.OWNER and not (user["has_password"] or user["subject"])

    async def _through_provider(self, scope: MutableMapping[str, Any], headers: Headers) -> Response | None:
        if self._single_sign_on is None:
            return None
        try:
            found = await self._single_sign_on.answer(scope, headers)
        except WorkbenchError as error:
            _log.info("single sign-on failed", why=str(error))
            return self.page(SignInRequired(f"{error.message}. {error.hint}".strip(" .")), status=error.status)
        return await self._signed_in(*found, headers) if isinstance(found, tuple) else found

    async def _signed_in(self, session: str, target: str, headers: Headers) -> Response:
        """To `target` with the cookie of the session; who proved anew that it is he keeps the one that he has."""
        before = headers.cookie(self.cookie)
        if before:
            session = await run_in_threadpool(users.renew_session, self._engine, before, session)
        self._resolver.forget()
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            self.cookie,
            session,
            max_age=people.SESSION_SECONDS,
            path="/",
            secure=self._origins.secure(headers.host),
            httponly=True,
            samesite="lax",
        )
        return answer

    async def _sign_out(self, headers: Headers) -> Response:
        session = headers.cookie(self.cookie)
        if session:
            await run_in_threadpool(people.sign_out, self._engine, session)
            self._resolver.forget()
        answer = RedirectResponse("/signin", status_code=303, headers=SIGN_OUT_HEADERS)
        secure = self._origins.secure(headers.host)
        answer.delete_cookie(self.cookie, path="/", secure=secure, httponly=True, samesite="lax")
        return answer


def arrival(scope: Mapping[str, Any], headers: Headers, method: str) -> Arrival:
    """How the sender of a request signs in."""
    client = scope.get("client")
    return Arrival(method, headers.agent, client[0] if client else "")


def cookie_name(port: int) -> str:
    """The cookie of the address at `port`; its name holds the port, as browsers do not keep ports apart."""
    return f"workbench_{port}"


def refused_page(error: Forbidden, *, home: str = "/") -> HTMLResponse:
    """For somebody who is signed in and refused all the same: no form, but a way back to `home`."""
    return HTMLResponse(_template("refused.html").render(message=_message(error), home=home), error.status)


def page_file(path: str) -> Response | None:
    """A style or script of these pages by its address, which both origins serve to everybody."""
    return Response(_file(path), media_type=FILES[path]) if path in FILES else None


def _message(error: WorkbenchError | None) -> str:
    if error is None:
        return ""
    hint = f" {error.hint}" if isinstance(error, Busy) else ""
    return f"{error.message[:1].upper()}{error.message[1:]}.{hint}"


def local_path(target: str) -> str:
    """`target` if it is a path on this very address, else `/`: a form must not send people elsewhere."""
    inside = target.startswith("/") and not target.startswith("//") and target.isprintable() and "\\" not in target
    return target if inside else "/"


@cache
def _template(name: str) -> jinja2.Template:
    return jinja2.Environment(loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True).get_template(
        name
    )


@cache
def _file(name: str) -> bytes:
    return (PAGE / Path(name).name).read_bytes()
