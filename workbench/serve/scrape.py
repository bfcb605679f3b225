"""The process that scrapes Prometheus targets. It waits, small, until there is a scrape file.

A process of its own, since reading expositions takes the interpreter for milliseconds at a time, which the hub's
senders would feel. What it scrapes goes through the hub's local socket; how the targets are, it says on its own.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from workbench import log
from workbench.serve.process import Child, child_main

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from workbench.ingest import Scraper

WAIT_SECONDS = 1.0

logger = log.get(__name__)


def main() -> None:
    """Run until SIGTERM."""
    child = child_main("scrape")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while not child.settings.scrape_file.exists():
        time.sleep(WAIT_SECONDS)
    asyncio.run(_run(child))


async def _run(child: Child) -> None:
    # Arrow and the HTTP client are loaded only by those who scrape.
    from workbench.ingest import HubSink, Scraper
    from workbench.serve.running.listen import Listener, listen, stop_on_signals, unix_socket

    settings = child.settings
    stop = stop_on_signals(asyncio.get_running_loop())
    sink = HubSink(settings.hub_socket)
    scraper = Scraper(settings.scrape_file, sink)
    running = asyncio.create_task(scraper.run(stop))
    running.add_done_callback(lambda _: stop.set())
    logger.info("scraping", file=str(settings.scrape_file))
    try:
        await listen([Listener(scrape_app(scraper), [unix_socket(settings.scrape_socket)])], stop)
    finally:
        await running
        await sink.close()


def scrape_app(scraper: Scraper) -> Starlette:
    """The ASGI app of the local socket: `GET /targets`."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from workbench.ingest import scrape_status

    async def targets(_: Request) -> Response:
        return JSONResponse(scrape_status(scraper))

    return Starlette(routes=[Route("/targets", targets)])


if __name__ == "__main__":
    main()
