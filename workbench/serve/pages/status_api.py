"""What Prometheus' API tells of the server itself: build, flags, configuration, cardinality, alerts, health."""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import yaml
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from workbench import __version__
from workbench.config import Settings
from workbench.errors import InputError, WorkbenchError
from workbench.query import cardinality, error_response
from workbench.schema import KINDS
from workbench.store import View

PROMETHEUS_VERSION = "3.7.0"
"""The Prometheus whose API and language are spoken: clients choose by it what they ask for."""

_STARTED = datetime.now(UTC)

Alerts = Callable[[Request], Sequence[Mapping[str, Any]]]


def status_routes(
    view_of: Callable[[Request], View],
    settings: Settings,
    *,
    alerts: Alerts,
    ready: Callable[[], Awaitable[bool]],
) -> list[Route]:
    """The routes; `alerts` are those that whoever asks may see, times in microseconds UTC."""

    async def tsdb(request: Request) -> Response:
        view, limit = view_of(request), request.query_params.get("limit") or "10"
        try:
            if not limit.isdecimal() or int(limit) < 1:
                raise InputError(f"{limit!r} is not a number of results", where="limit")
            return _success(await asyncio.to_thread(_tsdb, view, int(limit)))
        except WorkbenchError as error:
            status, body = error_response(error)
            return Response(body, status, media_type="application/json")

    async def active(request: Request) -> Response:
        found = await asyncio.to_thread(alerts, request)
        return _success({"alerts": [{**one, "activeAt": rfc3339(one["activeAt"])} for one in found]})

    async def is_ready(_: Request) -> Response:
        if await ready():
            return PlainTextResponse("Workbench is Ready.\n")
        return PlainTextResponse("Service Unavailable\n", 503)

    async def is_healthy(_: Request) -> Response:
        return PlainTextResponse("Workbench is Healthy.\n")

    def fixed(make: Callable[[Settings], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_: Request) -> Response:
            return _success(make(settings))

        return answer

    return [
        Route("/api/v1/status/buildinfo", fixed(_build_info)),
        Route("/api/v1/status/runtimeinfo", fixed(_runtime_info)),
        Route("/api/v1/status/flags", fixed(_flags)),
        Route("/api/v1/status/config", fixed(_config)),
        Route("/api/v1/status/tsdb", tsdb),
        Route("/api/v1/alerts", active),
        Route("/api/v1/alertmanagers", fixed(_alertmanagers)),
        Route("/-/healthy", is_healthy),
        Route("/-/ready", is_ready),
    ]


def rfc3339(time_us: int) -> str:
    """A time as Prometheus' API writes it."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _success(data: Any) -> Response:
    return Response(orjson.dumps({"status": "success", "data": data}), media_type="application/json")


def _build_info(_: Settings) -> dict[str, str]:
    return {
        "version": PROMETHEUS_VERSION,
        "revision": f"workbench {__version__}",
        "branch": "workbench",
        "buildUser": "workbench",
        "buildDate": "",
        "goVersion": f"Python {platform.python_version()}",
    }


def _runtime_info(settings: Settings) -> dict[str, Any]:
    return {
        "startTime": rfc3339(int(_STARTED.timestamp() * 1e6)),
        "serverTime": rfc3339(time.time_ns() // 1000),
        "CWD": str(settings.home),
        "hostname": platform.node(),
        "reloadConfigSuccess": True,
        "lastConfigTime": rfc3339(int(_STARTED.timestamp() * 1e6)),
        "corruptionCount": 0,
        "goroutineCount": threading.active_count(),
        "GOMAXPROCS": os.cpu_count(),
        "storageRetention": f"{KINDS['samples'].retention_days}d",
    }


def _flags(settings: Settings) -> dict[str, str]:
    """Those of Prometheus' flags whose meaning a setting of ours has; always texts."""
    query = settings.query
    return {
        "query.lookback-delta": f"{query.lookback_seconds:g}s",
        "query.max-concurrency": str(query.concurrent),
        "query.max-samples": str(query.max_samples),
        "query.timeout": f"{query.timeout_seconds}s",
        "storage.tsdb.retention.time": f"{KINDS['samples'].retention_days}d",
        "web.enable-remote-write-receiver": "true",
    }


def _config(settings: Settings) -> dict[str, str]:
    """What clients look for in Prometheus' configuration; ours, with its addresses and secrets, is not shown."""
    interval = f"{settings.alert.interval_seconds}s"
    return {"yaml": yaml.safe_dump({"global": {"evaluation_interval": interval}})}


def _alertmanagers(_: Settings) -> dict[str, list[Any]]:
    """None: notifications go out by channels of our own."""
    return {"activeAlertmanagers": [], "droppedAlertmanagers": []}


def _tsdb(view: View, limit: int) -> dict[str, Any]:
    found = cardinality(view)

    def largest(counts: Mapping[str, int]) -> list[dict[str, Any]]:
        best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
        return [{"name": name, "value": value} for name, value in best]

    return {
        "headStats": {
            "numSeries": found.series,
            "numLabelPairs": len(found.pairs),
            "chunkCount": 0,
            "minTime": min(view.days("samples"), default=0) * 86_400_000,
            "maxTime": view.latest_us // 1000,
        },
        "seriesCountByMetricName": largest(found.metrics),
        "labelValueCountByLabelName": largest(found.values),
        "memoryInBytesByLabelName": largest(found.bytes),
        "seriesCountByLabelValuePair": largest(found.pairs),
    }
