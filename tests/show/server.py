"""The pages of the stage behind a real server, for a browser."""

from __future__ import annotations

import socket
import threading

import uvicorn
from starlette.applications import Starlette

from tests.show.stage import Stage
from workbench.show import routes


class Served:
    """A stage with a moving clock behind a real server on loopback, which can be stopped and started again."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        context = self.stage.context()
        app = Starlette(routes=routes(lambda _: context))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()
