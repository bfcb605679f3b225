"""The way to the servers behind the gate: HTTP and websocket, to a unix socket or a port of loopback.

The gate has decided by then. The upstream gets its own secret and who asks, and none of our cookies; a server that is
not there yet is started, and a page says so and follows up by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import websockets
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from websockets.asyncio.client import ClientConnection, connect, unix_connect

from workbench import log
from workbench.errors import Busy, StoreError, WorkbenchError
from workbench.serve.access.headers import Headers
from workbench.serve.identity.people import Person
from workbench.serve.running.on_demand import Upstream

HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()
)
OURS = (b"authorization", b"cookie", b"x-workbench-person", b"x-workbench-role", b"forwarded")
COOKIE = "workbench_"
UNSENDABLE = (1004, 1005, 1006, 1015)  # RFC 6455, 7.4.1: what an end may note, and none may send
CONNECT_SECONDS = 2.0
RETRY_SECONDS = 1
OPEN_SECONDS = 60  # of a websocket: a Jupyter server answers once the kernel behind it has started

_log = log.get(__name__)


Locate = Callable[[Person], Upstream]
Start = Callable[[Person], Awaitable[str]]


class Proxy:
    """An ASGI app for one server, or one per person: `locate` says where it listens now, `start` has it started.

    `start` returns what is wrong where it cannot be ("" otherwise). `what` is its name for people.
    """

    def __init__(self, what: str, locate: Locate, start: Start) -> None:
        self._what = what
        self._locate = locate
        self._start = start
        self._clients: dict[Upstream, httpx.AsyncHTTPTransport] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Pass one request on."""
        person: Person = scope["state"]["person"]
        upstream = await asyncio.to_thread(self._locate, person)
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send, upstream, person)
            return
        try:
            if not upstream.usable():
                raise httpx.ConnectError("not started")
            answer: Response = await self._http(scope, receive, upstream, person)
        except httpx.ConnectError:
            self._clients.pop(upstream, None)
            answer = await self._starting(scope, person)
        except httpx.TransportError as error:
            _log.warning("upstream failed", what=self._what, error=repr(error))
            answer = JSONResponse(StoreError(f"{self._what} broke off: {error}").as_dict(), 502)
        await answer(scope, receive, send)

    async def _http(self, scope: Any, receive: Any, upstream: Upstream, person: Person) -> Response:
        transport = self._clients.get(upstream)
        if transport is None:
            uds = str(upstream.socket) if upstream.socket else None
            transport = self._clients[upstream] = httpx.AsyncHTTPTransport(uds=uds, retries=0)
        host = dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1")
        path = (scope.get("raw_path") or scope["path"].encode()).split(b"?")[0]
        target = path + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        request = httpx.Request(
            scope["method"],
            httpx.URL(scheme="http", host="127.0.0.1", port=upstream.port or 80, raw_path=target),
            headers=_passed_on(scope, upstream, person, host),
            content=_body(receive) if _has_body(scope) else None,
            extensions={"timeout": {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}},
        )
        found = await transport.handle_async_request(request)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for part in found.stream:  # type: ignore[union-attr]
                    yield part
            finally:
                await found.aclose()

        answer = StreamingResponse(body(), status_code=found.status_code)
        answer.raw_headers = [
            (name.lower(), value)
            for name, value in found.headers.raw
            if name.lower() not in HOP and not (name.lower() == b"set-cookie" and value.startswith(COOKIE.encode()))
        ]
        return answer

    async def _websocket(self, scope: Any, receive: Any, send: Any, upstream: Upstream, person: Person) -> None:
        await receive()  # websocket.connect
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"localhost").decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        path = (scope.get("raw_path") or scope["path"].encode()).split(b"?")[0].decode("latin-1")
        options: dict[str, Any] = {
            "additional_headers": [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in _passed_on(scope, upstream, person, host)
                if not name.startswith(b"sec-websocket") and name not in (b"host", b"origin")
            ],
            "origin": headers.get(b"origin", b"").decode("latin-1") or None,
            "subprotocols": scope.get("subprotocols") or None,
            "compression": None,
            "max_size": None,
            "ping_interval": None,
            "open_timeout": OPEN_SECONDS,
            "proxy": None,
        }
        # The host in the address becomes the Host header, by which the upstream compares the Origin.
        address = f"ws://{host}{path}" + (f"?{query}" if query else "")
        try:
            if upstream.socket:
                connection = await unix_connect(str(upstream.socket), address, **options)
            else:
                connection = await connect(address, host="127.0.0.1", port=upstream.port, **options)
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            _log.warning("websocket refused upstream", what=self._what, path=scope["path"], error=repr(error))
            await send({"type": "websocket.close", "code": 4502})
            return
        await send({"type": "websocket.accept", "subprotocol": connection.subprotocol})
        await _pump(receive, send, connection)

    async def _starting(self, scope: Any, person: Person) -> Response:
        problem = await self._start(person)
        headers = {"retry-after": str(RETRY_SECONDS)}
        if scope["type"] == "http" and Headers(scope).navigation:
            return HTMLResponse(_waiting_page(self._what, problem), 503, headers)
        error: WorkbenchError = StoreError(problem) if problem else Busy(f"{self._what} is starting")
        return JSONResponse(error.as_dict(), 503, headers)


async def _pump(receive: Any, send: Any, connection: ClientConnection) -> None:
    """Carry messages both ways until one side ends."""

    async def outward() -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await connection.send(message["bytes"] if message.get("bytes") is not None else message["text"])

    async def inward() -> None:
        async for data in connection:
            kind = "text" if isinstance(data, str) else "bytes"
            await send({"type": "websocket.send", kind: data})

    tasks = [asyncio.create_task(outward()), asyncio.create_task(inward())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await connection.close()
    code = connection.close_code or 1000
    with contextlib.suppress(RuntimeError):  # the browser left first
        await send({"type": "websocket.close", "code": 1011 if code in UNSENDABLE else code})


def _passed_on(scope: Any, upstream: Upstream, person: Person, host: str) -> list[tuple[bytes, bytes]]:
    headers = [(name, value) for name, value in scope["headers"] if name not in HOP and name not in OURS]
    headers = [(name, value) for name, value in headers if not name.startswith(b"x-forwarded-")]
    cookies = b"; ".join(_foreign(value for name, value in scope["headers"] if name == b"cookie"))
    if cookies:
        headers.append((b"cookie", cookies))
    if upstream.token:
        headers.append((b"authorization", upstream.token.encode()))
    headers.append((b"x-workbench-person", person.id.encode()))
    headers.append((b"x-workbench-role", person.role.encode()))
    return headers if any(name == b"host" for name, _ in headers) else [(b"host", host.encode()), *headers]


def _foreign(values: Iterable[bytes]) -> list[bytes]:
    pairs = [pair.strip() for value in values for pair in value.split(b";")]
    return [pair for pair in pairs if pair and not pair.startswith(COOKIE.encode())]


def _has_body(scope: Any) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _body(receive: Any) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.WriteError("the caller left")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


def _waiting_page(what: str, problem: str) -> str:
    follow = "" if problem else f'<meta http-equiv="refresh" content="{RETRY_SECONDS}">'
    text = problem or f"{what} is starting. This page follows by itself in a moment."
    return WAITING.replace("{{follow}}", follow).replace("{{what}}", what).replace("{{text}}", html.escape(text))


WAITING = (Path(__file__).resolve().parents[1] / "pages" / "templates" / "waiting.html").read_text(encoding="utf-8")
