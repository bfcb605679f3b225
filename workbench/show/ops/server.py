"""The Panel server of the drill-down: what it answers, to whom, and how many at a time.

It trusts the headers that say who asks, so it must only listen where nobody but the front can connect. Of Panel's own
doors only the page, its websocket and static files are open; a session id in a request is refused, because Bokeh would
adopt and sign whatever is given. A page and its websocket must come from the same person.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import panel as pn
from bokeh import __version__ as bokeh_version
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.util.token import get_token_payload
from markupsafe import Markup
from panel.io.application import build_applications
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.routing import Router
from tornado.web import OutputTransform, RequestHandler

from workbench import log
from workbench.show.assets import built_file, load_assets
from workbench.show.ops.choice import parse_choice, sections_of
from workbench.show.ops.drill import Board
from workbench.show.ops.notebook import chart_notebook
from workbench.show.ops.place import Caller, Keep, Place, Ways
from workbench.show.ops.session import Session
from workbench.show.page import render_page

if TYPE_CHECKING:
    from workbench.store import View

PREFIX = "/ops"
PERSON, ROLE = "X-Workbench-Person", "X-Workbench-Role"
SESSION_IDLE_SECONDS = 30
"""A session whose browser is gone is ended after this long; a browser that lost its connection comes back sooner."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Bokeh writes its styles into the page, hence 'unsafe-inline' for styles alone; scripts are files of ours."""

_log = log.get("ops")


@dataclass(frozen=True)
class Surroundings:
    """What the server needs from the rest of the workbench.

    `view_of` gives the rows that a caller may see and a name for them, `ways` where the page leads him, `keep_of` how
    his notebooks get into his JupyterLab (None where he may have none); `sessions_max` bounds the memory.
    """

    board: Board
    view_of: Callable[[Caller], tuple[View, Any]]
    ways: Callable[[Caller], Ways]
    keep_of: Callable[[Caller], Keep | None]
    sessions_max: int


def drill_server(around: Surroundings, loop: IOLoop) -> tuple[BaseServer, HTTPServer]:
    """The Bokeh server and the HTTP server in front of it; give the latter a socket, then start the former."""
    pn.extension(design="native")

    def open_session() -> pn.Template:
        # Panel writes the traceback of whatever is raised here into the page.
        try:
            return _opened(around, pn.state.curdoc)
        except Exception:
            _log.exception("a page of the drill-down cannot be opened")
            return pn.Template(_failure_page())

    bokeh = BokehTornado(
        build_applications({"/": open_session}, title=around.board.dashboard.title, location=False),
        prefix=PREFIX,
        # The guard lets a websocket come from the page's own origin alone.
        extra_websocket_origins=["*"],
        extra_patterns=[("/own/(.+)", OwnFile), ("/notebook", Notebook, {"around": around})],
        secret_key=secrets.token_bytes(32),
        sign_sessions=True,
        include_headers=[PERSON, ROLE, "Host"],
        include_cookies=[],
        unused_session_lifetime_milliseconds=SESSION_IDLE_SECONDS * 1000,
        check_unused_sessions_milliseconds=5_000,
        mem_log_frequency_milliseconds=0,
        stats_log_frequency_milliseconds=3_600_000,
        transforms=[PageHeaders],
    )
    server = HTTPServer(Guard(bokeh, around.sessions_max))
    return BaseServer(loop, bokeh, server), server


def _opened(around: Surroundings, document: Document | None) -> pn.Template:
    """A new session in a new document, and the page that shows it."""
    assert document is not None
    assert document.session_context is not None
    request: Any = getattr(document.session_context, "request")  # noqa: B009 - Bokeh's stubs do not know it
    caller = Caller(*(request.headers[name] for name in (PERSON, ROLE, "Host")))
    ways = around.ways(caller)
    assets = load_assets()
    place = Place(_own(assets.url("ops.css")), _own(assets.url("icon.svg")), _scripts())
    session = Session(
        around.board,
        lambda: around.view_of(caller),
        document,
        _pairs(request.arguments),
        keep=around.keep_of(caller),
    )
    return session.open(place, ways)


def _failure_page() -> str:
    words = "The drill-down cannot be opened now; its log in the home says why. Reload to try again."
    return render_page("Operations", Markup("<p class='words'>{}</p>").format(words), static_prefix=f"{PREFIX}/own")


