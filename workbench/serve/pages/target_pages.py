"""What is scraped and how it is: `/targets/` for operators, and `/api/v1/targets` in the shape of Prometheus' API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.serve.access.rows import Rows
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.report_pages import FOLDER, TEMPLATES
from workbench.serve.running import local_http
from workbench.show import render_page

NOTHING: dict[str, Any] = {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}
STATES = ("down", "unknown", "up")
"""Of targets, the worst first: the order of the page."""


def target_routes(settings: Settings, rows_of: Callable[[Request], Rows]) -> list[Route]:
    """The page, its style sheet and the API; who sees some rows is told of the targets whose labels meet them."""

    async def page(request: Request) -> Response:
        found = await asked(settings, rows_of(request))
        chosen = request.query_params.get("state", "")
        jobs = by_job(found["data"]["activeTargets"], time.time(), chosen) if found else []
        counts = {
            state: sum(one["health"] == state for one in found["data"]["activeTargets"]) if found else 0
            for state in STATES
        }
        body = TEMPLATES.get_template("targets.html").render(
            found=found, jobs=jobs, counts=counts, chosen=chosen, file=settings.scrape_file, running=found is not None
        )
        html = render_page("Targets", Markup(body), current="/targets/", navigation=navigation(request))
        return HTMLResponse(html)

    async def style(_: Request) -> Response:
        return FileResponse(FOLDER / "targets.css", media_type="text/css", headers={"cache-control": "private"})

    async def api(request: Request) -> Response:
        found = await asked(settings, rows_of(request))
        data = dict(found["data"]) if found else dict(NOTHING)
        state, pool = request.query_params.get("state", ""), request.query_params.get("scrapePool", "")
        for key, wanted in (("activeTargets", "active"), ("droppedTargets", "dropped")):
            kept = [one for one in data[key] if not pool or one["scrapePool"] == pool]
            data[key] = kept if state in ("", "any", wanted) else []
        return JSONResponse({"status": "success", "data": data})

    return [Route("/targets/", page), Route("/targets/targets.css", style), Route("/api/v1/targets", api)]


async def asked(settings: Settings, rows: Rows) -> dict[str, Any] | None:
    """What the process that scrapes says (`scrape_status`), within some rows; None while nothing is scraped."""
    status, body = await local_http.get(settings.scrape_socket, "/targets")
    if status != 200:
        return None
    found = dict(json.loads(body))
    if rows.matchers:  # what was dropped has no labels by which it could be shown, and faults may name anything
        active = [one for one in found["data"]["activeTargets"] if rows.condition.shows(one["labels"])]
        found |= {"data": {**NOTHING, "activeTargets": active}, "fault": "", "troubles": {}}
    return found


def by_job(targets: list[Mapping[str, Any]], now: float, state: str) -> list[dict[str, Any]]:
    """Jobs with their targets as the page shows them; only those of `state` where it is one. `now`: seconds UTC."""
    jobs: dict[str, list[dict[str, Any]]] = {}
    for target in targets:
        if state not in STATES or target["health"] == state:
            jobs.setdefault(target["scrapePool"], []).append(_row(target, now))
    for rows in jobs.values():
        rows.sort(key=lambda row: (STATES.index(row["health"]), row["scrapeUrl"]))
    return [
        {"name": name, "rows": rows, "up": sum(row["health"] == "up" for row in rows)} for name, rows in jobs.items()
    ]


def _row(target: Mapping[str, Any], now: float) -> dict[str, Any]:
    last = datetime.fromisoformat(target["lastScrape"])
    ago = "never"
    if last.year > 1:
        seconds = max(0.0, now - last.timestamp())
        ago = f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"
    labels = {name: value for name, value in target["labels"].items() if name != "job"}
    return {**target, "ago": ago, "took": f"{target['lastScrapeDuration'] * 1000:.0f} ms", "shown": labels}
