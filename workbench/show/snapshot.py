"""The numbers of a dashboard at one moment: a snapshot (charts and all) and the ticks that follow it.

Both are plain JSON-ready dicts, made once and shared by everybody who looks at the same thing:

    snapshot  {time, start, end, step (s), live, moving, lake_version, age, tiles: {id: tile}, alerts}
    tile      {series: [{key, name, last, values?}], hidden, summary, age, simulated, error, pending}
    tick      {time, lake_version, age, tiles: {id: {values: {key: value}, age}}, alerts}

The values of a chart lie on the grid from start to end; where the span moves, one more follows: the value at `time`.
Times are seconds since 1970 (UTC) with fractions, ages microseconds; a missing value is None. A tile whose query fails
carries the reason in `error`; the others do not suffer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from workbench import log
from workbench.errors import WorkbenchError
from workbench.show.context import ShowContext
from workbench.show.filters import Filters, Span
from workbench.show.sources import Sources
from workbench.show.spec import Dashboard, Tile
from workbench.show.summary import summarise

NAME_CHARS_MAX = 120
# A page that shows the largest series may have to follow others soon; beyond this it is somebody's mistake.
TICK_SERIES_MAX = 100

_log = log.get("show")


@dataclass(frozen=True)
class _Failure:
    message: str


class Evaluator:
    """Evaluates the expressions of one dashboard; equal expressions of one moment are evaluated once."""

    def __init__(self, context: ShowContext, dashboard: Dashboard) -> None:
        self.context = context
        self.dashboard = dashboard
        self.sources = Sources(context.view)
        self.options = {choice.name: list(choice.options) for choice in dashboard.choices}
        """What each filter offers: the listed options and the values that the data had at the last snapshot."""

    def snapshot(self, filters: Filters, now_us: int) -> dict[str, Any]:
        """Everything a page draws."""
        found = self.outline(filters, now_us)
        self.complete(found, filters)
        return found

    def outline(self, filters: Filters, now_us: int) -> dict[str, Any]:
        """A snapshot in which every tile is `pending` and the alerts are None; costs nothing."""
        span = filters.span(now_us)
        return {
            "time": now_us / 1e6,
            "start": span.start_us / 1e6,
            "end": span.end_us / 1e6,
            "step": span.step_us / 1e6,
            "live": filters.live,
            "moving": not filters.fixed,
            **self._freshness(now_us),
            "tiles": {tile.id: _empty_tile(pending=True) for tile in self.dashboard.tiles if tile.queries},
            "alerts": None,
        }

    def complete(self, outline: dict[str, Any], filters: Filters) -> None:
        """Fill an outline, tile by tile, each put in whole: whoever reads meanwhile sees what is there by then."""
        now_us = round(outline["time"] * 1e6)
        span = filters.span(now_us)
        known: dict[tuple[str, bool], Any] = {}
        outline["alerts"] = self._alerts()
        # Single numbers first: they are cheap, and they are what people look for.
        for tile in sorted(self.dashboard.tiles, key=lambda tile: tile.kind == "timeseries"):
            if tile.queries:
                outline["tiles"][tile.id] = self._tile(tile, filters, span, now_us, known)
        self._learn_options(now_us)

    def tick(self, filters: Filters, now_us: int) -> dict[str, Any]:
        """The newest values of all tiles that move; numbers at the end of a fixed span do not."""
        known: dict[tuple[str, bool], Any] = {}
        tiles: dict[str, Any] = {}
        for tile in self.dashboard.tiles:
            chart = tile.kind == "timeseries"
            if not tile.queries or filters.fixed or (chart and not filters.live):
                continue
            rows: list[dict[str, Any]] = []
            for number, query in enumerate(tile.queries):
                result = self._instant(filters.fill(query.expr, tile, charts=chart), now_us, known)
                if not isinstance(result, _Failure):
                    rows.extend(_series([result], number, query.legend))
            kept, _ = _largest(rows, TICK_SERIES_MAX)
            values = {row["key"]: row["last"] for row in kept}
            age_us, _ = self._behind(tile, filters, now_us)
            tiles[tile.id] = {"values": values, "age": age_us}
        return {"time": now_us / 1e6, **self._freshness(now_us), "tiles": tiles, "alerts": self._alerts()}

    def _freshness(self, now_us: int) -> dict[str, Any]:
        latest_us = int(self.context.view.latest_us)
        return {"lake_version": self.context.view.lake_version, "age": now_us - latest_us if latest_us else None}

    def _learn_options(self, now_us: int) -> None:
        for choice in self.dashboard.choices:
            values = set(choice.options)
            if choice.options_expr:
                result = self._instant(choice.options_expr.replace("$window", "10m"), now_us, {})
                if not isinstance(result, _Failure):
                    values.update(labels.get(choice.options_label, "") for labels in result.labels)
            self.options[choice.name] = sorted(values - {""})

    def _tile(
        self, tile: Tile, filters: Filters, span: Span, now_us: int, known: dict[tuple[str, bool], Any]
    ) -> dict[str, Any]:
        chart = tile.kind == "timeseries"
        rows: list[dict[str, Any]] = []
        for number, query in enumerate(tile.queries):
            expr = filters.fill(query.expr, tile, charts=chart)
            results = [self._range(expr, span, known)] if chart else []
            if not (chart and filters.fixed):
                results.append(self._instant(expr, span.end_us if filters.fixed else now_us, known))
            for result in results:
                if isinstance(result, _Failure):
                    return {**_empty_tile(), "error": result.message}
            rows.extend(_series(results, number, query.legend))
        kept, hidden = _largest(rows, tile.limit)
        for row in kept:
            values = row.pop("values")
            del row["query"]
            if chart:
                row["values"] = [_plain(value) for value in values.tolist()]
        age_us, simulated = self._behind(tile, filters, now_us)
        named_simulated = any(row["simulated"] for row in rows)
        return {
            **_empty_tile(),
            "series": kept,
            "hidden": hidden,
            "age": age_us,
            "simulated": simulated or named_simulated,
            "summary": summarise(tile, kept, hidden, span) if chart else "",
        }

    def _alerts(self) -> list[dict[str, Any]]:
        found = _guarded("alerts", self.context.alerts)
        if isinstance(found, _Failure):
            # Silence would look like calm.
            labels = {"alertname": "AlertsUnknown", "severity": "critical"}
            found = [{"labels": labels, "annotations": {"summary": f"Alerts cannot be read. {found.message}"}}]
        return alert_rows(found)

    def _behind(self, tile: Tile, filters: Filters, now_us: int) -> tuple[int | None, bool]:
        exprs = [filters.fill(query.expr, tile, charts=False) for query in tile.queries]
        return self.sources.behind(exprs, now_us)

    def _instant(self, expr: str, at_us: int, known: dict[tuple[str, bool], Any]) -> Any:
        if (expr, False) not in known:
            known[expr, False] = _guarded(expr, lambda: self.context.evaluate_instant(expr, at_us))
        return known[expr, False]

    def _range(self, expr: str, span: Span, known: dict[tuple[str, bool], Any]) -> Any:
        if (expr, True) not in known:
            run = self.context.evaluate_range
            known[expr, True] = _guarded(expr, lambda: run(expr, span.start_us, span.end_us, span.step_us))
        return known[expr, True]


def series_key(number: int, labels: Mapping[str, str]) -> str:
    """A short stable name of a series within its tile: same labels, same key, in snapshot and tick."""
    text = "\x00".join(f"{name}\x01{labels[name]}" for name in sorted(labels))
    return f"{number}{hashlib.blake2s(text.encode(), digest_size=6).hexdigest()}"


def alert_rows(alerts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Active alerts as the page shows them, the gravest first."""
    rows: list[dict[str, Any]] = []
    for alert in alerts:
        labels: Mapping[str, str] = alert.get("labels") or {}
        annotations: Mapping[str, str] = alert.get("annotations") or {}
        about = {k: v for k, v in labels.items() if k not in ("alertname", "severity") and not k.startswith("__")}
        rows.append(
            {
                "name": shortened(str(labels.get("alertname", "alert"))),
                "severity": shortened(str(labels.get("severity", "info"))),
                "state": shortened(str(alert.get("state", "firing"))),
                "since": _epoch_seconds(alert.get("activeAt")),
                "summary": shortened(str(annotations.get("summary") or annotations.get("description") or ""), 400),
                "labels": shortened(", ".join(f"{k}={v}" for k, v in sorted(about.items())), 200),
                "simulated": labels.get("deployment_environment_name") == "simulated",
            }
        )
    grave = {"critical": 0, "high": 1, "warning": 2, "warn": 2}
    rows.sort(key=lambda row: (row["state"] != "firing", grave.get(row["severity"], 3), row["name"], row["labels"]))
    return rows


