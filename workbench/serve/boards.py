"""The process `boards`: Voila behind the gate, for boards with controls, closed wherever it is open as shipped.

It listens on a port of loopback that it picks, and answers nobody without the token that it writes beside the port for
the front. Of Voila's addresses those stand that a session needs; tree, contents, files, sign-in and shutdown do not.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import time
from typing import Any
from urllib.parse import unquote

import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.web
from jupyter_core.utils import run_sync
from jupyter_server.base.handlers import FileFindHandler
from jupyterlab_server.themes_handler import ThemesHandler
from traitlets.config import Config
from voila.app import Voila
from voila.static_file_handler import MultiStaticFileHandler, TemplateStaticFileHandler
from voila.utils import get_voila_labextensions_path

from workbench import log
from workbench.config import Settings, ensure_private_dir
from workbench.report import board_style
from workbench.serve.access import policy
from workbench.serve.process import child_main
from workbench.serve.running.home import write_private
from workbench.serve.sessions.board_kernels import MESSAGES, BoardConnection, BoardKernels, Start
from workbench.serve.sessions.board_rooms import Rooms
from workbench.serve.sessions.board_sessions import (
    TEMPLATES,
    ChannelsHandler,
    OpenHandler,
    OwnKernelHandler,
    RenderHandler,
    SeatHandler,
    SessionHandler,
)
from workbench.serve.sessions.seats import Seats

PREFIX = "/boards/"
KERNEL = r"(?P<kernel_id>[0-9a-f]{8}-[0-9a-f-]{27})"
NAME = r"([a-z0-9_]{1,80})"
TIDY_EVERY_MS = 1000

logger = log.get(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    settings = child_main("boards").settings
    token = secrets.token_urlsafe(32)
    boards = Boards.instance(config=configuration(settings, token))
    boards.workbench = settings
    boards.begun = {}
    boards.rooms = Rooms(settings)
    boards.seats = Seats(settings.boards.sessions, settings.boards.idle_seconds)
    boards.initialize([])
    boards.start()


def configuration(settings: Settings, token: str) -> Config:
    """Voila's settings, ours alone: no configuration file of the machine can open what is closed here."""
    folder = ensure_private_dir(ensure_private_dir(settings.runtime_dir) / "boards")
    return Config(
        {
            "Voila": {
                "root_dir": str(folder),
                "base_url": PREFIX,
                "ip": "127.0.0.1",
                "open_browser": False,
                "token": token,
                "config_file_paths": [],
                "kernel_websocket_connection_class": BoardConnection,
            },
            "VoilaConfiguration": {
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
                "strip_sources": True,
                "file_allowlist": [],
                "file_denylist": [".*"],
                "show_tracebacks": False,
                "extension_allowlist": ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"],
                "multi_kernel_manager_class": BoardKernels,
                "attempt_fix_notebook": True,
                "resources": {"board_style": board_style()},
            },
            "AsyncMappingKernelManager": {
                "kernel_manager_class": "workbench.serve.sessions.board_process.BoardProcess"
            },
        }
    )


class Application(tornado.web.Application):
    """Answers nobody without the token, and no path that has two readings, whatever a handler thinks of it."""

    def find_handler(self, request: Any, **options: Any) -> Any:
        """The handler of a request that may come in, else the refusal."""
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), f"token {self.settings['identity_provider'].token}".encode()):
            return self.get_handler_delegate(request, tornado.web.ErrorHandler, {"status_code": 403})
        if not policy.clean(unquote(request.path), request.path.encode()):
            return self.get_handler_delegate(request, tornado.web.ErrorHandler, {"status_code": 404})
        return super().find_handler(request, **options)


