"""Who is at the other end: what a trusted proxy says of him, and nobody else may say of himself."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from workbench.errors import Forbidden
from workbench.serve.access.reach import Network, is_loopback, is_within

Scope = MutableMapping[str, Any]


class Proxied:
    """Pure ASGI, before a gate: the client of a request, and whether the way to us was private.

    A trusted proxy's `X-Forwarded-For` names the client; its last entry that is no trusted proxy itself counts, as all
    before it may be invented. Where the proxy speaks TLS and not we, whoever is neither on this machine nor such a
    proxy is refused. The gate judges `Host` and `Origin` by exact lists, so no other header of a proxy is needed.
    """

    def __init__(self, app: Any, *, trusted: tuple[Network, ...], tls: bool) -> None:
        self._app = app
        self._trusted = trusted
        self._tls = tls

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass it on, with the client put right, or refuse it."""
        client = scope.get("client")
        if scope["type"] not in ("http", "websocket") or client is None:
            await self._app(scope, receive, send)
            return
        if is_within(client[0], self._trusted):
            scope = {**scope, "client": (self._named(scope) or client[0], client[1])}
        elif self._trusted and not self._tls and not is_loopback(client[0]):
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _named(self, scope: Scope) -> str:
        given = b",".join(value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for")
        entries = [entry.strip() for entry in given.decode("latin-1").split(",") if entry.strip()]
        return next((entry for entry in reversed(entries) if not is_within(entry, self._trusted)), "")[:64]

    async def _refuse(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
            return
        error = Forbidden("only the proxy may come without TLS", where="address", hint="Use the public address.")
        await JSONResponse(error.as_dict(), error.status)(scope, receive, send)
