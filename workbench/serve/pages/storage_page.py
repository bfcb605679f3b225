"""`/storage/`: what each table holds, here and in the archive, what goes next by which rule, and what is held."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import sqlalchemy as sa
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.report_pages import TEMPLATES
from workbench.show import render_page
from workbench.store import Lake, apply_retention, read_rules, table_sizes

_UNITS = ("B", "kB", "MB", "GB", "TB")


def storage_routes(settings: Settings, engine: sa.Engine) -> list[Route]:
    """The page; how much there is of what is nobody's row."""

    async def page(request: Request) -> Response:
        found = await asyncio.to_thread(stored, settings, engine, time.time_ns() // 1000)
        body = TEMPLATES.get_template("storage.html").render(**found, size=size_text)
        shown = render_page("Storage", Markup(body), current="/storage/", navigation=navigation(request))
        return HTMLResponse(shown)

    return [Route("/storage/", page)]


def stored(settings: Settings, engine: sa.Engine, now_us: int) -> dict[str, Any]:
    """What the page shows; a fault in the rules, or a lake that is not there yet, in words."""
    lake = Lake(settings)
    if not lake.lake_version:
        return {"tables": [], "fault": "Nothing has been stored yet."}
    tables = [one for one in table_sizes(lake) if one.rows]
    largest = max((one.size_bytes + one.archived_bytes for one in tables), default=1)
    shown = [(one, (one.size_bytes + one.archived_bytes) / largest) for one in tables]
    try:
        holds = [rule for rule in read_rules(settings) if rule.hold]
        plan = apply_retention(lake, settings, now_us, engine=engine, dry_run=True)
    except WorkbenchError as error:
        return {"tables": shown, "fault": str(error)}
    return {"tables": shown, "fault": "", "holds": holds, "plan": plan}


def size_text(size_bytes: int) -> str:
    """Bytes for people: three figures and a unit."""
    size, unit = float(size_bytes), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}" if size < 1000 else f"{size:,.0f} {_UNITS[unit]}"
