"""The stage, and pages of it over HTTP."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

sys.path.insert(0, str(Path(__file__).parent))

from stage import Stage

from tests.conftest import need
from workbench.errors import ConfigError
from workbench.show import build, routes


@pytest.fixture
def stage() -> Stage:
    """Known numbers instead of a store; the clock stands still."""
    return Stage(clock=lambda: 1_795_507_207.25)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """The pages of the stage, without a network."""
    app = Starlette(routes=routes(stage.context()))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://workbench.test") as found:
        yield found


@pytest.fixture(scope="session")
def built() -> None:
    """The browser side, built from the present sources."""
    try:
        build.build()
    except ConfigError as error:
        need(False, f"the browser side cannot be built: {error}")


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
        app = Starlette(routes=routes(self.stage.context()))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()


@pytest.fixture
def served(built: None) -> Iterator[Served]:
    """The pages of a moving stage, for a browser."""
    found = Served()
    yield found
    found.stop()
