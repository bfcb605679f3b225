"""The views that a process shares: what opens the same home twice follows its log, and holds its head, once."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import config

if TYPE_CHECKING:
    from workbench.query.broker import BrokerView
    from workbench.store import Reader

_views: dict[tuple[Path, str], Reader | BrokerView] = {}
_lock = threading.Lock()


def view_of(settings: config.Settings, version: str | None = None) -> Reader | BrokerView:
    """The view of a home at a lake version (None: the newest, with the log), brought up to date.

    It stays open as long as the process. Raises VersionGone, LayoutUnknown.
    """
    key = (settings.home, version or "")
    with _lock:
        view = _views.get(key)
        if view is None:
            _keep_caches_at_home(settings)
            view = _views[key] = _opened(settings, version)
    view.refresh()
    return view


def _opened(settings: config.Settings, version: str | None) -> Reader | BrokerView:
    from workbench.store import open_view

    # A sandbox that shows the lake needs no broker for what lies there and never changes.
    if settings.query.broker and not (version and settings.lake_dir.is_dir()):
        from workbench.query.broker import BrokerView

        return BrokerView(Path(settings.query.broker), version or "")
    return open_view(settings, version=version)


def _keep_caches_at_home(settings: config.Settings) -> None:
    """Compiled kernels belong below the home, not beside the sources; numba looks once, when it is imported."""
    if settings.state_dir.is_dir() and "numba" not in sys.modules:
        os.environ.setdefault("NUMBA_CACHE_DIR", str(settings.state_dir / "cache" / "numba"))
