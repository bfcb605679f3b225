"""Signing in and out: the one page that is open to everybody.

A link is `/signin#SECRET`. What stands after `#` is never sent in a request line or a Referer, so it reaches no log; a
script of the page posts it as a form. Without scripts the person pastes the link into the same form.
"""

from __future__ import annotations

import html
from collections.abc import MutableMapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from workbench.errors import Forbidden, InputError, SignInRequired, TooLarge, WorkbenchError
from workbench.serve import people
from workbench.serve.headers import Headers

PAGE = Path(__file__).parent / "signin_page"
FILES = {"/signin/signin.css": "text/css", "/signin/signin.js": "text/javascript"}
MAX_FORM_BYTES = 8192


class SignIn:
    """The sign-in page of the main origin."""

    def __init__(self, engine: sa.Engine, resolver: people.Resolver, *, port: int, secure: bool = False) -> None:
        self.cookie = cookie_name(port)
        self._engine = engine
        self._resolver = resolver
        self._secure = secure

    async def answer(self, scope: MutableMapping[str, Any], headers: Headers, receive: Any) -> Response | None:
        """The answer to a request for the sign-in page, its files, or signing in or out; None for all else."""
        if scope["type"] != "http":
            return None
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD"):
            return self.page(None, status=200) if path == "/signin" else page_file(path)
        if path == "/signin" and method == "POST":
            return await self._sign_in(await _form(receive))
        if path == "/signout" and method == "POST" and headers.origin is not None:
            return await self._sign_out(headers.cookie(self.cookie))
        return None

    def page(
        self,
        error: WorkbenchError | None,
        *,
        next_path: str = "/",
        query: bytes = b"",
        host: str = "",
        status: int = 0,
    ) -> HTMLResponse:
        """The page, with what went wrong; the person lands on `next_path` after signing in.

        Who is signed in and refused all the same gets no form, but a way back.
        """
        if isinstance(error, Forbidden):
            return refused_page(error)
        target = next_path + (f"?{query.decode('latin-1')}" if query else "")
        text = (
            _file("signin.html")
            .decode()
            .replace("{{message}}", _message(error))
            .replace("{{next}}", html.escape(target, quote=True))
        )
        return HTMLResponse(text, status_code=status or (error.status if error else 200))

    async def _sign_in(self, form: dict[str, str]) -> Response:
        secret = form.get("link", "").rpartition("#")[2].strip()
        try:
            session = await run_in_threadpool(people.use_link, self._engine, secret)
        except SignInRequired as error:
            return self.page(error)
        answer = RedirectResponse(local_path(form.get("next", "/")), status_code=303)
        answer.set_cookie(
            self.cookie,
            session,
            max_age=people.SESSION_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def _sign_out(self, session: str | None) -> Response:
        if session:
            await run_in_threadpool(people.sign_out, self._engine, session)
            self._resolver.forget()
        answer = RedirectResponse("/signin", status_code=303, headers={"clear-site-data": '"cache", "storage"'})
        answer.delete_cookie(self.cookie, path="/", secure=self._secure, httponly=True, samesite="lax")
        return answer


def cookie_name(port: int) -> str:
    """The cookie of the address at `port`; its name holds the port, as browsers do not keep ports apart."""
    return f"workbench_{port}"


def refused_page(error: Forbidden, *, home: str = "/") -> HTMLResponse:
    """For somebody who is signed in and refused all the same: no form, but a way back to `home`."""
    text = _file("refused.html").decode().replace("{{message}}", _message(error))
    return HTMLResponse(text.replace("{{home}}", html.escape(home, quote=True)), status_code=error.status)


def page_file(path: str) -> Response | None:
    """A style or script of these pages by its address, which both origins serve to everybody."""
    return Response(_file(path), media_type=FILES[path]) if path in FILES else None


def _message(error: WorkbenchError | None) -> str:
    return "" if error is None else html.escape(f"{error.message[:1].upper()}{error.message[1:]}.")


def local_path(target: str) -> str:
    """`target` if it is a path on this very address, else `/`: a form must not send people elsewhere."""
    inside = target.startswith("/") and not target.startswith("//") and target.isprintable() and "\\" not in target
    return target if inside else "/"


@cache
def _file(name: str) -> bytes:
    return (PAGE / Path(name).name).read_bytes()


async def _form(receive: Any) -> dict[str, str]:
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InputError("the form ended early")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_FORM_BYTES:
            raise TooLarge("the form is too large", where="/signin")
    return {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
