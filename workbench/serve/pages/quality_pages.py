"""Data quality on the main address: every check and how it stands; each finding leads to the rows.

Checks speak about all rows. So whoever sees only some rows is told nothing of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.serve.access.rows import Rows
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.report_pages import FOLDER, TEMPLATES
from workbench.serve.quality.declarations import quality_files, read_checks
from workbench.show import render_page
from workbench.store import state

PAGE = "/data-quality/"
SPAN_US = 3600 * 1_000_000


def quality_routes(settings: Settings, engine: sa.Engine, rows_of: Callable[[Request], Rows]) -> list[Route]:
    """`/data-quality/`, and `/data-quality/rows` of one check."""

    def shell(request: Request, title: str, template: str, **values: Any) -> HTMLResponse:
        body = Markup(TEMPLATES.get_template(template).render(**values))
        return HTMLResponse(render_page(title, body, current=PAGE, navigation=navigation(request)))

    async def style(_: Request) -> Response:
        return FileResponse(FOLDER / "quality.css", media_type="text/css", headers={"cache-control": "private"})

    async def listing(request: Request) -> Response:
        if rows_of(request).matchers:
            return shell(request, "Data quality", "quality.html", limited=True)
        checks, faults = await asyncio.to_thread(read_checks, quality_files(settings))
        about = {(check.source, check.name): check.about for check in checks}
        sources: dict[str, list[dict[str, Any]]] = {}
        for row in await asyncio.to_thread(_results, engine):
            sources.setdefault(row.source, []).append(_told(row, about.get((row.source, row.name), "")))
        sources = dict(sorted(sources.items(), key=lambda item: -sum(check["failed"] > 0 for check in item[1])))
        unmet = sum(check["failed"] > 0 for found in sources.values() for check in found)
        every = settings.quality.every_seconds
        return shell(request, "Data quality", "quality.html", sources=sources, faults=faults, unmet=unmet, every=every)

    async def rows(request: Request) -> Response:
        wanted = tuple(request.query_params.get(name, "") for name in ("source", "check", "kind"))
        found = [] if rows_of(request).matchers else await asyncio.to_thread(_results, engine)
        row = next((one for one in found if (one.source, one.name, one.kind) == wanted), None)
        if row is None:
            body = Markup("<p>There is no such result. <a href='/data-quality/'>All checks</a></p>")
            return HTMLResponse(render_page("No such check", body, navigation=navigation(request)), 404)
        shown = [{**bad, "time": _time(bad["time_us"])} for bad in row.rows]
        title = f"{row.name.replace('_', ' ')}: {row.kind}"
        return shell(request, title, "quality_rows.html", result=_told(row, ""), rows=shown, link=_link(row))

    return [Route(PAGE, listing), Route(f"{PAGE}quality.css", style), Route(f"{PAGE}rows", rows)]


def _results(engine: sa.Engine) -> list[Any]:
    table = state.quality_results
    with engine.connect() as connection:
        order = sa.select(table).order_by(table.c.source, (table.c.failed == 0), table.c.name, table.c.kind)
        return list(connection.execute(order))


def _told(row: Any, about: str) -> dict[str, Any]:
    """What the pages show of a result."""
    place = urlencode({"source": row.source, "check": row.name, "kind": row.kind}, quote_via=quote)
    return {
        "name": row.name.replace("_", " "), "kind": row.kind, "about": about, "message": row.message,
        "checked": row.checked, "failed": row.failed, "state": "met" if row.failed == 0 else "unmet",
        "since": _time(row.changed_us), "looked": _time(row.evaluated_us), "link": f"{PAGE}rows?{place}",
        "source": row.source, "statement": row.statement,
    }  # fmt: skip


def _link(row: Any) -> str:
    """Where the API answers what finds the rows."""
    if not row.statement:
        return ""
    if row.statement.startswith("SELECT "):
        return f"/api/v1/sql?{urlencode({'query': row.statement, 'format': 'csv'}, quote_via=quote)}"
    span = {"start": (row.evaluated_us - SPAN_US) / 1e6, "end": row.evaluated_us / 1e6, "step": 15}
    return f"/api/v1/query_range?{urlencode({'query': row.statement, **span}, quote_via=quote)}"


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S") if time_us else ""
