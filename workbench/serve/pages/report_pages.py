"""The reports on the main address: a list, and each report in a sandbox where nothing in it can act as its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.errors import ReportError
from workbench.query import contains, parse_matchers
from workbench.report import CONTENT_SECURITY_POLICY, Report, get_report, kept_pdf, list_reports
from workbench.serve.access.rows import Rows
from workbench.serve.pages.navigation import navigation
from workbench.show import render_page

FOLDER = Path(__file__).parent / "templates"
TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True)


RowsOf = Callable[[Request], Rows]
"""What whoever asks may see; a report made of rows beyond them is not there for him."""


def report_routes(settings: Settings, rows_of: RowsOf) -> list[Route]:
    """`/reports/`, and of report N on the main origin: `/reports/N` (the frame), `/reports/N/notebook` and `/pdf`."""

    def shell(request: Request, title: str, template: str, **values: Any) -> HTMLResponse:
        body = Markup(TEMPLATES.get_template(template).render(**values))
        return HTMLResponse(render_page(title, body, current="/reports/", navigation=navigation(request)))

    async def style(_: Request) -> Response:
        return FileResponse(FOLDER / "reports.css", media_type="text/css", headers={"cache-control": "private"})

    async def listing(request: Request) -> Response:
        found = await asyncio.to_thread(list_reports, settings)
        rows = rows_of(request)
        reports = [report for report in found if shown(report, rows)]
        return shell(request, "Reports", "reports.html", reports=reports, when=when, took=took, called=called)

    async def frame(request: Request) -> Response:
        report = await find_report(settings, request, rows_of(request))
        if report is None:
            return missing(request)
        provenance = report.provenance() if report.provenance_file.is_file() else None
        title = f"{called(report)}, {report.date}"
        return shell(request, title, "report.html", report=report, provenance=provenance, when=when, took=took)

    async def notebook(request: Request) -> Response:
        report = await find_report(settings, request, rows_of(request))
        if report is None or not report.notebook.is_file():
            return missing(request)
        return FileResponse(report.notebook, media_type="application/x-ipynb+json", filename=report.notebook.name)

    async def pdf(request: Request) -> Response:
        report = await find_report(settings, request, rows_of(request))
        if report is None or not report.html.is_file():
            return missing(request)
        # Made when first asked for, and kept beside the page: it takes up to a second.
        try:
            file = await asyncio.to_thread(kept_pdf, report)
        except ReportError as error:
            body = Markup("<p>{}</p><p><a href='/reports/{}'>Back to the report</a></p>").format(error, report.id)
            return HTMLResponse(render_page("No PDF", body, navigation=navigation(request)), 500)
        return FileResponse(file, media_type="application/pdf", filename=f"{report.name}-{report.date}.pdf")

    def missing(request: Request) -> Response:
        body = Markup("<p>That report is not kept. <a href='/reports/'>All reports</a></p>")
        return HTMLResponse(render_page("No such report", body, navigation=navigation(request)), 404)

    return [
        Route("/reports/", listing),
        Route("/reports/reports.css", style),
        Route("/reports/{number:int}", frame),
        Route("/reports/{number:int}/notebook", notebook),
        Route("/reports/{number:int}/pdf", pdf),
    ]


def report_files(settings: Settings, rows_of: RowsOf) -> list[Route]:
    """`/reports/N/page` on the notebook origin: what the notebook wrote, which the frame shows."""

    async def page(request: Request) -> Response:
        report = await find_report(settings, request, rows_of(request))
        if report is None or not report.html.is_file():
            return PlainTextResponse("That report is not kept.", 404)
        return FileResponse(
            report.html, media_type="text/html", headers={"content-security-policy": CONTENT_SECURITY_POLICY}
        )

    return [Route("/reports/{number:int}/page", page)]


async def find_report(settings: Settings, request: Request, rows: Rows) -> Report | None:
    """The report that the address names; None where there is none, or it shows more than these rows."""
    try:
        report = await asyncio.to_thread(get_report, request.path_params["number"], settings=settings)
    except ReportError:
        return None
    return report if shown(report, rows) else None


def shown(report: Report, rows: Rows) -> bool:
    """Whether a report may be shown to somebody: his rows contain those that it was made of."""
    return contains(rows.matchers, parse_matchers(report.rows))


def called(report: Report) -> str:
    """The name of a report for people."""
    return report.name.replace("_", " ").capitalize()


def when(time_us: int) -> str:
    """A time for people, to the minute, UTC."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def took(report: Report) -> str:
    """How long a run took, for people; empty while it is not over."""
    if report.finished_us is None:
        return ""
    seconds = (report.finished_us - report.started_us) / 1e6
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
