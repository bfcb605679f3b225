"""The HTTP door: OTLP/HTTP metrics, Prometheus remote write 1.0 and 2.0, CloudEvents. A plain ASGI application.

`POST /v1/metrics`, `POST /api/v1/write`, `POST /events`. The caller is authorised before a byte of the body is read,
the body is bounded while it streams in, and success is answered only once the log has it on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from workbench.errors import Busy, InputError, TooLarge, WorkbenchError
from workbench.ingest.bodies import media_type
from workbench.ingest.callers import Authorize, Caller, Knock
from workbench.ingest.otlp.answers import RETRY_AFTER_SECONDS, otlp_answer, otlp_error
from workbench.ingest.receiver import Outcome, Receiver
from workbench.log import get, request

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

READ_TIMEOUT_SECONDS = 30.0
"""For a body to arrive. It holds room in memory while it comes, so it may not take for ever."""

log = get(__name__)


def http_app(receiver: Receiver, authorize: Authorize) -> App:
    """The application. `authorize` judges every request first, whatever its path."""

    async def app(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":  # a websocket: refused by closing it before it is accepted
            await send({"type": "websocket.close", "code": 1008})
            return
        incoming = Request(scope, receive)
        with request(incoming.headers.get("x-request-id", "")[:64] or None) as request_id:
            response = await _answer(receiver, authorize, incoming)
            response.headers["x-request-id"] = request_id
        await response(scope, receive, send)

    return app


async def _lifespan(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(receiver: Receiver, authorize: Authorize, incoming: Request) -> Response:
    otlp = incoming.url.path.startswith("/v1/")
    media = incoming.headers.get("content-type", "")
    try:
        caller = authorize(_knock(incoming))
        return await _serve(receiver, incoming, caller, media)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    except WorkbenchError as error:
        return otlp_error(error, media_type(media), _headers(error)) if otlp else _error(error)
    except Exception:
        log.exception("a request failed", path=incoming.url.path)
        failure = WorkbenchError("the door failed on this request", hint="See the hub's log.")
        return otlp_error(failure, media_type(media), {}) if otlp else _error(failure)


async def _serve(receiver: Receiver, incoming: Request, caller: Caller, media: str) -> Response:
    path = incoming.url.path
    doors = {"/v1/metrics": receiver.otlp_metrics, "/api/v1/write": receiver.remote_write, "/events": receiver.events}
    if path in ("/v1/traces", "/v1/logs"):
        return _plain_error(501, "NotThereYet", f"{path} is not there yet", "This version takes POST /v1/metrics.")
    if path not in doors:
        return _plain_error(404, "NotFound", f"there is no {path[:100]} here", f"There are {', '.join(doors)}.")
    if incoming.method != "POST":
        response = _plain_error(405, "MethodNotAllowed", f"{path} takes POST only", "")
        response.headers["allow"] = "POST"
        return response
    encoding = incoming.headers.get("content-encoding", "")
    with receiver.room() as take:
        body = await _read(incoming, receiver.limits.max_body_bytes, take)
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(receiver.pool, doors[path], body, media, encoding, caller)
        if outcome.future is not None:
            await asyncio.wrap_future(outcome.future)
    if path == "/v1/metrics":
        return otlp_answer(outcome, media_type(media))
    if path != "/api/v1/write":
        return _events_answer(outcome)
    response = _write_answer(outcome)
    for sort, count in zip(("Samples", "Histograms", "Exemplars"), outcome.written, strict=True):
        response.headers[f"X-Prometheus-Remote-Write-{sort}-Written"] = str(count)
    return response


async def _read(incoming: Request, max_bytes: int, take: Callable[[int], None]) -> bytes:
    """The whole body; raises TooLarge as soon as it is known to be over the bound, Busy where there is no room."""
    declared = incoming.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise TooLarge(f"the body has {declared} bytes, over {max_bytes}", hint="Send less per request.")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            async for part in incoming.stream():
                size += len(part)
                if size > max_bytes:
                    raise TooLarge(f"the body has over {max_bytes} bytes", hint="Send less per request.")
                take(len(part))
                parts.append(part)
    except TimeoutError as error:
        raise Busy(f"the body did not arrive within {READ_TIMEOUT_SECONDS:g} s") from error
    return b"".join(parts)


def _knock(incoming: Request) -> Knock:
    peer = (incoming.client.host, incoming.client.port) if incoming.client else None
    return Knock("http", incoming.method, incoming.url.path, incoming.headers, peer)


def _write_answer(outcome: Outcome) -> Response:
    """Remote write knows no partial success: 400 says that something was dropped for good, and is not sent again."""
    if outcome.rejected:
        return _error(InputError(outcome.message, where=f"{outcome.accepted} samples were accepted"))
    return Response(status_code=204)


def _events_answer(outcome: Outcome) -> Response:
    faults = [{"index": fault.index, "field": fault.field, "message": fault.message} for fault in outcome.faults]
    body = {"accepted": outcome.accepted, "rejected": outcome.rejected, "errors": faults}
    return JSONResponse(body, status_code=400 if outcome.rejected and not outcome.accepted else 200)


def _error(error: WorkbenchError) -> Response:
    return JSONResponse(error.as_dict(), status_code=error.status, headers=_headers(error))


def _plain_error(status: int, code: str, message: str, hint: str) -> Response:
    return JSONResponse({"error": code, "message": message, "where": "", "hint": hint}, status_code=status)


def _headers(error: WorkbenchError) -> dict[str, str]:
    if isinstance(error, Busy):
        return {"retry-after": str(error.retry_after_seconds)}
    if error.status == 503:
        return {"retry-after": str(RETRY_AFTER_SECONDS)}
    return {"www-authenticate": "Bearer"} if error.status == 401 else {}
