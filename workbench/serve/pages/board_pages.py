"""The boards on the main address: a list, and the page around each; on the notebook address what stands in its frame.

What a notebook showed is never part of a page of ours: it stands in a sandboxed frame, on the second origin, under a
policy by which no script but ours runs. The page around it holds the stream and posts the live numbers into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from workbench.config import Settings
from workbench.errors import ReportError
from workbench.query import contains, parse_matchers
from workbench.report import Snapshot, board_about, board_notebooks, get_snapshot, list_snapshots, snapshot_policy
from workbench.serve.access.rows import Rows
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.report_pages import FOLDER, TEMPLATES, when
from workbench.show import load_assets, render_page, script_json

RowsOf = Callable[[Request], Rows]


@dataclass(frozen=True)
class BoardPages:
    """The pages of one workbench; `rows_of` says what whoever asks may see."""

    settings: Settings
    rows_of: RowsOf

    def routes(self) -> list[Route]:
        """On the main origin: `/boards/`, and of each board its page, its state (JSON) and its notebook."""
        return [
            Route("/boards/", self.listing),
            Route("/boards/boards.css", self.style),
            Route("/boards/{name}", self.board),
            Route("/boards/{name}/state", self.state),
            Route("/boards/{name}/notebook", self.notebook),
        ]

    def files(self) -> list[Route]:
        """On the notebook origin: the page in the frame."""
        return [Route("/snapshots/{name}/", self.page)]

    async def listing(self, request: Request) -> Response:
        """Every board that whoever asks may see, those that were never made included."""
        rows = self.rows_of(request)
        made = {snapshot.name: snapshot for snapshot in await asyncio.to_thread(list_snapshots, self.settings)}
        known = await asyncio.to_thread(self._known)
        boards = [
            {"name": name, "title": about["title"], "description": about["description"], "made": made.get(name)}
            for name, about in sorted(known.items(), key=lambda entry: entry[1]["title"])
            if name not in made or shown(made[name], rows)
        ]
        return self._shell(request, "Boards", "boards.html", current="/boards/", boards=boards, when=when)

    async def board(self, request: Request) -> Response:
        """The page around a board."""
        snapshot = await self._find(request)
        name = request.path_params["name"]
        if snapshot is None:
            if name not in await asyncio.to_thread(self._known):
                return self._missing(request)
            # It may have been made of rows that are not his; that it was not made yet tells him nothing.
            return self._shell(request, "Board", "board.html", snapshot=None, boot=None, when=when)
        assets = load_assets()
        address = f"/live/{snapshot.dashboard}"
        boot = {
            "state": f"/boards/{name}/state",
            "made": (snapshot.executed_us or 0) / 1e6,
            "data": f"{address}/data",
            "stream": f"{address}/stream",
            "worker": assets.url("worker.js"),
            "numbers": {f"live_{at}": {"expr": one.expr, "unit": one.unit} for at, one in enumerate(snapshot.live)},
        }
        return self._shell(
            request,
            snapshot.title,
            "board.html",
            snapshot=snapshot,
            boot=script_json(boot),
            script=assets.url("boards.js"),
            when=when,
        )

    async def state(self, request: Request) -> Response:
        """When the snapshot was made (seconds UTC) and what failed since, for the page that shows it."""
        snapshot = await self._find(request)
        if snapshot is None:
            return JSONResponse({"made": None, "failed": None})
        made, failed = (None if us is None else us / 1e6 for us in (snapshot.executed_us, snapshot.failed_us))
        return JSONResponse({"made": made, "failed": failed})

    async def notebook(self, request: Request) -> Response:
        """The executed notebook of the snapshot, to look behind a figure."""
        snapshot = await self._find(request)
        file = snapshot.folder / f"{snapshot.name}.ipynb" if snapshot and snapshot.folder else None
        if file is None or not file.is_file():
            return self._missing(request)
        return FileResponse(file, media_type="application/x-ipynb+json", filename=file.name)

    async def page(self, request: Request) -> Response:
        """What the notebook showed, for the frame alone."""
        for _ in range(2):  # between the look and the opening a newer one may have taken its place
            snapshot = await self._find(request)
            if snapshot is None or snapshot.page is None:
                break
            try:
                content = await asyncio.to_thread(snapshot.page.read_bytes)
            except FileNotFoundError:
                continue
            return Response(content, media_type="text/html", headers={"content-security-policy": snapshot_policy()})
        return PlainTextResponse("There is no such snapshot.", 404)

    async def style(self, _: Request) -> Response:
        """The style sheet of these pages."""
        return FileResponse(FOLDER / "boards.css", media_type="text/css", headers={"cache-control": "private"})

    async def _find(self, request: Request) -> Snapshot | None:
        try:
            found = await asyncio.to_thread(get_snapshot, request.path_params["name"], settings=self.settings)
        except ReportError:
            return None
        return found if shown(found, self.rows_of(request)) else None

    def _known(self) -> dict[str, dict[str, Any]]:
        return {name: board_about(name, file) for name, file in board_notebooks(self.settings).items()}

    def _shell(self, request: Request, title: str, template: str, *, current: str = "", **values: Any) -> Response:
        body = Markup(TEMPLATES.get_template(template).render(**values))
        return HTMLResponse(render_page(title, body, current=current or "/boards/", navigation=navigation(request)))

    def _missing(self, request: Request) -> Response:
        body = Markup("<p>There is no such board. <a href='/boards/'>All boards</a></p>")
        return HTMLResponse(render_page("No such board", body, navigation=navigation(request)), 404)


def shown(snapshot: Snapshot, rows: Rows) -> bool:
    """Whether a snapshot may be shown to somebody: his rows contain those that it was made of."""
    return contains(rows.matchers, parse_matchers(snapshot.rows))
