"""One operator's page: a Panel document that takes deeds from the browser and sends charts and words back.

Figures travel as Bokeh models. Words, tables and controls travel as HTML fragments in messages of the type `shown`,
which `web/src/ops.ts` fits into the page without touching what did not change; what the operator does comes back in
messages of the type `deed`. The address is the state: whoever opens it sees the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import panel as pn
from bokeh.document import Document
from bokeh.document.events import MessageSentEvent

from workbench import log
from workbench.show.filters import format_instant
from workbench.show.ops.choice import Choice, apply, parse_choice
from workbench.show.ops.drill import LIVE_SECONDS, Board
from workbench.show.ops.figure import Figures
from workbench.show.ops.measure import Measurement, Moved
from workbench.show.ops.notebook import chart_notebook
from workbench.show.ops.page import drill_environment, fragments, outline
from workbench.show.ops.place import Keep, Place, Ways

if TYPE_CHECKING:
    from workbench.store import View

_log = log.get("ops")


class Session:
    """Holds a choice and shows it. All methods run on the server's event loop, under the document's lock."""

    def __init__(
        self,
        board: Board,
        rows: Callable[[], tuple[View, Any]],
        document: Document,
        query: Sequence[tuple[str, str]],
        *,
        keep: Keep | None = None,
    ) -> None:
        self._board = board
        self._rows = rows
        self._keep = keep
        self._document = document
        self._choice, self._faults = parse_choice(board.dashboard, query)
        self._figures = Figures(board.places, self._brushed)
        self._opened: frozenset[int] = frozenset()
        self._sent: dict[str, str] = {}
        self._shown: Measurement | None = None
        self._movers: tuple[Moved, ...] | None = None
        self._there = False
        self._paused = False
        self._hidden = False
        self._ended = False
        self._running: set[asyncio.Task[None]] = set()

    @property
    def choice(self) -> Choice:
        """What is shown now."""
        return self._choice

    def open(self, place: Place, ways: Ways) -> pn.Template:
        """Begin to measure, and give the page for the document."""
        board = self._board.dashboard
        template = pn.Template(drill_environment().get_template("ops.html"))
        names = [f"chart_{number}" for number in range(self._board.places)]
        for name, model in zip(names, self._figures.models, strict=True):
            template.add_panel(name, pn.panel(model, sizing_mode="stretch_width"))
        for name, value in {
            "board": board,
            "first": {name.replace("-", "_"): html for name, html in outline(board, self._choice).items()},
            "chart_names": names,
            "style_url": place.style_url,
            "icon_url": place.icon_url,
            "script_url": "",
            "scripts": place.scripts,
            "home_url": ways.home_url,
            "navigation": ways.navigation,
            "current": ways.current,
        }.items():
            template.add_variable(name, value)
        self._document.on_message("deed", self._deed)
        self._document.add_periodic_callback(self._tick, LIVE_SECONDS * 1000)
        self._document.on_session_destroyed(self._end)
        self._measure()
        return template

    def _tick(self) -> None:
        if self._there and not (self._choice.fixed or self._paused or self._hidden):
            self._measure()

    def _end(self, _: Any) -> None:
        self._ended = True
        for task in self._running:
            task.cancel()

    def _measure(self) -> None:
        """Measure the choice in a thread; what is there by then is shown, unless something else was chosen since."""
        task = asyncio.get_running_loop().create_task(self._measured(self._choice))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _measured(self, choice: Choice) -> None:
        try:
            # Asked each time: a limit that was changed since is felt with the next measurement.
            rows = self._rows()
            found = await self._board.measured(choice, *rows)
            self._later(lambda: self._show(found))
            movers = await self._board.ranked(choice, *rows)
            self._later(lambda: self._show(found, movers))
        except Exception:
            _log.exception("the drill-down cannot be measured")
            self._later(lambda: self._send({"failed": "The data cannot be read now; the next try comes by itself."}))

    def _later(self, run: Any) -> None:
        if not self._ended:
            self._document.add_next_tick_callback(run)

    def _show(self, found: Measurement, movers: tuple[Moved, ...] | None = None) -> None:
        """Show a measurement unless something else was chosen since; `movers` come after the charts."""
        if found.choice != self._choice:
            return
        if movers is not None and movers is self._movers:
            return
        if found is not self._shown:
            self._shown = found
            self._figures.show(list(found.charts.values()), found.span, found.alerts)
        self._movers = movers if movers is not None else self._movers
        self._send_words()

    def _send_words(self) -> None:
        found = self._shown
        if found is None or not self._there:
            return
        words = fragments(
            self._board.dashboard,
            found,
            self._movers,
            opened=self._opened,
            now_us=self._board.now_us(),
            faults=self._faults,
            lab=self._keep is not None,
        )
        changed = {name: html for name, html in words.items() if self._sent.get(name) != html}
        self._sent.update(changed)
        self._send(
            {
                "fragments": changed,
                "places": len(found.charts),
                "query": found.choice.query_string(),
                "moving": not found.choice.fixed,
                "simulated": any(chart.simulated for chart in found.charts.values()),
            }
        )

    def _send(self, data: Mapping[str, Any]) -> None:
        # Private in name only: it is how Bokeh's own components send messages, and there is no other way.
        self._document.callbacks.trigger_on_change(MessageSentEvent(self._document, "shown", dict(data)))

    def _brushed(self, from_us: float, to_us: float) -> None:
        self._act({"deed": "brush", "from_us": from_us, "to_us": to_us})

    def _deed(self, deed: Any) -> None:
        """Take a message of the page. Nothing in it is trusted; what is not understood changes nothing."""
        if not isinstance(deed, dict):
            return
        what = deed.get("deed")
        if what == "hello":
            self._there = True
            self._sent = {}
            self._send_words()
        elif what == "pause":
            self._paused = deed.get("on") is True
        elif what == "hidden":
            self._hidden = deed.get("on") is True
            self._tick()
        elif what == "table" and isinstance(deed.get("place"), int):
            place = {deed["place"]} if 0 <= deed["place"] < self._board.places else set()
            self._opened = self._opened | place if deed.get("on") is True else self._opened - place
            self._send_words()
        elif what == "notebook":
            self._keep_notebook(deed.get("place"))
        else:
            self._act(deed)

    def _keep_notebook(self, place: Any) -> None:
        """Put a chart as a notebook into the person's JupyterLab, and tell the page where it is."""
        charts = list(self._shown.charts.values()) if self._shown else []
        if self._shown is None or self._keep is None or place not in range(len(charts)):
            return
        chart, now_us = charts[place], self._board.now_us()
        name = f"{chart.tile.id}-{format_instant(now_us).replace(':', '').replace('-', '').replace('T', '-')}"
        lake_version = self._shown.lake_version
        try:
            address = self._keep(
                name, chart_notebook(chart.tile, self._shown.choice, chart.exprs, now_us, lake_version)
            )
        except OSError as error:
            _log.warning("a notebook cannot be kept", why=str(error))
            address = ""
        self._send({"notebook": address})

    def _act(self, deed: Mapping[str, Any]) -> None:
        choice, faults = apply(self._board.dashboard, self._choice, deed, self._board.now_us())
        self._faults = faults
        if choice != self._choice:
            self._choice = choice
            self._movers = None
            self._measure()
        elif faults:
            self._send_words()
