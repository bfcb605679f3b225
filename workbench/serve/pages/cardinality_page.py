"""`/cardinality/`: which metrics, labels and senders make the series many, how fast they grow, and what was refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.query import cardinality, growth, worst_labels
from workbench.serve.access.policy import OPERATORS
from workbench.serve.access.rows import Rows
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.report_pages import TEMPLATES
from workbench.serve.running import local_http
from workbench.show import render_page
from workbench.store import View

WORST = 15
"""Rows of each table."""


def cardinality_routes(settings: Settings, rows_of: Callable[[Request], Rows]) -> list[Route]:
    """The page; everybody's numbers are those of his rows, what was refused is told to operators who see all."""

    async def page(request: Request) -> Response:
        rows = rows_of(request)
        found = await asyncio.to_thread(worst, rows.view, settings, time.time_ns() // 1000)
        refused: list[dict[str, Any]] = []
        if not rows.matchers and request.state.person.role in OPERATORS:
            refused = await _refused(settings)
        body = TEMPLATES.get_template("cardinality.html").render(**found, refused=refused, targets=_may(request))
        shown = render_page("Cardinality", Markup(body), current="/targets/", navigation=navigation(request))
        return HTMLResponse(shown)

    return [Route("/cardinality/", page)]


def worst(view: View, settings: Settings, now_us: int) -> dict[str, Any]:
    """What the page shows: the numbers of `cardinality` and `growth`, the largest first."""
    counts, lately, limits = cardinality(view), growth(view, now_us), settings.ingest
    metrics = [
        {
            "name": name,
            "series": series,
            "share": min(1.0, series / limits.max_metric_series),
            "labels": worst_labels(view, name),
            "hour": lately.metric_hour[name],
            "day": lately.metric_day[name],
        }
        for name, series in _largest(counts.metrics)
    ]
    senders = [
        {
            "name": name,
            "series": series,
            "share": min(1.0, series / limits.max_source_series),
            "hour": lately.source_hour[name],
            "day": lately.source_day[name],
        }
        for name, series in _largest(lately.sources)
    ]
    return {
        "series": counts.series,
        "limits": limits,
        "day": sum(lately.metric_day.values()),
        "hour": sum(lately.metric_hour.values()),
        "metrics": metrics,
        "senders": senders,
        "labels": [(name, values, counts.bytes[name]) for name, values in _largest(counts.values)],
        "pairs": _largest(counts.pairs),
    }


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:WORST]


async def _refused(settings: Settings) -> list[dict[str, Any]]:
    status, body = await local_http.get(settings.hub_socket, "/refused")
    found = json.loads(body)[:WORST] if status == 200 else []
    return [{**one, "last": datetime.fromtimestamp(one["last_us"] / 1e6, UTC).strftime("%H:%M:%S")} for one in found]


def _may(request: Request) -> bool:
    return request.state.person.role in OPERATORS
