"""The notebook origin: reports and snapshots from files, JupyterLab, Voila and Panel through the proxy."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from workbench.config import Settings
from workbench.serve.access.origins import Origins
from workbench.serve.running.on_demand import Upstream, boards_upstream, lab_upstream, start
from workbench.serve.running.proxy import Proxy

OPEN_TREES = ("/static/",)
"""Ours, the same for everybody, and asked for by sandboxed frames, which have no cookie to show."""


class NotebookSite:
    """An ASGI app: what begins with a prefix goes to its proxy, all else to the routes."""

    def __init__(self, proxies: Mapping[str, Proxy], routes: Sequence[BaseRoute]) -> None:
        self._proxies = dict(proxies)
        self._routes = Starlette(routes=list(routes))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        for prefix, proxy in self._proxies.items():
            if path == prefix or path.startswith(prefix + "/"):
                await proxy(scope, receive, send)
                return
        await self._routes(scope, receive, send)


def proxies(settings: Settings) -> dict[str, Proxy]:
    """The ASGI app for each tree of the notebook origin, by its prefix."""
    return {
        "/ops": Proxy(
            "The operations view",
            lambda _: Upstream(socket=settings.runtime_dir / "ops.sock"),
            lambda _: start(settings, "ops"),
        ),
        "/boards": Proxy(
            "The interactive board", lambda _: boards_upstream(settings), lambda _: start(settings, "boards")
        ),
        "/lab": Proxy(
            "JupyterLab",
            lambda person: lab_upstream(settings, person),
            lambda person: start(settings, "lab", person=person.id, role=person.role),
        ),
    }


def content_policy(origins: Origins) -> str:
    """What every answer of this origin is bound to, whatever its server says: nothing is loaded from elsewhere, and
    nothing is sent elsewhere.
    """
    return (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
        f"form-action 'self'; frame-ancestors 'self' {origins.main_sources}"
    )
