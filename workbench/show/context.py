"""What the server hands to the pages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request

    from workbench.query import Result
    from workbench.store import View

SHIPPED_DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
Navigation = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class ShowContext:
    """All that the pages know of the rest of the workbench. Times are microseconds since 1970, UTC.

    Viewers with one context share their evaluations; with two they share nothing.

    `view` is kept fresh by the server. `alerts` gives what Prometheus' alerts API gives: `labels`, `annotations`,
    `state`, `activeAt` (here microseconds, or ISO 8601). `notices` are sentences for the head of each page.
    `demo_progress` is the share (0 to 1) of the simulated history that is loaded, None when nothing is being loaded.
    `navigation` is what the head of a page leads to, (name, address), for the one who asks.
    Dashboards are `*.yaml` files; of two with one name, the one in the earlier folder counts.
    """

    view: View
    evaluate_instant: Callable[[str, int], Result]
    evaluate_range: Callable[[str, int, int, int], Result]
    alerts: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    notices: Callable[[], Sequence[str]] = tuple
    demo_progress: Callable[[], float | None] = lambda: None
    dashboards_dirs: tuple[Path, ...] = (SHIPPED_DASHBOARDS,)
    navigation: Callable[[Request], Navigation] = lambda _: ()
    clock: Callable[[], float] = time.time

    def now_us(self) -> int:
        """The present."""
        return int(self.clock() * 1e6)
