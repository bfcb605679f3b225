"""One board for many sessions: measures what they choose in threads, and equal choices once for all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.show.ops.choice import Choice, parse_choice
from workbench.show.ops.measure import Evaluate, Measurement, Moved, measure, rank
from workbench.show.ops.narrow import Facets
from workbench.show.spec import Dashboard, Tile, load_dashboard

if TYPE_CHECKING:
    from workbench.store import View

LIVE_SECONDS = 5
"""How often a page that follows the present is measured again."""

SLOWEST_SECONDS = 60
"""And how often at least: charts whose points lie far apart change seldom. So it is with a window in the past, where
only data that comes late changes anything."""

RANK_SECONDS = 30
"""How often the whole board is ranked again."""

KEPT = 64
THREADS = 2


class Board:
    """The drill-down's board. `clock` is seconds since 1970.

    A `view` shows the rows that somebody may see and `key` names them: people with equal rows share what is measured.
    """

    def __init__(
        self,
        path: Path,
        *,
        evaluate: Evaluate,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.dashboard: Dashboard = load_dashboard(path)
        self.clock = clock
        self._evaluate = evaluate
        self._guard = threading.Lock()  # guards the next
        self._facets: OrderedDict[Any, Facets] = OrderedDict()
        self._kept: OrderedDict[Any, asyncio.Future[Any]] = OrderedDict()
        self._threads = ThreadPoolExecutor(THREADS, "measure")

    @property
    def places(self) -> int:
        """The most charts that a section has."""
        return max(len(section.tiles) for section in self.dashboard.sections)

    def now_us(self) -> int:
        """The present."""
        return int(self.clock() * 1e6)

    def measured(self, choice: Choice, view: View, key: Any) -> Awaitable[Measurement]:
        """What a choice shows now; for some seconds the same object for all with equal rows."""
        step = choice.filters.step_seconds
        seconds = SLOWEST_SECONDS if choice.fixed else min(max(step, LIVE_SECONDS), SLOWEST_SECONDS)
        return self._shared(measure, choice, view, key, seconds)

    def ranked(self, choice: Choice, view: View, key: Any) -> Awaitable[tuple[Moved, ...]]:
        """What changed most over the whole board; takes longer, so it is asked for after the charts are there."""
        return self._shared(rank, choice, view, key, SLOWEST_SECONDS if choice.fixed else RANK_SECONDS)

    def _shared(self, what: Callable[..., Any], choice: Choice, view: View, key: Any, seconds: int) -> Awaitable[Any]:
        # The same moment for all sessions, so that equal choices are one measurement.
        now_us = self.now_us() // (seconds * 1_000_000) * seconds * 1_000_000
        name = (what, key, choice, now_us)
        if name not in self._kept or (self._kept[name].done() and self._kept[name].exception()):
            run = partial(what, self.dashboard, view, self._facets_of(key), choice, evaluate=self._evaluate)
            # A window ends where it ends; what follows the present is as fresh as this measurement.
            started = asyncio.get_running_loop().run_in_executor(self._threads, run, self.now_us())
            self._kept[name] = asyncio.ensure_future(started)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return asyncio.shield(self._kept[name])

    def narrowed(self, tile: Tile, choice: Choice, view: View, key: Any) -> list[str]:
        """The queries of a chart with everything that was chosen in them."""
        facets = self._facets_of(key).refresh(view)
        exprs = [choice.filters.fill(query.expr, tile, charts=True) for query in tile.queries]
        return [facets.narrowed(expr, choice.picks)[0] for expr in exprs]

    async def warm(self, view: View, key: Any) -> None:
        """Measure once what a page begins with, so that nobody waits for kernels to compile."""
        choice, _ = parse_choice(self.dashboard, [])
        await self.measured(choice, view, key)
        await self.ranked(choice, view, key)

    def _facets_of(self, key: Any) -> Facets:
        with self._guard:
            found = self._facets.setdefault(key, Facets(self._exprs()))
            self._facets.move_to_end(key)
            while len(self._facets) > KEPT:
                self._facets.popitem(last=False)
            return found

    def _exprs(self) -> list[str]:
        return [query.expr.replace("$window", "60s") for tile in self.dashboard.tiles for query in tile.queries]
