"""Prometheus' query API on the main address: same parameters, same JSON, same errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.config import Query
from workbench.query import prometheus_response
from workbench.store import View

CONCURRENT = 4
"""Queries that run at once; others wait. More than a few gain nothing on few cores, and cost memory."""
FORM = "application/x-www-form-urlencoded"


def query_routes(view_of: Callable[[Request], View], limits: Query) -> list[Route]:
    """The routes of the API, below `/api/v1/`; `view_of` gives the rows of whoever asks."""
    turn = asyncio.Semaphore(CONCURRENT)

    async def answer(request: Request) -> Response:
        endpoint = request.url.path.removeprefix("/api/v1/")
        parameters = request.query_params.multi_items()
        if request.method == "POST" and request.headers.get("content-type", "").startswith(FORM):
            # Of a parameter that stands in both, the form's counts: it comes last.
            parameters += parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        view = view_of(request)
        async with turn:
            status, body = await asyncio.to_thread(
                prometheus_response, view, endpoint, parameters, now_us=time.time_ns() // 1000, limits=limits
            )
        return Response(body, status, media_type="application/json")

    both, read = ["GET", "POST"], ["GET"]
    paths = {
        "query": both,
        "query_range": both,
        "series": both,
        "labels": both,
        "label/{name}/values": read,
        "metadata": read,
        "format_query": both,
    }
    return [Route(f"/api/v1/{path}", answer, methods=methods) for path, methods in paths.items()]