def _empty_tile(*, pending: bool = False) -> dict[str, Any]:
    return {
        "series": [],
        "hidden": 0,
        "summary": "",
        "age": None,
        "simulated": False,
        "error": "",
        "pending": pending,
    }


def _guarded(what: str, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except WorkbenchError as error:
        return _Failure(str(error))
    except Exception as error:
        # One broken tile must not take the page down; the cause is for the operator's log.
        _log.exception("query of a page failed", what=what)
        return _Failure(f"The query failed: {type(error).__name__}")


def _label_sets(result: Any) -> list[dict[str, str]]:
    return result.labels if len(result.labels) else [{}] * result.values.shape[0]


def _series(results: Sequence[Any], number: int, legend: str) -> list[dict[str, Any]]:
    """One row a series over the columns of all results; where a result lacks the series, its columns are empty."""
    widths = [result.values.shape[1] for result in results]
    found: dict[str, tuple[dict[str, str], np.ndarray]] = {}
    for position, result in enumerate(results):
        start = sum(widths[:position])
        for index, labels in enumerate(_label_sets(result)):
            empty = np.full(sum(widths), np.nan)
            _, values = found.setdefault(series_key(number, labels), (labels, empty))
            columns = slice(start, start + widths[position])
            values[columns] = np.where(result.present[index], result.values[index], np.nan)
    rows = []
    for key, (labels, values) in found.items():
        finite = values[np.isfinite(values)]
        rows.append(
            {
                "key": key,
                "query": number,
                "name": shortened(legend_text(legend, labels)),
                "last": _plain(float(finite[-1])) if finite.size else None,
                "simulated": labels.get("deployment_environment_name") == "simulated",
                "values": values,
            }
        )
    return rows


def _largest(rows: list[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], int]:
    """The `limit` rows with the largest newest values, by query and name, and how many were left out."""
    kept = sorted(rows, key=lambda row: -math.inf if row["last"] is None else row["last"], reverse=True)[:limit]
    return sorted(kept, key=lambda row: (row["query"], row["name"], row["key"])), len(rows) - len(kept)


def legend_text(template: str, labels: Mapping[str, str]) -> str:
    """The name of a series: its legend with the labels filled in, else the labels themselves."""
    if not template:
        shown = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")
        return shown or labels.get("__name__", "value")
    parts = template.split("{{")
    text = parts[0]
    for part in parts[1:]:
        name, closed, rest = part.partition("}}")
        text += (labels.get(name.strip(), "") + rest) if closed else "{{" + part
    return text.strip() or "value"


def _plain(value: float) -> float | None:
    """Six digits are more than a chart shows; they halve what goes over the wire."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def shortened(text: str, chars_max: int = NAME_CHARS_MAX) -> str:
    """A text cut to what a page has room for."""
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def _epoch_seconds(moment: Any) -> float | None:
    if isinstance(moment, int):
        return moment / 1e6
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return None
