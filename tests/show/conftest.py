"""The stage, and pages of it over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette

from tests.conftest import need
from tests.show.server import Served
from tests.show.stage import Stage
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
    context = stage.context()
    app = Starlette(routes=routes(lambda _: context))
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


@pytest.fixture
def served(built: None) -> Iterator[Served]:
    """The pages of a moving stage, for a browser."""
    found = Served()
    yield found
    found.stop()
