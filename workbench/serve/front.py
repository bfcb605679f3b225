"""The front: the one address for people. Gate, pages, query API, live fan-out; it reads what the hub writes.

It follows the log by itself, so pages and queries go on while the hub is away, and it is the one to notice that it is.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workbench import log
from workbench.alert import NotificationChannels
from workbench.config import Settings
from workbench.errors import Forbidden, StoreError
from workbench.query import Condition, instant, matchers_text, range_query
from workbench.report import live_dir
from workbench.sandbox import available
from workbench.serve.access import policy
from workbench.serve.access.certificate import Certificate
from workbench.serve.access.entrance import Entrance, to_route
from workbench.serve.access.gate import CONTENT_POLICY, Address, Gate
from workbench.serve.access.origins import Origins
from workbench.serve.access.proxied import Proxied
from workbench.serve.access.reach import people_origins, server_context, trusted_proxies
from workbench.serve.access.rows import VIEWS_MAX, Rows, RowsViews
from workbench.serve.access.versions import Versions
from workbench.serve.identity.audit import through_hub
from workbench.serve.identity.people import Resolver
from workbench.serve.identity.signin import SignIn
from workbench.serve.identity.single_sign_on import OidcSignIn
from workbench.serve.pages.board_pages import BoardPages
from workbench.serve.pages.cardinality_page import cardinality_routes
from workbench.serve.pages.job_pages import job_routes
from workbench.serve.pages.navigation import navigation
from workbench.serve.pages.notebooks import OPEN_TREES, NotebookSite, content_policy, proxies
from workbench.serve.pages.people_pages import people_routes
from workbench.serve.pages.publish_pages import PublishPages
from workbench.serve.pages.quality_pages import quality_routes
from workbench.serve.pages.query_api import query_routes
from workbench.serve.pages.report_pages import report_files, report_routes
from workbench.serve.pages.rules_api import rules_routes
from workbench.serve.pages.sql_api import sql_routes
from workbench.serve.pages.status_api import status_routes
from workbench.serve.pages.storage_page import storage_routes
from workbench.serve.pages.target_pages import target_routes
from workbench.serve.pages.windows_api import windows_routes
from workbench.serve.process import Child, child_main
from workbench.serve.running import local_http
from workbench.serve.running.allocator import keep_freed_memory
from workbench.serve.running.hub_socket import EXPOSITION
from workbench.serve.running.hub_watch import watch_hub
from workbench.serve.running.listen import Listener, listen, stop_on_signals
from workbench.serve.running.told_metrics import read_told
from workbench.serve.sessions.brokers import Brokers
from workbench.show import SHIPPED_DASHBOARDS, ShowContext, routes
from workbench.store import Reader, View, open_view, state

FOLLOW_EVERY_SECONDS = 0.05
"""How often the log's published end is looked at. A look costs microseconds; a sample is seen so much later at most."""

