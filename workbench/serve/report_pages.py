"""The reports on the main address: a list, and each report in a sandbox where nothing in it can act as its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.errors import ReportError
from workbench.report import CONTENT_SECURITY_POLICY, Report, get_report, list_reports
from workbench.show import render_page

TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


def report_routes(settings: Settings, navigation: Sequence[tuple[str, str]]) -> list[Route]:
    """`/reports/`, `/reports/N` (the page), `/reports/N/notebook` (the executed notebook)."""

    async def listing(_: Request) -> Response:
        reports = await asyncio.to_thread(list_reports, settings)
        body = TEMPLATES.get_template("reports.html").render(reports=reports, when=when)
        return HTMLResponse(render_page("Reports", Markup(body), current="/reports/", navigation=navigation))

    async def page(request: Request) -> Response:
        report = await find(request)
        if report is None or not report.html.is_file():
            return missing()
        return FileResponse(
            report.html, media_type="text/html", headers={"content-security-policy": CONTENT_SECURITY_POLICY}
        )

    async def notebook(request: Request) -> Response:
        report = await find(request)
        if report is None or not report.notebook.is_file():
            return missing()
        return FileResponse(report.notebook, media_type="application/x-ipynb+json", filename=report.notebook.name)

    async def find(request: Request) -> Report | None:
        try:
            return await asyncio.to_thread(get_report, request.path_params["number"], settings=settings)
        except ReportError:
            return None

    def missing() -> Response:
        body = Markup("<p>That report is not kept. <a href='/reports/'>All reports</a></p>")
        return HTMLResponse(render_page("No such report", body, current="", navigation=navigation), 404)

    return [
        Route("/reports/", listing),
        Route("/reports/{number:int}", page),
        Route("/reports/{number:int}/notebook", notebook),
    ]


def when(time_us: int | None) -> str:
    """A time for people, to the minute, UTC."""
    return datetime.fromtimestamp((time_us or 0) / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
