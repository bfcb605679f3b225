"""Prometheus' query API on the main address: same parameters, same JSON, same errors.

Source: the HTTP API page of Prometheus 3.x, `/api/v1/query` and `/api/v1/query_range`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.config import Query
from workbench.query import api
from workbench.store import View

CONCURRENT = 4
"""Queries that run at once; others wait. More than the machine has cores gains nothing and costs memory."""


def query_routes(view: View, limits: Query) -> list[Route]:
    """The routes of the API."""
    turn = asyncio.Semaphore(CONCURRENT)

    def route(path: str, answer: Callable[..., tuple[int, dict[str, Any]]]) -> Route:
        async def endpoint(request: Request) -> Response:
            parameters = await _parameters(request)
            async with turn:
                now_us = time.time_ns() // 1000
                status, document = await asyncio.to_thread(answer, view, parameters, now_us=now_us, limits=limits)
            return Response(orjson.dumps(document), status, media_type="application/json")

        return Route(path, endpoint, methods=["GET", "POST"])

    return [route("/api/v1/query", api.answer_query), route("/api/v1/query_range", api.answer_query_range)]


async def _parameters(request: Request) -> Mapping[str, str]:
    """Of the address and, in a POST, of the form; the form wins."""
    found = dict(request.query_params)
    if request.method == "POST":
        found.update(parse_qsl((await request.body()).decode("utf-8", "replace")))
    return found