class Boards(Voila):
    """Voila with a short list of addresses, seats before kernels, and a folder that holds published boards alone."""

    workbench: Settings
    seats: Seats
    rooms: Rooms
    begun: dict[str, Start]
    """The sessions under way, by kernel."""

    def setup_template_dirs(self) -> None:
        """Our template comes before Voila's, which it extends."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(TEMPLATES))

    def init_settings(self) -> dict[str, Any]:
        """Voila's, but a browser can send less."""
        found: dict[str, Any] = super().init_settings()
        self.kernel_manager.allowed_message_types = sorted(MESSAGES)
        return found

    def init_handlers(self) -> list[Any]:
        """All that can be asked for."""
        extensions = get_voila_labextensions_path([])
        seated = {"seats": self.seats, "settings": self.workbench}
        voila = {
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        themes = {
            "themes_url": f"{PREFIX}voila/api/themes",
            "path": self.themes_dir,
            "labextensions_path": extensions,
            "no_cache_paths": [],
        }
        static = {"paths": self.static_paths, "default_filename": None}
        return [
            (rf"{PREFIX}open/{NAME}", OpenHandler, seated),
            (rf"{PREFIX}seat/{NAME}", SeatHandler, seated),
            (rf"{PREFIX}session/{NAME}", SessionHandler, seated),
            (rf"{PREFIX}voila/render/(.*)", RenderHandler, {**seated, **voila, "rooms": self.rooms}),
            (rf"{PREFIX}api/kernels/{KERNEL}", OwnKernelHandler, {"seats": self.seats}),
            (rf"{PREFIX}api/kernels/{KERNEL}/channels", ChannelsHandler, {"seats": self.seats}),
            (rf"{PREFIX}voila/static/(.*)", MultiStaticFileHandler, static),
            (rf"{PREFIX}voila/templates/((?:lab|base)/static/.+)", TemplateStaticFileHandler),
            (rf"{PREFIX}voila/labextensions/(.*)", FileFindHandler, {"path": extensions, "no_cache_paths": []}),
            (rf"{PREFIX}voila/api/themes/(.*)", ThemesHandler, themes),
        ]

    def start(self) -> None:
        """Listen, say where, and serve until told to stop."""
        # Short: the sockets of the kernels lie there, and the path of a socket has about a hundred characters.
        self.connection_dir = str(ensure_private_dir(self.workbench.runtime_dir / "k"))
        for left in self.workbench.runtime_dir.glob("b-????????"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        self.app = Application(**self.init_settings())
        self.app.add_handlers(".*$", self.init_handlers())
        sockets = tornado.netutil.bind_sockets(0, self.ip)
        self.port = sockets[0].getsockname()[1]
        server = tornado.httpserver.HTTPServer(self.app)
        server.add_sockets(sockets)
        where = {"port": self.port, "token": self.identity_provider.token}
        write_private(self.workbench.runtime_dir / "boards.json", json.dumps(where))
        self.ioloop = tornado.ioloop.IOLoop.current()
        tornado.ioloop.PeriodicCallback(self.tidy, TIDY_EVERY_MS).start()
        logger.info("boards are up", port=self.port, sessions=self.seats.capacity)
        try:
            self.ioloop.start()
        finally:
            (self.workbench.runtime_dir / "boards.json").unlink(missing_ok=True)
            self.stop()

    def stop(self) -> None:
        """End every kernel; Voila's own way stumbles over sockets that vanish meanwhile."""
        run_sync(self.kernel_manager.shutdown_all)(now=True)
        shutil.rmtree(self.connection_dir, ignore_errors=True)

    async def tidy(self) -> None:
        """Take back what nobody uses, and end the kernels of it."""
        alive = set(self.kernel_manager.list_kernel_ids())
        for kernel, start in list(self.begun.items()):
            if kernel not in alive:
                del self.begun[kernel]
                self.seats.end(kernel)
            elif self.rooms.limits_of(start.person) != start.room.matchers:
                self.seats.revoke(kernel)  # it was made for other rows than its person may see now
        self.seats.tidy(time.monotonic())
        over, self.seats.over = self.seats.over, []
        for kernel in over:
            with contextlib.suppress(KeyError, tornado.web.HTTPError):
                await self.kernel_manager.shutdown_kernel(kernel, now=True)


if __name__ == "__main__":
    main()
