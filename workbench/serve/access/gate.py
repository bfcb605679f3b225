"""The gate before every route of the addresses for people, HTTP and websocket alike: deny by default.

In this order: exact Host; Origin; a path that means one thing; what is open (OPEN, the sign-in page);
cookie or token -> person -> role -> path. A proxied server that trusts the gate checks none of this itself.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.responses import JSONResponse, Response

from workbench import log
from workbench.errors import AccessError, Forbidden, SignInRequired, WorkbenchError
from workbench.serve.access import policy
from workbench.serve.access.headers import Headers
from workbench.serve.access.lasting import Lasting
from workbench.serve.identity.people import Person, Resolver

Scope = MutableMapping[str, Any]

OPEN = frozenset({"/healthz", "/readyz", "/-/healthy", "/-/ready"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LASTING = frozenset({"GET", "WEBSOCKET"})
"""What can go on for hours. What changes something has to come to its end, also where it ends its own session."""

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

HEADERS = {
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with that a browser sends `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every answer carries unless its route set the header itself."""

TRANSPORT_SECURITY = {"strict-transport-security": "max-age=31536000"}
"""Beside them where browsers come over TLS. Without `includeSubDomains`: other names may be another's."""

_log = log.get(__name__)


class Door(Protocol):
    """How people come in at one address: the sign-in page of the main one, the entrance of the notebooks."""

    cookie: str

    async def answer(self, scope: Scope, headers: Headers, receive: Any) -> Response | None:
        """The answer to a request that is about coming in or leaving; None for all else."""

    def page(self, error: WorkbenchError, *, next_path: str, query: bytes, host: str) -> Response:
        """What a browser shows to somebody who may not pass."""


@dataclass(frozen=True)
class Address:
    """What a gate guards by: exact `Host` values with the `Origin` of each; the policy; whose session a cookie is;
    whether tokens count.

    `content_policy` is what an answer gets that brings none; with `bind`, every answer, beside what it brings.
    """

    hosts: Mapping[str, str]
    rules: Iterable[policy.Rule]
    session: Callable[[str], Person | None]
    tokens: bool = True
    open_trees: tuple[str, ...] = ()
    content_policy: str = CONTENT_POLICY
    bind: bool = False


class Gate:
    """Pure ASGI; wraps `app` at one `address`. Routes find the person in `request.state.person`."""

    def __init__(self, app: Any, resolver: Resolver, address: Address, door: Door) -> None:
        self._app = app
        self._resolver = resolver
        self._address = address
        self._rules = tuple(address.rules)
        self._door = door
        self._lasting = Lasting()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Let the request through to the routes, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope)
        with log.request(headers.request_id) as request_id:
            dressed = self._dressed(send, request_id, secure=self._is_secure(headers))
            try:
                answer = await self._judge(scope, headers, receive)
            except WorkbenchError as error:
                if isinstance(error, AccessError):
                    _log.info("refused", method=_method(scope), path=scope["path"], why=error.message)
                answer = self._refusal(scope, headers, error)
            if answer is None and _method(scope) in LASTING:
                await self._while_allowed(scope, headers, receive, dressed)
            elif answer is None:
                await self._app(scope, receive, dressed)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 4000 + answer.status_code})
            else:
                await answer(scope, receive, dressed)

    async def _while_allowed(self, scope: Scope, headers: Headers, receive: Any, send: Any) -> None:
        """Let the request through, and end it when whoever made it may not go on."""
        person, method = scope.get("state", {}).get("person"), _method(scope)
        begun = False

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        def allowed() -> bool:
            try:
                now = self._person(headers, method)
            except WorkbenchError:
                return False
            return now == person and policy.allowed(self._rules, now.role, method, scope["path"])

        if person is None:  # open to everybody
            await self._app(scope, receive, send)
            return
        if await self._lasting.run(self._app(scope, receive, noted), allowed):
            return
        _log.info("ended", method=method, path=scope["path"], person=person.id)
        with contextlib.suppress(RuntimeError):  # the server's, where it was over or had promised more bytes
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 4401})
            elif begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await self._refusal(scope, headers, SignInRequired("signed out meanwhile"))(scope, receive, send)

    async def _judge(self, scope: Scope, headers: Headers, receive: Any) -> Response | None:
        """None lets it through. Raises SignInRequired or Forbidden."""
        path, method = scope["path"], _method(scope)
        own = self._address.hosts.get(headers.host)
        if own is None:
            raise Forbidden("this is not an address of the workbench", where="Host")
        if headers.origin is not None and headers.origin != own:
            raise Forbidden("the request comes from a page of another origin", where="Origin")
        if not policy.clean(path, scope.get("raw_path") or b""):
            raise Forbidden("the path is written in more than one way", where="path")
        if method in SAFE and (path in OPEN or path.startswith(self._address.open_trees)):
            return None
        answer = await self._door.answer(scope, headers, receive)
        if answer is not None:
            return answer
        person = self._person(headers, method)
        if not policy.allowed(self._rules, person.role, method, path):
            raise Forbidden(f"nothing here is open to the role {person.role}", where=f"{method} {path}")
        scope["state"] = {**scope.get("state", {}), "person": person}
        return None

    def _person(self, headers: Headers, method: str) -> Person:
        if headers.authorization is not None and self._address.tokens:
            return self._resolver.token(_token(headers.authorization))
        session = headers.cookie(self._door.cookie)
        # The lookup reads SQLite (0.1 ms) on the event loop, at most once a second for each session.
        person = self._address.session(session) if session else None
        if person is None:
            raise SignInRequired("nobody is signed in", hint="`workbench open` prints a sign-in link.")
        if method not in SAFE and headers.origin is None:
            raise Forbidden("a request that a cookie authorises must name its origin", where="Origin")
        return person

    def _refusal(self, scope: Scope, headers: Headers, error: WorkbenchError) -> Response:
        if scope["type"] == "http" and headers.navigation and error.where != "Host":
            query = scope.get("query_string", b"")
            return self._door.page(error, next_path=scope["path"], query=query, host=headers.host)
        extra = {"www-authenticate": "Bearer"} if error.status == 401 else None
        return JSONResponse(error.as_dict(), status_code=error.status, headers=extra)

    def _is_secure(self, headers: Headers) -> bool:
        return self._address.hosts.get(headers.host, "").startswith("https:")

    def _dressed(self, send: Any, request_id: str, *, secure: bool) -> Any:
        bound = (b"content-security-policy", self._address.content_policy.encode())

        async def dressed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", [])}
                given = {**HEADERS, "x-request-id": request_id, **(TRANSPORT_SECURITY if secure else {})}
                wanted = [(name.encode(), value.encode()) for name, value in given.items()]
                added = [(name, value) for name, value in wanted if name not in present]
                if self._address.bind or bound[0] not in present:
                    added.append(bound)
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        return dressed


def _token(authorization: str) -> str:
    """`Bearer TOKEN`, or `Basic` with the token as password (who knows only addresses: `http://token:TOKEN@host`).

    Basic is never asked for, so no browser keeps it and sends it along by itself. Raises SignInRequired.
    """
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip()
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            _, colon, password = base64.b64decode(secret.strip(), validate=True).decode().partition(":")
            if colon:
                return password
    raise SignInRequired("only `Authorization: Bearer TOKEN` is understood", where="Authorization")


def _method(scope: Scope) -> str:
    return str(scope["method"]) if scope["type"] == "http" else "WEBSOCKET"
