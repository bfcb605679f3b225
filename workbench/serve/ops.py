"""The process `ops`: Panel's server with the operators' drill-down, on a socket that only the front may enter.

Loading Panel and Bokeh takes seconds, so that is done before the socket is there, and a first measurement is begun: who
opens the page waits for neither.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bokeh.server.server import BaseServer
from tornado.ioloop import IOLoop

from workbench import log
from workbench.config import Settings
from workbench.errors import StoreError
from workbench.query import Result, range_query
from workbench.sandbox import available
from workbench.serve.access import policy
from workbench.serve.access.origins import Origins
from workbench.serve.access.reach import people_origins
from workbench.serve.access.rows import RowsViews
from workbench.serve.identity.people import Person
from workbench.serve.pages.navigation import entries
from workbench.serve.process import Child, child_main
from workbench.serve.running.listen import stop_on_signals, unix_socket
from workbench.show import SHIPPED_DASHBOARDS, Board, Caller, Keep, Surroundings, Ways, drill_server
from workbench.store import Reader, View, open_view, state

FOLLOW_EVERY_SECONDS = 0.5
"""Charts move every few seconds; looking for new data more often would not be seen."""

IDLE_SECONDS = 1800
"""The process ends when no page of it was open for so long."""

BOARD = "operations.yaml"
TIMEOUT_SECONDS = 15
SAMPLES_MAX = 10_000_000
"""What one query may cost: an operator's own must not keep the others waiting, nor fill the process."""

logger = log.get(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    asyncio.run(_run(child_main("ops")))


async def _run(child: Child) -> None:
    settings = child.settings
    loop = IOLoop.current()
    stop = stop_on_signals(asyncio.get_running_loop())
    origins = people_origins(settings, child.ports["main"], child.ports["notebook"])
    socket_file = settings.runtime_dir / "ops.sock"
    view = open_view(settings)
    limits = replace(
        settings.query,
        timeout_seconds=min(settings.query.timeout_seconds, TIMEOUT_SECONDS),
        max_samples=min(settings.query.max_samples, SAMPLES_MAX),
    )

    def evaluate(view: View, expr: str, start_us: int, end_us: int, step_us: int) -> Result:
        return range_query(view, expr, start_us, end_us, step_us, limits=limits)

    board = Board(_board_file(settings), evaluate=evaluate)
    engine = state.engine(settings)
    views = RowsViews(view, engine)

    def view_of(caller: Caller) -> tuple[View, Any]:
        rows = views.of(Person(caller.person, caller.role))
        return rows.view, rows.matchers

    around = Surroundings(
        board,
        view_of=view_of,
        ways=lambda caller: _ways(origins, caller),
        keep_of=lambda caller: keep_of(settings, caller, sandbox=not available()),
        sessions_max=settings.ops.sessions_max,
    )
    following = threading.Thread(target=_follow, args=(view, stop), name="follow", daemon=True)
    following.start()
    bokeh, server = drill_server(around, loop)
    # In threads: whoever comes meanwhile gets the page, and its charts from the same measurement.
    warming = asyncio.create_task(board.warm(view, ()))
    listening = unix_socket(socket_file)
    listening.setblocking(False)
    server.add_socket(listening)
    bokeh.start()
    logger.info("ops is up", socket=str(socket_file))
    idle = asyncio.create_task(_end_when_idle(bokeh, stop))
    try:
        await stop.wait()
    finally:
        warming.cancel()
        idle.cancel()
        bokeh.stop()
        socket_file.unlink(missing_ok=True)
        following.join(timeout=2)
        engine.dispose()


def _board_file(settings: Settings) -> Path:
    own = settings.home / "dashboards" / BOARD
    return own if own.exists() else SHIPPED_DASHBOARDS / BOARD


def _follow(view: Reader, stop: asyncio.Event) -> None:
    failing = False
    while not stop.is_set():
        try:
            view.refresh()
            failing = False
        except (StoreError, OSError) as error:
            if not failing:
                logger.error("cannot follow the log", error=str(error))
            failing = True
        time.sleep(FOLLOW_EVERY_SECONDS)


async def _end_when_idle(bokeh: BaseServer, stop: asyncio.Event) -> None:
    """Stop when no page was open for long: who opens the next starts the process again."""
    used = time.monotonic()
    while not stop.is_set():
        await asyncio.sleep(IDLE_SECONDS / 60)
        if bokeh.get_sessions("/"):
            used = time.monotonic()
        elif time.monotonic() - used > IDLE_SECONDS:
            logger.info("nobody has a page open; ops ends")
            stop.set()


def _ways(origins: Origins, caller: Caller) -> Ways:
    main = origins.main_of(caller.host)
    return Ways(f"{main}/", entries(caller.role, main), f"{main}/to/ops/")


def keep_of(settings: Settings, caller: Caller, *, sandbox: bool) -> Keep | None:
    """How a notebook gets into the caller's folder of JupyterLab; None for whom JupyterLab is closed."""
    number = caller.person.removeprefix("user:")
    rules = policy.notebook_rules(sandbox=sandbox)
    if not number.isdigit() or not policy.allowed(rules, caller.role, "GET", "/lab/"):
        return None

    def keep(name: str, notebook: bytes) -> str:
        folder = settings.home / "notebooks" / "people" / number
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What runs in that folder may have laid a link there: a file that exists is never opened.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(folder / f"{name}.ipynb", flags, 0o600), "wb") as file:
            file.write(notebook)
        return f"/lab/lab/tree/{quote(name)}.ipynb"

    return keep


if __name__ == "__main__":
    main()
