"""Dashboards: one YAML file, published as a light page that works without script and moves with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.show.assets import load_assets
    from workbench.show.context import SHIPPED_DASHBOARDS, ShowContext
    from workbench.show.live import RealTimeUpdater
    from workbench.show.ops.drill import Board
    from workbench.show.ops.place import Caller, Keep, Ways
    from workbench.show.ops.server import Surroundings, drill_server
    from workbench.show.page import render_page, script_json
    from workbench.show.site import routes
    from workbench.show.spec import Dashboard, load_dashboard

__all__ = [
    "SHIPPED_DASHBOARDS",
    "Board",
    "Caller",
    "Dashboard",
    "Keep",
    "RealTimeUpdater",
    "ShowContext",
    "Surroundings",
    "Ways",
    "drill_server",
    "load_assets",
    "load_dashboard",
    "render_page",
    "routes",
    "script_json",
]

_HOMES = {
    "SHIPPED_DASHBOARDS": "context",
    "Board": "ops.drill",
    "Caller": "ops.place",
    "Dashboard": "spec",
    "Keep": "ops.place",
    "RealTimeUpdater": "live",
    "ShowContext": "context",
    "Surroundings": "ops.server",
    "Ways": "ops.place",
    "drill_server": "ops.server",
    "load_assets": "assets",
    "load_dashboard": "spec",
    "render_page": "page",
    "routes": "site",
    "script_json": "page",
}


def __getattr__(name: str) -> Any:
    # Templates and the web framework are loaded by those who serve pages, not by those who read a dashboard.
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"workbench.show.{_HOMES[name]}"), name)
