"""The front: the one address for people. Gate, pages, query API, live fan-out; it reads what the hub writes.

It follows the log by itself, so pages and queries go on while the hub is away, and it is the one to notice that it is.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workbench import log
from workbench.alert import NotificationChannels
from workbench.config import Settings
from workbench.errors import StoreError
from workbench.query import Result, instant, range_query
from workbench.serve import local_http, policy
from workbench.serve.entrance import Entrance, to_route
from workbench.serve.gate import CONTENT_POLICY, Address, Gate
from workbench.serve.hub_socket import EXPOSITION
from workbench.serve.hub_watch import watch_hub
from workbench.serve.listen import Listener, listen, stop_on_signals
from workbench.serve.navigation import navigation
from workbench.serve.notebooks import OPEN_TREES, NotebookSite, content_policy
from workbench.serve.on_demand import proxies
from workbench.serve.origins import Origins, local_origins
from workbench.serve.people import Resolver
from workbench.serve.process import Child, child_main
from workbench.serve.query_api import query_routes
from workbench.serve.report_pages import report_files, report_routes
from workbench.serve.signin import SignIn
from workbench.serve.windows_api import windows_routes
from workbench.show import SHIPPED_DASHBOARDS, ShowContext, routes
from workbench.store import Follower, open_view, state

FOLLOW_EVERY_SECONDS = 0.05
"""How often the log's published end is looked at. A look costs microseconds; a sample is seen so much later at most."""

logger = log.get(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    child = child_main("front")
    asyncio.run(_run(child))


async def _run(child: Child) -> None:
    settings = child.settings
    stop = stop_on_signals(asyncio.get_running_loop())
    engine = state.engine(settings)
    front = Front(settings, open_view(settings), engine)
    channels = NotificationChannels(settings, engine)
    channels.start()
    following = threading.Thread(target=front.follow, args=(stop,), name="follow", daemon=True)
    following.start()
    watching = asyncio.create_task(watch_hub(settings, engine, front.hub_seen, queued=channels.wake))
    resolver = Resolver(engine)
    origins = local_origins(child.ports["main"], child.ports["notebook"])
    pages = Gate(
        front.app(origins),
        resolver,
        Address(
            hosts=origins.main_hosts,
            rules=policy.MAIN,
            session=resolver.session,
            content_policy=f"{CONTENT_POLICY}; frame-src 'self' {origins.notebook_sources}",
        ),
        SignIn(engine, resolver, port=origins.main_port),
    )
    notebooks = Gate(
        front.notebooks(),
        resolver,
        Address(
            hosts=origins.notebook_hosts,
            rules=policy.notebook_rules(sandbox=True),
            session=resolver.notebook_session,
            tokens=False,
            open_trees=OPEN_TREES,
            content_policy=content_policy(origins),
            bind=True,
        ),
        Entrance(engine, origins),
    )
    logger.info("front is up", ports=dict(child.ports))
    try:
        await listen(
            [
                Listener(pages, child.sockets.get("main", [])),
                Listener(notebooks, child.sockets.get("notebook", []), websockets=True),
            ],
            stop,
        )
    finally:
        watching.cancel()
        channels.stop()
        following.join(timeout=2)
        engine.dispose()


class Front:
    """What the routes of the main address share."""

    def __init__(self, settings: Settings, view: Follower, engine: sa.Engine) -> None:
        self._settings = settings
        self._view = view
        self._engine = engine
        self._hub_ready = False
        self._troubles: Sequence[str] = ()
        self._answers = False

    def follow(self, stop: asyncio.Event) -> None:
        """Keep the view fresh until `stop`; the first query is ours, so that no visitor waits for kernels to load."""
        self.evaluate_range("sum(rate(up[1m]))", 0, 60_000_000, 60_000_000)
        self._answers = True
        failing = False
        while not stop.is_set():
            try:
                self._view.refresh()
                failing = False
            except (StoreError, OSError) as error:
                if not failing:
                    logger.error("cannot follow the log", error=str(error))
                failing = True
            time.sleep(FOLLOW_EVERY_SECONDS)

    def hub_seen(self, ready: bool, troubles: Sequence[str]) -> None:
        """Take note of whether the hub takes writes, and of what troubles its rules."""
        self._hub_ready = ready
        self._troubles = troubles

    def notebooks(self) -> NotebookSite:
        """What the notebook origin serves, without the gate."""
        return NotebookSite(proxies(self._settings), report_files(self._settings))

    def app(self, origins: Origins) -> Starlette:
        """The pages and the API, without the gate."""
        context = ShowContext(
            view=self._view,
            evaluate_instant=self.evaluate_instant,
            evaluate_range=self.evaluate_range,
            alerts=self.alerts,
            notices=self.notices,
            demo_progress=self.demo_progress,
            dashboards_dirs=(self._settings.home / "dashboards", SHIPPED_DASHBOARDS),
            navigation=navigation,
        )
        own = [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            *query_routes(self._view, self._settings.query),
            *windows_routes(self._view, self._settings),
            *report_routes(self._settings),
            to_route(self._engine, origins),
        ]
        return Starlette(routes=[*own, *routes(context)])

    async def healthz(self, _: Request) -> Response:
        """200 as long as this process answers."""
        return JSONResponse({"state": "alive"})

    async def readyz(self, _: Request) -> Response:
        """200 when the hub takes writes and this process answers pages and queries; nothing else counts."""
        status, _body = await local_http.get(self._settings.hub_socket, "/health")
        self._hub_ready = status == 200
        ready = self._hub_ready and self._answers
        return JSONResponse({"hub": self._hub_ready, "front": self._answers}, 200 if ready else 503)

    async def metrics(self, _: Request) -> Response:
        """The hub's own counters in Prometheus' text format."""
        status, body = await local_http.get(self._settings.hub_socket, "/metrics")
        if status != 200:
            return JSONResponse(StoreError("the hub does not answer").as_dict(), 503)
        return Response(body, media_type=EXPOSITION)

    def evaluate_instant(self, expr: str, time_us: int) -> Result:
        """An instant query over what this process follows."""
        return instant(self._view, expr, time_us, limits=self._settings.query)

    def evaluate_range(self, expr: str, start_us: int, end_us: int, step_us: int) -> Result:
        """A range query over what this process follows."""
        return range_query(self._view, expr, start_us, end_us, step_us, limits=self._settings.query)

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """Pending and firing alerts, in the shape of Prometheus' alerts API; times are microseconds UTC."""
        query = sa.select(state.alert_states).where(state.alert_states.c.state.in_(("pending", "firing")))
        with self._engine.connect() as connection:
            return [
                {
                    "labels": row.labels,
                    "annotations": row.annotations,
                    "state": row.state,
                    "activeAt": row.active_us,
                    "value": row.value,
                }
                for row in connection.execute(query)
            ]

    def notices(self) -> Sequence[str]:
        """What everybody should know: replaced ports, rules that fail, a hub that is away."""
        found = [*self._document(self._settings.up_file).get("notices", []), *self._troubles]
        if not self._hub_ready:
            found.append("The hub does not answer: what is shown is the last data that it wrote.")
        return found

    def demo_progress(self) -> float | None:
        """The share of the simulated history that is loaded; None when nothing is being loaded."""
        document = self._document(self._settings.runtime_dir / "demo.json")
        return float(document["done"]) if document.get("state") == "loading" else None

    def _document(self, file: Any) -> dict[str, Any]:
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}


if __name__ == "__main__":
    main()