class Guard(Router):
    """Judges each request before Bokeh sees it. Bokeh is asked only for what stands here."""

    def __init__(self, bokeh: BokehTornado, sessions_max: int) -> None:
        self._bokeh = bokeh
        self._sessions_max = sessions_max

    def find_handler(self, request: HTTPServerRequest, **_: Any) -> HTTPMessageDelegate | None:
        """The handler of a request that is let through, else one that says why not."""
        status, words = self._judge(request)
        if status:
            _log.info("refused", path=request.path, status=status, why=words)
            return self._bokeh.get_handler_delegate(request, Refusal, {"status": status, "words": words})
        return self._bokeh.find_handler(request)

    def _judge(self, request: HTTPServerRequest) -> tuple[int, str]:
        """(0, "") lets it through."""
        path, headers = request.path, request.headers
        if not headers.get(PERSON) or not headers.get(ROLE):
            return 403, "Nobody says who asks."
        names = {name.lower().replace("_", "-") for name in (*request.arguments, *headers)}
        if names & {"bokeh-session-id", "bokeh-token"}:
            return 403, "A session is given by the server, never by the address."
        if path == f"{PREFIX}/ws":
            return self._judge_websocket(headers)
        if request.method not in ("GET", "HEAD"):
            return 405, "Only reading is done here."
        if path == f"{PREFIX}/":
            if len(self._bokeh.get_sessions("/")) >= self._sessions_max:
                return 503, f"All {self._sessions_max} places are taken; close a page of the drill-down that is open."
            return 0, ""
        open_ = path == f"{PREFIX}/notebook" or path.startswith((f"{PREFIX}/own/", f"{PREFIX}/static/"))
        return (0, "") if open_ and ".." not in path else (404, "There is no such page.")

    def _judge_websocket(self, headers: Any) -> tuple[int, str]:
        if urlsplit(headers.get("Origin", "")).netloc != headers.get("Host"):
            return 403, "The connection comes from a page of another origin."
        _, _, token = headers.get("Sec-WebSocket-Protocol", "").partition(",")
        try:
            told: Mapping[str, str] = get_token_payload(token.strip()).get("headers", {})
        except Exception:  # whatever Bokeh makes of bytes that are no token
            return 403, "The connection carries no token."
        if told.get(PERSON) != headers[PERSON] or told.get(ROLE) != headers[ROLE]:
            return 403, "The page belongs to somebody else."
        return 0, ""


class PageHeaders(OutputTransform):
    """Puts the policy on every document."""

    def transform_first_chunk(
        self, status_code: int, headers: Any, chunk: bytes, finishing: bool
    ) -> tuple[int, Any, bytes]:
        """Tornado's hook before the first bytes of an answer."""
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        if headers.get("Content-Type", "").startswith("text/html"):
            headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            headers["Cache-Control"] = "no-store"
        return status_code, headers, chunk


class Refusal(RequestHandler):
    """A page that says why not."""

    def initialize(self, status: int, words: str) -> None:
        """Take what is said."""
        self._status, self._words = status, words

    def prepare(self) -> None:
        """Answer, whatever the method."""
        self.set_status(self._status)
        if self._status == 503:
            self.set_header("Retry-After", str(SESSION_IDLE_SECONDS))
        body = Markup("<p class='words'>{}</p>").format(self._words)
        self.finish(render_page("Operations", body, static_prefix=f"{PREFIX}/own"))


class OwnFile(RequestHandler):
    """The page's own files, which carry their content's hash in their names."""

    def get(self, name: str) -> None:
        """One file of the manifest; nothing else."""
        found = built_file(name, self.request.headers.get("Accept-Encoding", ""))
        if found is None:
            self.set_status(404)
            return
        for header, value in found.headers.items():
            self.set_header(header, value)
        self.finish(found.body)

    head = get


class Notebook(RequestHandler):
    """A chart as a notebook, to be downloaded: `?chart=ID` and the view that it is part of."""

    def initialize(self, around: Surroundings) -> None:
        """Take the board."""
        self._around = around

    def get(self) -> None:
        """The notebook. An unknown chart is 404."""
        headers = self.request.headers
        view, key = self._around.view_of(Caller(headers[PERSON], headers[ROLE], headers.get("Host", "")))
        pairs = _pairs(self.request.arguments)
        name = dict(pairs).get("chart", "")
        board = self._around.board
        choice, _ = parse_choice(board.dashboard, pairs)
        sections = sections_of(board.dashboard, choice).values()
        tile = next((tile for section in sections for tile in section.tiles if tile.id == name), None)
        if tile is None or not tile.queries:
            self.set_status(404)
            self.finish("There is no such chart.")
            return
        self.set_header("Content-Type", "application/x-ipynb+json")
        self.set_header("Content-Disposition", f'attachment; filename="{tile.id}.ipynb"')
        self.set_header("Cache-Control", "no-store")
        self.finish(
            chart_notebook(tile, choice, board.narrowed(tile, choice, view, key), board.now_us(), view.lake_version)
        )


def _pairs(arguments: Mapping[str, Sequence[bytes]]) -> list[tuple[str, str]]:
    return [(name, value.decode("utf-8", "replace")) for name, values in arguments.items() for value in values]


def _own(address: str) -> str:
    return address.replace("/static/", f"{PREFIX}/own/", 1)


def _scripts() -> tuple[str, ...]:
    """Bokeh's core and our script; the address of the former changes with its version, so it can be kept for ever."""
    return (f"{PREFIX}/static/js/bokeh.min.js?v={bokeh_version}", _own(load_assets().url("ops.js")))