logger = log.get(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    child = child_main("front")
    keep_freed_memory()
    asyncio.run(_run(child))


async def _run(child: Child) -> None:
    settings = child.settings
    stop = stop_on_signals(asyncio.get_running_loop())
    engine = state.engine(settings)
    front = Front(settings, open_view(settings), engine)
    brokering = await front.brokers.listen()
    channels = NotificationChannels(settings, engine)
    channels.start()
    following = threading.Thread(target=front.follow, args=(stop,), name="follow", daemon=True)
    following.start()
    watching = [asyncio.create_task(watch_hub(settings, engine, front.hub_seen, queued=channels.wake))]
    tls = server_context(settings) if settings.front.tls_cert else None
    if tls:
        watching.append(asyncio.create_task(Certificate(settings, tls).watch()))
    origins = people_origins(settings, child.ports["main"], child.ports["notebook"])
    pages, notebooks = (_reached(gate, settings) for gate in _gates(front, settings, engine, origins))
    logger.info("front is up", ports=dict(child.ports))
    try:
        await listen(
            [
                Listener(pages, child.sockets.get("main", []), tls=tls),
                Listener(notebooks, child.sockets.get("notebook", []), websockets=True, tls=tls),
            ],
            stop,
        )
    finally:
        for task in watching:
            task.cancel()
        brokering.close()
        front.brokers.close()
        channels.stop()
        following.join(timeout=2)
        engine.dispose()


def _gates(front: Front, settings: Settings, engine: sa.Engine, origins: Origins) -> tuple[Gate, Gate]:
    """The gates of the main origin and the notebooks'."""
    audit = through_hub(settings)
    single_sign_on = OidcSignIn(settings, engine, origins, audit) if settings.auth.oidc_issuer else None
    resolver = Resolver(engine)
    pages = Gate(
        front.app(origins),
        resolver,
        Address(
            hosts=origins.main_hosts,
            rules=policy.MAIN,
            session=resolver.session,
            content_policy=f"{CONTENT_POLICY}; frame-src 'self' {origins.notebook_sources}",
        ),
        SignIn(engine, resolver, origins, single_sign_on=single_sign_on),
    )
    notebooks = Gate(
        front.notebooks(),
        resolver,
        Address(
            hosts=origins.notebook_hosts,
            rules=policy.notebook_rules(sandbox=not available()),
            session=resolver.notebook_session,
            tokens=False,
            open_trees=OPEN_TREES,
            content_policy=content_policy(origins),
            bind=True,
        ),
        Entrance(engine, origins),
    )
    return pages, notebooks


def _reached(gate: Gate, settings: Settings) -> Proxied:
    return Proxied(gate, trusted=trusted_proxies(settings), tls=bool(settings.front.tls_cert))


class Front:
    """What the routes of the main address share."""

    def __init__(self, settings: Settings, view: Reader, engine: sa.Engine) -> None:
        self._settings = settings
        self._view = view
        self._engine = engine
        self._hub_ready = False
        self._troubles: Sequence[str] = ()
        self._answers = False
        self._rows = RowsViews(view, engine)
        self._versions = Versions(settings)
        self.brokers = Brokers(settings, self._rows, engine, self._versions)
        self._contexts: dict[Rows, ShowContext] = {}

    def follow(self, stop: asyncio.Event) -> None:
        """Keep the view fresh until `stop`; the first query is ours, so that no visitor waits for kernels to load."""
        range_query(self._view, "sum(rate(up[1m]))", 0, 60_000_000, 60_000_000, limits=self._settings.query)
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
        boards = BoardPages(self._settings, self.rows_of)
        return NotebookSite(proxies(self._settings), [*report_files(self._settings, self.rows_of), *boards.files()])

    def app(self, origins: Origins) -> Starlette:
        """The pages and the API, without the gate."""
        own = [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            *query_routes(self.view_of, self._versions, self._settings.query, partial(read_told, self._engine)),
            *rules_routes(self.rows_of, self._settings),
            *status_routes(
                self.view_of,
                self._settings,
                alerts=lambda request: self.alerts(self.rows_of(request).condition),
                ready=self._is_ready,
            ),
            *sql_routes(self.view_of, self._versions, self._settings.query),
            *windows_routes(self.view_of, self._settings),
            *report_routes(self._settings, self.rows_of),
            *BoardPages(self._settings, self.rows_of).routes(),
            *PublishPages(self._settings, self._engine, through_hub(self._settings)).routes(),
            *job_routes(self._settings, self._engine),
            *target_routes(self._settings, self.rows_of),
            *cardinality_routes(self._settings, self.rows_of),
            *quality_routes(self._settings, self._engine, self.rows_of),
            *storage_routes(self._settings, self._engine),
            to_route(self._engine, origins),
            *people_routes(self._engine, origins, through_hub(self._settings)),
        ]
        return Starlette(routes=[*own, *routes(self.context_of)])

    def rows_of(self, request: Request) -> Rows:
        """What whoever asks may see."""
        return self._rows.of(request.state.person)

    def view_of(self, request: Request) -> View:
        """The data as whoever asks may see it."""
        return self.rows_of(request).view

    def context_of(self, request: Request) -> ShowContext:
        """The same for pages; one for all who see the same rows, so that they share one evaluation."""
        rows, limits = self.rows_of(request), self._settings.query
        if rows not in self._contexts:
            while len(self._contexts) >= VIEWS_MAX:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[rows] = ShowContext(
                view=rows.view,
                evaluate_instant=partial(instant, rows.view, limits=limits),
                evaluate_range=partial(range_query, rows.view, limits=limits),
                alerts=partial(self.alerts, rows.condition),
                notices=partial(self.notices, rows),
                demo_progress=self.demo_progress,
                dashboards_dirs=(self._settings.home / "dashboards", SHIPPED_DASHBOARDS, live_dir(self._settings)),
                navigation=navigation,
            )
        return self._contexts[rows]

    async def healthz(self, _: Request) -> Response:
        """200 as long as this process answers."""
        return JSONResponse({"state": "alive"})

    async def readyz(self, _: Request) -> Response:
        """200 when the hub takes writes and this process answers pages and queries; nothing else counts."""
        ready = await self._is_ready()
        return JSONResponse({"hub": self._hub_ready, "front": self._answers}, 200 if ready else 503)

    async def _is_ready(self) -> bool:
        status, _body = await local_http.get(self._settings.hub_socket, "/health")
        self._hub_ready = status == 200
        return self._hub_ready and self._answers

    async def metrics(self, request: Request) -> Response:
        """The hub's own counters in Prometheus' text format, for those who may see all rows."""
        if self.rows_of(request).matchers:
            refused = Forbidden("these are not among your rows", where="/metrics", hint="PromQL has those that are.")
            return JSONResponse(refused.as_dict(), refused.status)
        status, body = await local_http.get(self._settings.hub_socket, "/metrics")
        if status != 200:
            return JSONResponse(StoreError("the hub does not answer").as_dict(), 503)
        return Response(body, media_type=EXPOSITION)

    def alerts(self, condition: Condition) -> Sequence[Mapping[str, Any]]:
        """Pending and firing alerts that are shown, in the shape of Prometheus' alerts API; times microseconds UTC."""
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
                if condition.shows_derived(row.labels)
            ]

    def notices(self, rows: Rows) -> Sequence[str]:
        """What everybody should know: replaced ports, rules that fail, a hub that is away; and whose rows are shown."""
        found = list(self._document(self._settings.up_file).get("notices", []))
        # What a rule fails of may name series that are hidden.
        found += (
            ["A rule fails; who sees all rows is told which."] if rows.matchers and self._troubles else self._troubles
        )
        if available():
            found.append(f"JupyterLab is for admins only: {available()}")
        if not self._hub_ready:
            found.append("The hub does not answer: what is shown is the last data that it wrote.")
        if rows.matchers:
            found.append(f"You see the rows that meet {matchers_text(rows.matchers)}; there may be others.")
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
