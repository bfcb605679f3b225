"""The addresses of the light pages."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from workbench.errors import Busy, ConfigError, InputError
from workbench.show.assets import accepted_encodings, load_assets, static_file
from workbench.show.context import Navigation, ShowContext
from workbench.show.filters import Filters, parse_filters
from workbench.show.live import RealTimeUpdater
from workbench.show.page import CONTENT_SECURITY_POLICY, render_dashboard, render_page
from workbench.show.snapshot import Evaluator
from workbench.show.spec import load_dashboard

# A page is sent after this long with what is there by then; its script fetches the rest.
FIRST_PAINT_BUDGET_SECONDS = 0.6
KEPT_SECONDS = 1.0
COMPRESS_FROM_BYTES = 1_000
EVALUATORS_MAX = 256  # a dashboard for each choice of rows; the oldest goes, and is made again when asked for


ContextOf = Callable[[Request], ShowContext]
"""What a caller may see; one object for all who may see the same, another as soon as that changes."""


def routes(context_of: ContextOf) -> list[Route]:
    """The pages, their data and their streams, and the built files."""
    pages = _Pages(context_of)

    async def home(_: Request) -> Response:
        return RedirectResponse("/live/overview", 307)

    async def icon(_: Request) -> Response:
        address = load_assets().url("icon.svg")
        return RedirectResponse(address, 307) if address else Response(status_code=404)

    return [
        Route("/", home),
        Route("/live/{name}", pages.page),
        Route("/live/{name}/data", pages.data),
        Route("/live/{name}/stream", pages.stream),
        Route("/static/{file}", static_file),
        Route("/favicon.ico", icon),
    ]


class _NoSuchDashboard(InputError):
    """The address names no dashboard."""

    status = 404


class _Pages:
    """Keeps the loaded dashboards and, for a second, their snapshots: twenty people opening a page cost one."""

    def __init__(self, context_of: ContextOf) -> None:
        self._context_of = context_of
        self._updater = RealTimeUpdater()
        self._evaluators: dict[tuple[str, ShowContext], tuple[tuple[Path, int], Evaluator]] = {}
        self._kept: dict[tuple[Evaluator, Filters], _Evaluation] = {}

    async def page(self, request: Request) -> Response:
        """The HTML document."""
        try:
            evaluator = self._evaluator(request)
        except ConfigError as error:
            return self._message(request, "This dashboard has faults", str(error).splitlines(), 500)
        except _NoSuchDashboard as error:
            return self._message(request, "There is no such dashboard", [str(error)], 404)
        filters, faults = parse_filters(evaluator.dashboard, request.query_params.multi_items())
        evaluation = self._evaluation(evaluator, filters)
        await evaluation.wait(None if "wait" in request.query_params else FIRST_PAINT_BUDGET_SECONDS)

        navigation = evaluator.context.navigation(request)

        def run() -> _Packed:
            return _pack(self._render(evaluator, filters, faults, evaluation.seen(), navigation).encode())

        packed = await evaluation.form(("page", tuple(faults), load_assets(), navigation), run)
        return _send(request, packed, "text/html; charset=utf-8", _page_headers())

    async def data(self, request: Request) -> Response:
        """The snapshot as JSON. Filters that cannot be read are answered with 400."""
        try:
            evaluator = self._evaluator(request)
        except (ConfigError, _NoSuchDashboard) as error:
            return _json(error.as_dict(), error.status)
        filters, faults = parse_filters(evaluator.dashboard, request.query_params.multi_items())
        if faults:
            return _json({"error": "InputError", "message": " ".join(faults), "where": "address", "hint": ""}, 400)

        evaluation = self._evaluation(evaluator, filters)
        await evaluation.wait(None)
        packed = await evaluation.form("data", lambda: _pack(orjson.dumps(evaluation.seen())))
        return _send(request, packed, "application/json", _DATA_HEADERS)

    async def stream(self, request: Request) -> Response:
        """Server-sent events with the newest values."""
        try:
            evaluator = self._evaluator(request)
        except (ConfigError, _NoSuchDashboard) as error:
            return _json(error.as_dict(), error.status)
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
                    # Whose rows changed meanwhile is let go, and comes back to what he may see now.
                    if self._context_of(request) is not evaluator.context:
                        return
                    yield event
            finally:
                await events.aclose()  # type: ignore[attr-defined]

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(body(), media_type="text/event-stream", headers=headers)

    def _render(
        self,
        evaluator: Evaluator,
        filters: Filters,
        faults: Sequence[str],
        snapshot: Mapping[str, Any],
        navigation: Navigation,
    ) -> str:
        context = evaluator.context
        notices = [*faults, *context.notices()]
        if not load_assets().urls:
            notices.append("The browser side is not built: run `python -m workbench.show.build`.")
        return render_dashboard(
            evaluator.dashboard,
            filters,
            snapshot,
            options=evaluator.options,
            notices=notices,
            demo_progress=context.demo_progress(),
            navigation=navigation,
        )

    def _evaluation(self, evaluator: Evaluator, filters: Filters) -> _Evaluation:
        """The evaluation under way or just finished, shared by all who ask within KEPT_SECONDS of its start."""
        key = (evaluator, filters)
        if key not in self._kept or self._kept[key].old():
            self._kept = {other: kept for other, kept in self._kept.items() if not kept.old()}
            self._kept[key] = _Evaluation(evaluator, filters, evaluator.context.now_us())
        return self._kept[key]

    def _evaluator(self, request: Request) -> Evaluator:
        name, context = str(request.path_params["name"]), self._context_of(request)
        paths = _paths(context)
        if name not in paths:
            raise _NoSuchDashboard(
                "no dashboard of that name", hint=f"Known are: {', '.join(sorted(paths)) or 'none'}."
            )
        path = paths[name]
        stamp = (path, path.stat().st_mtime_ns)
        known = self._evaluators.get((name, context))
        if known is None or known[0] != stamp:
            # Read here and not in a thread: a short file, and those who ask meanwhile must find the same evaluator.
            while len(self._evaluators) >= EVALUATORS_MAX:
                del self._evaluators[next(iter(self._evaluators))]
            known = self._evaluators[name, context] = (stamp, Evaluator(context, load_dashboard(path)))
        return known[1]

    def _message(self, request: Request, title: str, paragraphs: list[str], status: int) -> Response:
        body = Markup("").join(Markup("<p class='words'>{}</p>").format(paragraph) for paragraph in paragraphs)
        html = render_page(title, body, navigation=self._context_of(request).navigation(request))
        return HTMLResponse(html, status, headers=_page_headers())


def _paths(context: ShowContext) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in reversed(context.dashboards_dirs):
        found.update({path.stem: path for path in sorted(folder.glob("*.yaml"))})
    return found


def _page_headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


_DATA_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class _Packed:
    """One answer for many: as it is, and gzipped."""

    plain: bytes
    gzipped: bytes


class _Evaluation:
    """A snapshot that is being made in a thread, and the forms in which it is sent once it is there."""

    def __init__(self, evaluator: Evaluator, filters: Filters, now_us: int) -> None:
        self._started = time.monotonic()
        self._snapshot = evaluator.outline(filters, now_us)
        self._task = asyncio.create_task(asyncio.to_thread(evaluator.complete, self._snapshot, filters))
        self._forms: dict[Any, asyncio.Task[_Packed]] = {}

    def old(self) -> bool:
        """Whether it is finished and was begun too long ago to be shown to somebody new."""
        return self._task.done() and time.monotonic() - self._started > KEPT_SECONDS

    async def wait(self, budget_seconds: float | None) -> None:
        """Wait until it is finished, or for so long. Raises what the evaluation raised."""
        await asyncio.wait({self._task}, timeout=budget_seconds)
        if self._task.done():
            self._task.result()

    def seen(self) -> dict[str, Any]:
        """The snapshot as far as it is made."""
        return {**self._snapshot, "tiles": dict(self._snapshot["tiles"])}

    async def form(self, name: Any, run: Callable[[], _Packed]) -> _Packed:
        """What `run` makes of the snapshot, in a thread; once for all who ask for that form of a finished one."""
        if not self._task.done():
            return await asyncio.to_thread(run)
        if name not in self._forms:
            self._forms[name] = asyncio.create_task(asyncio.to_thread(run))
        # A visitor who leaves must not cancel what others wait for.
        return await asyncio.shield(self._forms[name])


def _pack(plain: bytes) -> _Packed:
    # Level 4 costs a third of the default and gives up a tenth of the size.
    return _Packed(plain, gzip.compress(plain, 4) if len(plain) >= COMPRESS_FROM_BYTES else b"")


def _send(request: Request, packed: _Packed, media_type: str, headers: dict[str, str]) -> Response:
    found = {**headers, "Vary": "Accept-Encoding"}
    if packed.gzipped and "gzip" in accepted_encodings(request):
        found["Content-Encoding"] = "gzip"
        return Response(packed.gzipped, headers=found, media_type=media_type)
    return Response(packed.plain, headers=found, media_type=media_type)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    found = {**_DATA_HEADERS, **(headers or {})}
    return Response(orjson.dumps(value), status, headers=found, media_type="application/json")
