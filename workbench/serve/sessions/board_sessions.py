"""The addresses of interactive boards: the page that waits for a seat, the session itself, its connection.

/boards/open/NAME                     the waiting page, which asks …
/boards/seat/NAME                     … for a seat: {"place": 3} or {"address": …}
/boards/voila/render/NAME.ipynb?seat= the session: starts the kernel of the seat
/boards/session/NAME?seat=            whether the session still lives: {"alive": true}
/boards/api/kernels/ID[/channels]     its kernel, for the holder of its seat
"""

from __future__ import annotations

import asyncio
import json
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from tornado import web
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from workbench.config import Settings
from workbench.errors import Forbidden
from workbench.report import board_about, board_notebooks
from workbench.serve.identity.people import Person
from workbench.serve.sessions.board_kernels import Start, starting
from workbench.serve.sessions.board_rooms import Rooms
from workbench.serve.sessions.seats import Seat, Seats

PERSON, ROLE = "X-Workbench-Person", "X-Workbench-Role"
TEMPLATES = Path(__file__).parent / "voila"


def content_policy(host: str) -> str:
    """What a session's page may do: speak with its own kernel, and with nothing else of this origin, JupyterLab first.

    It opens, embeds, submits and installs nothing, so that it can act as its reader nowhere but in its own session.
    """
    own = f"http://{host}/boards/ https://{host}/boards/ ws://{host}/boards/ wss://{host}/boards/"
    return (
        f"sandbox allow-scripts allow-same-origin; default-src 'none'; connect-src {own}; img-src 'self' data: blob:; "
        f"script-src {own} 'unsafe-inline' 'unsafe-eval'; style-src {own} 'unsafe-inline'; font-src {own} data:; "
        "worker-src 'none'; frame-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


def published(settings: Settings, name: str) -> dict[str, Any] | None:
    """What an interactive board says of itself; None where there is none of that name."""
    file = board_notebooks(settings).get(name)
    about = _about(name, file, file.stat().st_mtime_ns) if file is not None else None
    return about if about and about["interactive"] else None


def put_before_voila(settings: Settings, name: str, folder: Path) -> None:
    """Make an interactive board, as it is published now, the one that Voila finds in its folder."""
    content, target = board_notebooks(settings)[name].read_bytes(), folder / f"{name}.ipynb"
    if not (target.exists() and target.read_bytes() == content):
        draft = target.with_suffix(".new")
        draft.write_bytes(content)
        draft.replace(target)


@lru_cache(maxsize=64)
def _about(name: str, file: Path, _modified_ns: int) -> dict[str, Any]:
    return board_about(name, file)


class SeatedHandler(JupyterHandler):
    """What asks for, or about, a seat."""

    def initialize(self, seats: Seats, settings: Settings) -> None:
        """Tornado's constructor."""
        self.seats, self.workbench = seats, settings

    @property
    def person(self) -> str:
        """Who asks; the front says it, and nobody else has the token."""
        return self.request.headers.get(PERSON, "")

    def board(self, name: str) -> dict[str, Any]:
        """What the board says of itself. Raises 404."""
        about = published(self.workbench, name)
        if about is None:
            raise web.HTTPError(404)
        return about


class OpenHandler(SeatedHandler):
    """The page that waits for a seat."""

    def get(self, name: str) -> None:
        """It starts nothing by itself: its script asks, so a program that fetches pages takes no seat."""
        title = self.board(name)["title"]
        self.set_header("Content-Security-Policy", content_policy(self.request.host))
        self.set_header("Cache-Control", "no-store")
        self.finish(self.render_string(str(TEMPLATES / "open.html"), name=name, title=title))


class SeatHandler(SeatedHandler):
    """Gives seats, and places in the queue."""

    def get(self, name: str) -> None:
        """Asked every second or two by the page that waits."""
        self.board(name)
        found = self.seats.ask(self.person, name, time.monotonic())
        if isinstance(found, Seat):
            answer: dict[str, Any] = {"address": f"/boards/voila/render/{name}.ipynb?seat={found.token}"}
        else:
            answer = {"place": found, "sessions": self.seats.capacity}
        self.set_header("Cache-Control", "no-store")
        self.finish(answer)


class SessionHandler(SeatedHandler):
    """Whether a session lives."""

    def get(self, name: str) -> None:
        """Asked now and then by the session's page, which says when it is over."""
        seat = self.seats.find(self.person, name, self.get_argument("seat", ""))
        self.set_header("Cache-Control", "no-store")
        self.finish({"alive": seat is not None and bool(seat.kernel)})


class RenderHandler(TornadoVoilaHandler):
    """The session's page: runs the notebook on the kernel of a seat."""

    def initialize(self, seats: Seats, settings: Settings, rooms: Rooms, **options: Any) -> None:
        """Tornado's constructor."""
        super().initialize(**options)
        self.seats, self.workbench, self.rooms = seats, settings, rooms

    async def get(self, path: str | None = None) -> None:
        """Without a seat of one's own it is the waiting page that one gets."""
        name, _, suffix = (path or "").partition(".")
        if suffix != "ipynb" or published(self.workbench, name) is None:
            raise web.HTTPError(404)
        person = self.request.headers.get(PERSON, "")
        seat = self.seats.find(person, name, self.get_argument("seat", ""))
        if seat is None:
            self.redirect(f"/boards/open/{name}")
            return
        put_before_voila(self.workbench, name, Path(self.contents_manager.root_dir))
        self.set_header("Content-Security-Policy", content_policy(self.request.host))
        self.seats.hold(seat, time.monotonic())
        mark = None
        try:
            who = Person(person, self.request.headers.get(ROLE, ""))
            mark = starting.set(Start(seat, who, await asyncio.to_thread(self.rooms.open, who)))
            await super().get(path)
        except Forbidden as error:
            raise web.HTTPError(403, reason=error.message) from error
        finally:
            if mark is not None:
                starting.reset(mark)
            self.seats.release(seat, time.monotonic())


class OwnKernelHandler(KernelHandler):
    """What there is to know of one's own kernel."""

    def initialize(self, seats: Seats) -> None:
        """Tornado's constructor."""
        self.seats = seats

    async def get(self, kernel_id: str) -> None:
        """Its model; another's is not there."""
        seat = self.seats.holder(kernel_id)
        if seat is None or seat.person != self.request.headers.get(PERSON):
            raise web.HTTPError(404)
        model: dict[str, Any] = self.kernel_manager.kernel_model(kernel_id)
        self.finish(json.dumps(model, default=str))

    async def delete(self, kernel_id: str) -> None:
        """A session ends with its page."""
        raise web.HTTPError(405)


class ChannelsHandler(VoilaKernelWebsocketHandler):
    """The connection between a session's page and its kernel."""

    def initialize(self, seats: Seats) -> None:
        """Tornado's constructor."""
        self.seats = seats
        self.seat: Seat | None = None
        self.holds = False

    async def pre_get(self) -> None:
        """Only the holder of the seat comes in."""
        seat = self.seats.holder(self.kernel_id)
        if seat is None or seat.person != self.request.headers.get(PERSON):
            raise web.HTTPError(403)
        self.seat = seat
        await super().pre_get()

    async def open(self, kernel_id: str) -> None:
        """Tornado's, when the connection stands."""
        assert self.seat is not None
        self.seats.hold(self.seat, time.monotonic(), opened=True)
        self.holds = True
        await super().open(kernel_id)

    def used(self) -> None:
        """Somebody did something."""
        if self.seat is not None:
            self.seat.used = time.monotonic()

    def on_close(self) -> None:
        """Tornado's, when the connection is gone."""
        if self.seat is not None and self.holds:
            self.seats.release(self.seat, time.monotonic())
        super().on_close()
