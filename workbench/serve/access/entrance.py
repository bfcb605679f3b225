"""From the main origin to the notebooks' and back: tickets instead of a second sign-in.

What runs or shows notebook output is served from a second origin, where a script can act as nobody on the first. Its
session begins with a ticket that works once, made by `/to/PATH` on the main origin, and ends with the session there.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlencode

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from workbench.errors import Forbidden, SignInRequired, WorkbenchError
from workbench.serve.access.headers import Headers
from workbench.serve.access.origins import Origins
from workbench.serve.identity import people
from workbench.serve.identity.signin import cookie_name, local_path, page_file, refused_page

ENTER = "/enter"


class Entrance:
    """How people come in at the notebook origin."""

    def __init__(self, engine: sa.Engine, origins: Origins) -> None:
        self.cookie = cookie_name(origins.notebook_port)
        self._engine = engine
        self._origins = origins

    async def answer(self, scope: MutableMapping[str, Any], headers: Headers, receive: Any) -> Response | None:
        """The answer to a ticket, or to a request for the style of the refusal; None for all else."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        if scope["path"] != ENTER:
            return page_file(scope["path"])
        given = {name: values[0] for name, values in parse_qs(scope.get("query_string", b"").decode("latin-1")).items()}
        target = local_path(given.get("next", "/"))
        try:
            session = await run_in_threadpool(people.use_ticket, self._engine, given.get("ticket", ""))
        except SignInRequired:
            # Somebody went back in his browser, or waited: the main origin knows whether he may have another.
            return self._ask(target, headers.host)
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

    def page(self, error: WorkbenchError, *, next_path: str, query: bytes, host: str) -> Response:
        """Off to the main origin for a ticket, or the refusal."""
        if isinstance(error, Forbidden):
            return refused_page(error, home=self._origins.main_of(host))
        return self._ask(next_path + (f"?{query.decode('latin-1')}" if query else ""), host)

    def _ask(self, target: str, host: str) -> Response:
        return RedirectResponse(f"{self._origins.main_of(host)}/to{target}", status_code=303)


def to_route(engine: sa.Engine, origins: Origins) -> Route:
    """`/to/PATH` on the main origin: go to PATH on the notebooks' as the same person."""
    cookie = cookie_name(origins.main_port)

    async def go(request: Request) -> Response:
        session = Headers(request.scope).cookie(cookie)
        if session is None:
            return refused_page(Forbidden("a token opens no notebook", where="/to/", hint="Sign in with a browser."))
        ticket = await run_in_threadpool(people.create_ticket, engine, session)
        target = request.url.path.removeprefix("/to") + (f"?{request.url.query}" if request.url.query else "")
        origin = origins.notebook_of(request.headers["host"])
        return RedirectResponse(f"{origin}{ENTER}?{urlencode({'ticket': ticket, 'next': target})}", status_code=303)

    return Route("/to/{path:path}", go)
