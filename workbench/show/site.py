"""The addresses of the light pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from workbench.errors import Busy, ConfigError
from workbench.show.assets import load_assets, static_file
from workbench.show.context import ShowContext
from workbench.show.filters import Filters, parse_filters
from workbench.show.live import RealTimeUpdater
from workbench.show.page import CONTENT_SECURITY_POLICY, render_dashboard, render_message
from workbench.show.snapshot import Evaluator
from workbench.show.spec import Dashboard, load_dashboard

# A page is sent after this long with what is there by then; its script fetches the rest.
FIRST_PAINT_BUDGET_SECONDS = 0.6
SNAPSHOT_KEPT_SECONDS = 1.0
OPTIONS_KEPT_SECONDS = 30.0
KEPT_MAX = 64


def routes(context: ShowContext) -> list[Route]:
    """The pages, their data and their streams, and the built files."""
    pages = _Pages(context)

    async def home(_: Request) -> Response:
        return RedirectResponse("/live/overview", 307)

    return [
        Route("/", home),
        Route("/live/{name}", pages.page),
        Route("/live/{name}/data", pages.data),
        Route("/live/{name}/stream", pages.stream),
        Route("/static/{file}", static_file),
    ]


class _Pages:
    """Keeps the loaded dashboards and, for a second, their snapshots: twenty people opening a page cost one."""

    def __init__(self, context: ShowContext) -> None:
        self._context = context
        self._updater = RealTimeUpdater(context)
        self._evaluators: dict[str, tuple[tuple[Path, int], Evaluator]] = {}
        self._kept: dict[Any, tuple[float, asyncio.Task[Any]]] = {}

    async def page(self, request: Request) -> Response:
        """The HTML document."""
        try:
            evaluator = await self._evaluator(request)
        except ConfigError as error:
            return self._message("This dashboard has faults", str(error).splitlines(), 500)
        if evaluator is None:
            return self._message(
                "There is no such dashboard", [f"Known are: {', '.join(self._names()) or 'none'}."], 404
            )
        filters, faults = parse_filters(evaluator.dashboard, request.query_params.multi_items())
        budget = float("inf") if "wait" in request.query_params else FIRST_PAINT_BUDGET_SECONDS
        snapshot = await self._snapshot(evaluator, filters, budget)
        options = await self._shared(("options", evaluator.dashboard), OPTIONS_KEPT_SECONDS, evaluator.options)
        notices = [*faults, *self._context.notices()]
        if not load_assets().urls:
            notices.append("The browser side is not built: run `python -m workbench.show.build`.")
        html = render_dashboard(
            evaluator.dashboard,
            filters,
            snapshot,
            options=options,
            notices=notices,
            demo_progress=self._context.demo_progress(),
            navigation=self._context.navigation,
        )
        return HTMLResponse(html, headers=_page_headers())

    async def data(self, request: Request) -> Response:
        """The snapshot as JSON. Filters that cannot be read are answered with 400."""
        evaluator = await self._evaluator(request)
        if evaluator is None:
            return _json({"error": "NotFound", "message": "there is no such dashboard"}, 404)
        filters, faults = parse_filters(evaluator.dashboard, request.query_params.multi_items())
        if faults:
            return _json({"error": "InputError", "message": " ".join(faults), "where": "address", "hint": ""}, 400)
        return _json(await self._snapshot(evaluator, filters, float("inf")))

    async def stream(self, request: Request) -> Response:
        """Server-sent events with the newest values."""
        evaluator = await self._evaluator(request)
        if evaluator is None:
            return _json({"error": "NotFound", "message": "there is no such dashboard"}, 404)
        filters, _ = parse_filters(evaluator.dashboard, request.query_params.multi_items())
        events = self._updater.stream(evaluator, filters, request.headers.get("last-event-id", ""))
        try:
            first = await anext(events)
        except Busy as error:
            return _json(error.as_dict(), error.status, {"Retry-After": str(error.retry_after_seconds)})

        async def body() -> AsyncIterator[bytes]:
            try:
                yield first
                async for event in events:
                    yield event
            finally:
                await events.aclose()  # type: ignore[attr-defined]

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(body(), media_type="text/event-stream", headers=headers)

    async def _snapshot(self, evaluator: Evaluator, filters: Filters, budget: float) -> Any:
        key = ("snapshot", evaluator.dashboard, filters, budget)

        def run(now_us: int) -> dict[str, Any]:
            return evaluator.snapshot(filters, now_us, budget_seconds=budget)

        return await self._shared(key, SNAPSHOT_KEPT_SECONDS, run)

    async def _shared(self, key: Any, kept_seconds: float, run: Any) -> Any:
        """The result of `run(now_us)` in a thread, shared by all who ask within `kept_seconds` of its start."""
        now = time.monotonic()
        known = self._kept.get(key)
        if known is None or now - known[0] > kept_seconds or (known[1].done() and known[1].exception()):
            for old in [other for other, (at, _) in self._kept.items() if now - at > OPTIONS_KEPT_SECONDS]:
                del self._kept[old]
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            known = (now, asyncio.create_task(asyncio.to_thread(run, self._context.now_us())))
            self._kept[key] = known
        # A visitor who leaves must not cancel what others wait for.
        return await asyncio.shield(known[1])

    async def _evaluator(self, request: Request) -> Evaluator | None:
        name = str(request.path_params["name"])
        path = self._paths().get(name)
        if path is None:
            return None
        stamp = (path, path.stat().st_mtime_ns)
        known = self._evaluators.get(name)
        if known is None or known[0] != stamp:
            dashboard: Dashboard = await asyncio.to_thread(load_dashboard, path)
            known = self._evaluators[name] = (stamp, Evaluator(self._context, dashboard))
        return known[1]

    def _paths(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in reversed(self._context.dashboards_dirs):
            found.update({path.stem: path for path in sorted(folder.glob("*.yaml"))})
        return found

    def _names(self) -> list[str]:
        return sorted(self._paths())

    def _message(self, title: str, paragraphs: list[str], status: int) -> Response:
        html = render_message(title, paragraphs, navigation=self._context.navigation)
        return HTMLResponse(html, status, headers=_page_headers())


def _page_headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    found = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(orjson.dumps(value), status, headers=found, media_type="application/json")
