"""`/publish/` for those who may promote notebooks: hand one in, see what the checks said, take it back.

`/jobs/publications/N` shows operators what waits for them, its code included; they approve or refuse it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.errors import InputError, WorkbenchError
from workbench.report import Publication, decide, get_publication, publications, undo
from workbench.serve.identity.audit import Audit
from workbench.serve.identity.forms import read_form
from workbench.serve.identity.people import Person
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.report_pages import TEMPLATES
from workbench.show import render_page

MOST_LISTED = 200
REFRESH_SECONDS = "2"
"""How often the page of what is being checked looks again by itself."""
PLACES = {"board": ("/boards/", "the board"), "report": ("/reports/", "the reports"), "job": ("/jobs/", "the job")}

Handler = Callable[[Request], Any]


class PublishPages:
    """The pages, over the state and the home."""

    def __init__(self, settings: Settings, engine: sa.Engine, audit: Audit) -> None:
        self._settings = settings
        self._engine = engine
        self._audit = audit

    def routes(self) -> list[Route]:
        """What publishers and approvers open and post to."""
        return [
            Route("/publish/", self.listing),
            Route("/publish/", self.take, methods=["POST"]),
            Route("/publish/{number:int}", self.one),
            Route("/publish/{number:int}/undo", self.take_back, methods=["POST"]),
            Route("/jobs/publications/{number:int}", self.review),
            Route("/jobs/publications/{number:int}/approve", self.approve, methods=["POST"]),
            Route("/jobs/publications/{number:int}/refuse", self.refuse, methods=["POST"]),
        ]

    async def listing(self, request: Request) -> Response:
        """The form, and what was published."""
        return self._form(request)

    async def take(self, request: Request) -> Response:
        """A notebook is handed in; it is examined by the process `jobs`."""
        from workbench.report import hand_in  # loads what notebooks need, which most visits of these pages do not

        person: Person = request.state.person
        try:
            form = await read_form(request.receive)
            known = own_notebooks(self._settings, person)
            if form.get("notebook") not in known:
                raise InputError("choose one of your notebooks", where="notebook")
            if not person.name:
                raise InputError("a token publishes nothing", where="person", hint="Sign in.")
            taken = await asyncio.to_thread(
                hand_in,
                known[form["notebook"]],
                form.get("kind", ""),
                by=person.name,
                settings=self._settings,
                engine=self._engine,
                schedule=schedule_of(form),
                queue=True,
            )
        except WorkbenchError as error:
            return self._form(request, error, error.status)
        await asyncio.to_thread(self._audit, person.id, "publication queued", taken.name, kind=taken.kind)
        return RedirectResponse(f"/publish/{taken.id}", 303)

    async def one(self, request: Request) -> Response:
        """What became of one; it looks again by itself while it is being checked."""
        found = self._found(request)
        if found is None or not _may_see(request.state.person, found):
            return self._missing(request)
        page = self._shell(request, _title(found), "publication.html", one=found, place=PLACES[found.kind], when=when)
        if found.state in ("queued", "checking"):
            page.headers["refresh"] = REFRESH_SECONDS
        return page

    async def take_back(self, request: Request) -> Response:
        """Undo one's own; an admin may undo all."""
        found, person = self._found(request), request.state.person
        if found is None or not _may_see(person, found):
            return self._missing(request)
        try:
            await asyncio.to_thread(undo, found.id, by=person.name, settings=self._settings, engine=self._engine)
        except WorkbenchError as error:
            return self._form(request, error, error.status)
        await asyncio.to_thread(self._audit, person.id, "publication undone", found.name, kind=found.kind)
        return RedirectResponse(f"/publish/{found.id}", 303)

    async def review(self, request: Request) -> Response:
        """What an operator decides about, with the code that will run."""
        found = self._found(request)
        if found is None:
            return self._missing(request)
        cells = _cells(found)
        return self._shell(request, _title(found), "review.html", one=found, cells=cells, when=when)

    async def approve(self, request: Request) -> Response:
        """It goes into its place."""
        return await self._decide(request, approve=True)

    async def refuse(self, request: Request) -> Response:
        """It does not."""
        return await self._decide(request, approve=False)

    async def _decide(self, request: Request, *, approve: bool) -> Response:
        person: Person = request.state.person
        number = request.path_params["number"]
        try:
            done = await asyncio.to_thread(
                decide,
                number,
                approve=approve,
                by=person.name or person.id,
                settings=self._settings,
                engine=self._engine,
            )
        except WorkbenchError as error:
            body = Markup("<p>{}</p><p><a href='/jobs/'>All jobs</a></p>").format(error)
            return HTMLResponse(render_page("Not decided", body, navigation=navigation(request)), error.status)
        await asyncio.to_thread(self._audit, person.id, f"publication {done.state}", done.name, kind=done.kind)
        return RedirectResponse(f"/jobs/publications/{done.id}", 303)

    def _form(self, request: Request, error: WorkbenchError | None = None, status: int = 200) -> Response:
        person: Person = request.state.person
        mine = [one for one in publications(self._engine) if _may_see(person, one)]
        notebooks = list(own_notebooks(self._settings, person))
        values = {"notebooks": notebooks, "mine": mine, "error": error, "when": when}
        return self._shell(request, "Publish", "publish.html", status, **values)

    def _found(self, request: Request) -> Publication | None:
        try:
            return get_publication(self._engine, request.path_params["number"])
        except InputError:
            return None

    def _shell(self, request: Request, title: str, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        body = Markup(TEMPLATES.get_template(template).render(**values))
        current = "/jobs/" if request.url.path.startswith("/jobs/") else "/publish/"
        return HTMLResponse(render_page(title, body, current=current, navigation=navigation(request)), status)

    def _missing(self, request: Request) -> Response:
        body = Markup("<p>There is nothing of that number.</p>")
        return HTMLResponse(render_page("Not there", body, navigation=navigation(request)), 404)


def own_notebooks(settings: Settings, person: Person) -> dict[str, Path]:
    """Path as people see it -> notebook: those of the person, and for admins those of the home."""
    root = settings.home / "notebooks"
    folders = [root / "people" / str(person.user_id)] if person.user_id else []
    found = {
        str(file.relative_to(folder)): file
        for folder in folders
        for file in sorted(folder.rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in file.parts and file.resolve().is_relative_to(folder.resolve())
    }
    if person.role == "admin":
        found |= {f"notebooks/{file.name}": file for file in sorted(root.glob("*.ipynb")) if not file.is_symlink()}
    return dict(list(found.items())[:MOST_LISTED])


def schedule_of(form: Any) -> dict[str, Any]:
    """The keys of a schedule file that a form gives; for a report and an empty field none."""
    wanted = {"title": "title", "about": "about"}
    if form.get("kind") == "job":
        wanted |= {"cron": "schedule", "timezone": "timezone", "date": "date"}
    given: dict[str, Any] = {key: form.get(name, "").strip() for key, name in wanted.items()}
    if form.get("kind") == "job":
        given["recipients"] = form.get("to", "").replace(",", " ").split()
    return {} if form.get("kind") == "report" else {key: value for key, value in given.items() if value}


def when(time_us: int | None) -> str:
    """A time for people, to the minute, UTC."""
    return datetime.fromtimestamp((time_us or 0) / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _may_see(person: Person, one: Publication) -> bool:
    return person.role == "admin" or (bool(person.name) and person.name == one.published_by)


def _title(one: Publication) -> str:
    return f"{one.name.replace('_', ' ').capitalize()}, a {one.kind}"


def _cells(one: Publication) -> list[tuple[str, str]]:
    """(kind, source) of each cell that was handed in."""
    import nbformat

    text = next(text for path, text in one.files.items() if path.endswith(".ipynb"))
    return [(cell.cell_type, cell.source) for cell in nbformat.reads(text, as_version=4).cells]
