"""SQL on the main address: `/api/v1/sql`, for everybody who may query."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.config import Query
from workbench.query import sql_response
from workbench.serve.pages.query_api import FORM
from workbench.store import View

CONCURRENT = 2
"""Statements that run at once, each in the memory of `query.sql_memory_bytes`; others wait."""
FOR_ADMINS = ("audit",)
_LOOK_SECONDS = 0.5  # how often a client that went away is noticed


def sql_routes(view_of: Callable[[Request], View], limits: Query) -> list[Route]:
    """The route of the SQL API, over the rows of whoever asks. A client that goes away ends its statement."""
    turn = asyncio.Semaphore(CONCURRENT)

    async def answer(request: Request) -> Response:
        parameters = dict(request.query_params.multi_items())
        if request.method == "POST" and request.headers.get("content-type", "").startswith(FORM):
            parameters |= parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        cancel = threading.Event()
        async with turn:
            answering = asyncio.create_task(
                asyncio.to_thread(
                    sql_response,
                    view_of(request),
                    parameters,
                    request.headers.get("accept", ""),
                    now_us=time.time_ns() // 1000,
                    limits=limits,
                    without=() if request.state.person.role == "admin" else FOR_ADMINS,
                    cancel=cancel,
                )
            )
            while not (await asyncio.wait({answering}, timeout=_LOOK_SECONDS))[0]:
                if await request.is_disconnected():
                    cancel.set()
        status, media, body = answering.result()
        return Response(body, status, media_type=media)

    return [Route("/api/v1/sql", answer, methods=["GET", "POST"])]
