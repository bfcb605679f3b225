"""Prometheus' query API on the main address: same parameters, same JSON, same errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.config import Query
from workbench.query import federate_response, prometheus_response, read_response
from workbench.serve.access.versions import Versions
from workbench.serve.pages.turns import Turns, answered, in_turn, parameters_of
from workbench.store import View

_PATHS = {
    "query": ["GET", "POST"],
    "query_range": ["GET", "POST"],
    "series": ["GET", "POST"],
    "labels": ["GET", "POST"],
    "label/{name}/values": ["GET"],
    "metadata": ["GET"],
    "query_exemplars": ["GET", "POST"],
    "format_query": ["GET", "POST"],
    "parse_query": ["GET", "POST"],
}


def query_routes(
    view_of: Callable[[Request], View],
    versions: Versions,
    limits: Query,
    told: Callable[[], Mapping[str, tuple[str, str, str]]],
) -> list[Route]:
    """The routes of the API; `view_of` gives the rows of whoever asks, `told` what senders said of their metrics.

    Every question may name a lake `version`, or by `as_of` a time; then it is answered from that alone. A client that
    goes away ends its query.
    """
    turns = Turns(limits.concurrent, limits.queue, limits.timeout_seconds)

    async def query(request: Request) -> Response:
        endpoint = request.url.path.removeprefix("/api/v1/")
        parameters, rows = await parameters_of(request), view_of(request)

        def question(gone: threading.Event) -> Response:
            view, now_us = versions.asked(rows, dict(parameters), _now_us())
            status, body = prometheus_response(
                view,
                endpoint,
                parameters,
                now_us=now_us,
                limits=limits,
                canceled=gone.is_set,
                told=told() if endpoint == "metadata" else {},
            )
            return answered(request, view, status, "application/json", body)

        return await in_turn(request, turns, question)

    async def federate(request: Request) -> Response:
        parameters, rows = await parameters_of(request), view_of(request)

        def question(gone: threading.Event) -> Response:
            view, now_us = versions.asked(rows, dict(parameters), _now_us())
            status, media, body = federate_response(
                view, parameters, request.headers.get("accept", ""), now_us=now_us, limits=limits, canceled=gone.is_set
            )
            return answered(request, view, status, media, body)

        return await in_turn(request, turns, question)

    async def read(request: Request) -> Response:
        body, rows = await request.body(), view_of(request)

        def question(gone: threading.Event) -> Response:
            view, _ = versions.asked(rows, request.query_params, _now_us())
            status, media, found = read_response(view, body, limits=limits, canceled=gone.is_set)
            return answered(request, view, status, media, found, encoding="snappy" if status == 200 else "")

        return await in_turn(request, turns, question)

    return [
        *(Route(f"/api/v1/{path}", query, methods=methods) for path, methods in _PATHS.items()),
        Route("/api/v1/read", read, methods=["POST"]),
        Route("/federate", federate, methods=["GET"]),
    ]


def _now_us() -> int:
    return time.time_ns() // 1000
