"""The hub's local socket: writing for processes of this home, and what the kernel and the rules know.

Only the owner of the home can reach the socket (0600 in a 0700 folder), so it asks for no token.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass

import pyarrow as pa
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workbench.alert import AlertManager
from workbench.errors import WorkbenchError
from workbench.ingest import Receiver, answer_enter
from workbench.store import Writer, answer
from workbench.stream import StreamProcessor

ARROW_STREAM = "application/vnd.apache.arrow.stream"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Hub:
    """The parts of a running hub, as its local socket shows them."""

    writer: Writer
    processor: StreamProcessor
    alerts: AlertManager
    receiver: Receiver


def hub_app(hub: Hub) -> Starlette:
    """The ASGI app of the local socket."""

    async def write(request: Request) -> Response:
        target = f"{request.url.path}?{request.url.query}"
        status, body = await asyncio.to_thread(answer, hub.writer, target, await request.body())
        return Response(body, status, media_type="application/json")

    async def enter(request: Request) -> Response:
        try:
            body = await asyncio.to_thread(answer_enter, hub.receiver, await request.body())
        except WorkbenchError as error:
            return JSONResponse(error.as_dict(), error.status)
        return Response(body, media_type="application/json")

    async def health(_: Request) -> Response:
        troubles = [f"{trouble.where}: {trouble.message}" for trouble in hub.alerts.health()]
        return JSONResponse({"state": "running", "lake_version": hub.writer.view.lake_version, "troubles": troubles})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=EXPOSITION)

    async def rules(_: Request) -> Response:
        return JSONResponse(hub.alerts.groups())

    async def windows(request: Request) -> Response:
        wanted = [int(text) for text in request.query_params.get("ids", "").split(",") if text]
        table = await asyncio.to_thread(hub.processor.windows, wanted)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return Response(sink.getvalue(), media_type=ARROW_STREAM)

    writing = [Route(path, write, methods=["POST"]) for path in ("/append", "/register", "/load", "/seal")]
    writing.append(Route("/enter", enter, methods=["POST"]))

    async def refused(_: Request) -> Response:
        return JSONResponse(hub.receiver.refused_series)

    answers = {"/health": health, "/metrics": metrics, "/windows": windows, "/rules": rules, "/refused": refused}
    reading = [Route(path, handler) for path, handler in answers.items()]
    return Starlette(routes=[*writing, *reading])
