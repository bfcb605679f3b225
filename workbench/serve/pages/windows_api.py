"""The kernel's sliding windows on the main address: `GET /api/v1/windows?match[]=SELECTOR`.

Answers in the shape of Prometheus' API: `data` is a list of {metric, window_seconds, end, count, sum, mean, min, max,
rate, p50, p95, p99}; times are seconds UTC, `rate` is null for what is not a counter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.errors import InputError, StoreError, WorkbenchError
from workbench.query import error_response, label_index, parse
from workbench.serve.running import local_http
from workbench.store import View

SERIES_MAX = 1000
FIELDS = ("count", "sum", "mean", "min", "max", "rate", "p50", "p95", "p99")


def windows_routes(view_of: Callable[[Request], View], settings: Settings) -> list[Route]:
    """The route of the API; `view_of` gives the rows of whoever asks."""

    async def answer(request: Request) -> Response:
        try:
            labels = await asyncio.to_thread(matched, view_of(request), request.query_params.getlist("match[]"))
            data = await asked(settings, labels) if labels else []
            status, found = 200, orjson.dumps({"status": "success", "data": data})
        except WorkbenchError as error:
            status, found = error_response(error)
        return Response(found, status, media_type="application/json")

    return [Route("/api/v1/windows", answer, methods=["GET"])]


async def asked(settings: Settings, labels: dict[int, dict[str, str]]) -> list[dict[str, Any]]:
    """The windows of some series, by the hub. Raises StoreError where it does not answer."""
    query = urlencode({"ids": ",".join(map(str, labels))})
    status, body = await local_http.get(settings.hub_socket, f"/windows?{query}")
    if status != 200:
        raise StoreError("the hub does not answer", hint="See `workbench status`.")
    return rows(body, labels)


def matched(view: View, selectors: Sequence[str]) -> dict[int, dict[str, str]]:
    """Series id -> labels of the series that any selector matches. Raises QueryError, InputError."""
    if not selectors:
        raise InputError("no match[] parameter provided", where="match[]")
    index = label_index(view)
    found: dict[int, dict[str, str]] = {}
    for text in selectors:
        node: Any = parse(text)
        if not hasattr(node, "matchers"):
            raise InputError(f"{text!r} is not a series selector", where="match[]")
        for row in index.select(node.matchers):
            entry = index.rows[row]
            if entry.kind != "float":  # `target_info` stands for its target, and is not measured
                continue
            found.update({int(series): dict(entry.labels) for series in entry.ids})
    if len(found) > SERIES_MAX:
        raise InputError(f"{len(found)} series match", where="match[]", hint=f"At most {SERIES_MAX} are answered.")
    return found


def rows(body: bytes, labels: dict[int, dict[str, str]]) -> list[dict[str, Any]]:
    """The hub's Arrow table as rows for people."""
    with pa.ipc.open_stream(body) as stream:
        table = stream.read_all()
    ends = table["end_time"].cast(pa.int64()).to_numpy() / 1e6
    columns = {name: table[name].to_pylist() for name in FIELDS}
    return [
        {
            "metric": labels[series],
            "window_seconds": table["window_seconds"][at].as_py(),
            "end": float(ends[at]),
            **{name: _plain(values[at]) for name, values in columns.items()},
        }
        for at, series in enumerate(table["series"].to_pylist())
        if series in labels
    ]


def _plain(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
