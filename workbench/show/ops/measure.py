"""A choice and a view -> everything that the drill-down shows: charts with what they are compared with, movers, alerts.

One `Measurement` is plain data, made in a thread and shared by all sessions that look at the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench import log
from workbench.analyze import Mover, top_movers
from workbench.errors import WorkbenchError
from workbench.query import Result
from workbench.show.filters import Span
from workbench.show.ops.choice import Choice, sections_of
from workbench.show.ops.narrow import Facets
from workbench.show.snapshot import legend_text, series_key, shortened
from workbench.show.spec import Dashboard, Tile
from workbench.show.units import format_value

if TYPE_CHECKING:
    from workbench.store import View

LINES_MAX = 8
MOVERS_MAX = 10
ALERTS_MAX = 200
SAME = 0.02
"""A difference under this share of the level is called none."""

_log = log.get("ops")


@dataclass(frozen=True)
class Line:
    """One series of a chart; `values` and `ghost` are float64[k] over the chart's grid, NaN where nothing is."""

    key: str
    name: str
    labels: Mapping[str, str]
    values: np.ndarray
    ghost: np.ndarray

    @property
    def now(self) -> float:
        """Mean over the span."""
        return _mean(self.values)

    @property
    def before(self) -> float:
        """Mean over what it is compared with."""
        return _mean(self.ghost)

    @property
    def last(self) -> float:
        """The newest value."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite[-1]) if finite.size else float("nan")


@dataclass(frozen=True)
class Chart:
    """One tile over one span. `exprs` are its narrowed queries, `unknown` picked labels that no series of it bears."""

    tile: Tile
    exprs: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    hidden: int = 0
    unknown: tuple[str, ...] = ()
    simulated: bool = False
    error: str = ""

    def difference(self, before_words: str) -> str:
        """What changed against the time before, in one sentence about the line that changed most."""
        told = [line for line in self.lines if np.isfinite(line.now) and np.isfinite(line.before)]
        if not told:
            return f"Nothing to compare with in {before_words}." if self.lines and before_words else ""
        line = max(told, key=lambda line: abs(line.now - line.before) / max(abs(line.now), abs(line.before), 1e-12))
        now, before = (format_value(value, self.tile.unit) for value in (line.now, line.before))
        level = max(abs(line.now), abs(line.before))
        if level == 0 or abs(line.now - line.before) < SAME * level or now == before:
            return f"As in {before_words}: no series differs by more than {SAME * 100:.0f} % on average."
        against = f"{change_words(line.now, line.before)} in" if line.before else "against"
        return f"{line.name}: {now} on average, {against} {before_words} ({before})."


@dataclass(frozen=True)
class Alerting:
    """A stretch in which an alert fired; microseconds, `end_us` None while it does."""

    name: str
    severity: str
    labels: str
    start_us: int
    end_us: int | None


@dataclass(frozen=True)
class Moved:
    """A mover and where it is seen."""

    chart: Chart
    line: Line
    mover: Mover


@dataclass(frozen=True)
class Measurement:
    """What one choice shows at one moment."""

    choice: Choice
    span: Span
    before: Span | None
    charts: Mapping[str, Chart]
    facets: Mapping[str, Sequence[tuple[str, int]]]
    alerts: tuple[Alerting, ...]
    metrics: tuple[str, ...]
    lake_version: str
    newest_us: int


Evaluate = Callable[["View", str, int, int, int], Result]


def measure(
    board: Dashboard, view: View, facets: Facets, choice: Choice, now_us: int, *, evaluate: Evaluate
) -> Measurement:
    """Evaluate the charts of the section that is shown."""
    span = choice.filters.span(now_us)
    before = choice.before(span)
    facets.refresh(view)
    tiles = [tile for tile in sections_of(board, choice)[choice.section].tiles if tile.queries]
    return Measurement(
        choice,
        span,
        before,
        {tile.id: _chart(view, facets, choice, tile, span, before, evaluate) for tile in tiles},
        facets.counts(choice.picks),
        alerts_between(view, span.start_us, span.end_us),
        facets.metrics(),
        view.lake_version,
        view.latest_us,
    )


def rank(
    board: Dashboard, view: View, facets: Facets, choice: Choice, now_us: int, *, evaluate: Evaluate
) -> tuple[Moved, ...]:
    """Evaluate every section, and give the series that changed most; none where nothing is compared."""
    span = choice.filters.span(now_us)
    before = choice.before(span)
    if before is None:
        return ()
    facets.refresh(view)
    tiles = [tile for section in sections_of(board, choice).values() for tile in section.tiles if tile.queries]
    return _movers([_chart(view, facets, choice, tile, span, before, evaluate) for tile in tiles])


def change_words(now: float, before: float) -> str:
    """A change in words: `34 % more than`, or `3.2 times as much as` where a percentage would be hard to read."""
    ratio = now / before
    if ratio >= 3:
        return f"{ratio:.1f} times as much as"
    percent = abs(ratio - 1) * 100
    return f"{percent:.{0 if percent >= 9.95 else 1}f} % {'more' if now > before else 'less'} than"


def alerts_between(view: View, start_us: int, end_us: int) -> tuple[Alerting, ...]:
    """The stretches in which alerts fired within a span, the latest first, from the history of alert states."""
    try:
        rows = view.table("alerts", end_us=end_us).sort_by("time").to_pylist()
    except WorkbenchError:
        _log.exception("alerts cannot be read")
        return ()
    found: list[Alerting] = []
    open_: dict[str, Alerting] = {}
    for row in rows:
        time_us = int(row["time"].timestamp() * 1e6)
        if row["state"] == "firing":
            about = {k: v for k, v in (row["labels"] or []) if k not in ("alertname", "severity")}
            words = shortened(", ".join(f"{k}={v}" for k, v in sorted(about.items())), 200)
            fired = Alerting(row["alertname"], row["severity"], words, time_us, None)
            open_.setdefault(row["fingerprint"], fired)
        elif row["state"] in ("resolved", "inactive") and row["fingerprint"] in open_:
            found.append(replace(open_.pop(row["fingerprint"]), end_us=time_us))
    found += open_.values()
    inside = [alert for alert in found if alert.end_us is None or alert.end_us >= start_us]
    return tuple(sorted(inside, key=lambda alert: -alert.start_us)[:ALERTS_MAX])


def _chart(
    view: View,
    facets: Facets,
    choice: Choice,
    tile: Tile,
    span: Span,
    before: Span | None,
    evaluate: Evaluate,
) -> Chart:
    exprs: tuple[str, ...] = tuple(query.expr for query in tile.queries)
    unknown: tuple[str, ...] = ()
    rows: dict[str, Line] = {}
    try:
        filled = [choice.filters.fill(query.expr, tile, charts=True) for query in tile.queries]
        narrowed = [facets.narrowed(expr, choice.picks) for expr in filled]
        exprs = tuple(expr for expr, _ in narrowed)
        unknown = tuple(sorted(set.intersection(*(set(labels) for _, labels in narrowed))))
        for number, (query, expr) in enumerate(zip(tile.queries, exprs, strict=True)):
            now = evaluate(view, expr, span.start_us, span.end_us, span.step_us)
            ghost = evaluate(view, expr, before.start_us, before.end_us, before.step_us) if before else None
            rows.update(_lines(number, query.legend, now, ghost))
        simulated = any(facets.simulated(expr) for expr in exprs)
    except WorkbenchError as error:
        return Chart(tile, exprs, unknown=unknown, error=str(error))
    except Exception as error:
        # One broken chart must not take the page down; the cause is for the log.
        _log.exception("query of a chart failed", what=tile.id)
        return Chart(tile, exprs, unknown=unknown, error=f"The query failed: {type(error).__name__}")
    largest = sorted(rows.values(), key=lambda line: -np.nan_to_num(max(line.now, line.before), nan=-np.inf))
    kept = tuple(sorted(largest[:LINES_MAX], key=lambda line: (line.name, line.key)))
    return Chart(tile, exprs, kept, len(largest) - len(kept), unknown, simulated)


def _lines(number: int, legend: str, now: Result, ghost: Result | None) -> dict[str, Line]:
    width = len(now.times_us)
    found: dict[str, tuple[Mapping[str, str], list[np.ndarray]]] = {}
    for side, result in enumerate([now] if ghost is None else [now, ghost]):
        for row in range(result.values.shape[0]):
            labels = result.labels[row] if result.labels else {}
            empty = [np.full(width, np.nan), np.full(width, np.nan)]
            values = np.where(result.present[row], result.values[row], np.nan)[:width]
            values[~np.isfinite(values)] = np.nan
            found.setdefault(series_key(number, labels), (labels, empty))[1][side][: len(values)] = values
    return {
        key: Line(key, shortened(legend_text(legend, labels), 60), labels, *sides)
        for key, (labels, sides) in found.items()
        if np.isfinite(sides[0]).any() or np.isfinite(sides[1]).any()
    }


def _movers(charts: Sequence[Chart]) -> tuple[Moved, ...]:
    # Where a whole chart has no data for one of the times, its source was away; that is no change of a series.
    told = [
        chart
        for chart in charts
        if any(np.isfinite(line.before) for line in chart.lines) and any(np.isfinite(line.now) for line in chart.lines)
    ]
    places = [(chart, line) for chart in told for line in chart.lines]
    found = top_movers([line.ghost for _, line in places], [line.values for _, line in places], limit=MOVERS_MAX)
    return tuple(Moved(*places[mover.number], mover) for mover in found)


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
