"""SQL on the main address: `/api/v1/sql`, for everybody who may query."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.config import Query
from workbench.query import sql_response
from workbench.serve.access.versions import Versions
from workbench.serve.pages.turns import Turns, answered, in_turn, parameters_of
from workbench.store import View

CONCURRENT = 2
"""Statements that run at once, each in the memory of `query.sql_memory_bytes`; others wait."""
FOR_ADMINS = ("audit",)


def sql_routes(view_of: Callable[[Request], View], versions: Versions, limits: Query) -> list[Route]:
    """The route of the SQL API, over the rows of whoever asks. A client that goes away ends its statement."""
    turns = Turns(CONCURRENT, limits.queue, limits.timeout_seconds)

    async def answer(request: Request) -> Response:
        parameters = dict(await parameters_of(request))
        rows, accept = view_of(request), request.headers.get("accept", "")
        without = () if request.state.person.role == "admin" else FOR_ADMINS

        def question(gone: threading.Event) -> Response:
            view, now_us = versions.asked(rows, parameters, time.time_ns() // 1000)
            status, media, body = sql_response(
                view, parameters, accept, now_us=now_us, limits=limits, without=without, cancel=gone
            )
            return answered(request, view, status, media, body)

        return await in_turn(request, turns, question)

    return [Route("/api/v1/sql", answer, methods=["GET", "POST"])]
