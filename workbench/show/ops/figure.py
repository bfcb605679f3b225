"""The figures of the drill-down: one time axis and one crosshair for all, a ghost of the time before, alerts marked.

A figure is made once for each place on the page and only ever given new data: nothing is built again when a filter
changes, so nothing flickers. Colours of text and axes come from the page's CSS variables, those of lines are chosen to
have a contrast of 3 to 1 on light and on dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from bokeh.events import Event, SelectionGeometry
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    CrosshairTool,
    FixedTicker,
    HoverTool,
    Range1d,
)
from bokeh.models.annotations import Span as Marker
from bokeh.plotting import figure

from workbench.show.filters import Span
from workbench.show.ops.measure import Alerting, Chart
from workbench.show.units import format_value

COLOURS = ("#2f7fd1", "#d2601a", "#148a80", "#8b62e8", "#a87200", "#d6408a", "#5f8f1f", "#74849a")
"""One for each line; relative luminance between 0.14 and 0.29, so each stands out on white and on the dark tile."""

DASHES = ((), (7, 4), (2, 3), (9, 3, 2, 3), (14, 4), (4, 2), (2, 6), (12, 3, 2, 3, 2, 3))
ALERT_COLOURS = {"critical": "#d43c3c"}
ALERT_COLOUR = "#b57600"
HEIGHT = 190

_TIME_STEPS = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
_DAY_SECONDS = 86400
_TIME_TICKS = 5

# Numeral formats of the values beside the pointer, by unit; what stands outside of the braces is text.
_POINTED = {
    "ratio": "$data_y{0.00 %}",
    "bytes": "$data_y{0.0 ib}",
    "bytes/s": "$data_y{0.0 ib}/s",
    "seconds": "$data_y{0.0000} s",
    "per_second": "$data_y{0.000}/s",
    "usd/h": "$data_y{$0.00}/h",
}


class Figures:
    """The figures of one session. `brushed` is called with the two ends of a brushed window, microseconds UTC."""

    def __init__(self, count: int, brushed: Callable[[float, float], None]) -> None:
        self._times = Range1d(start=0, end=1)
        self._time_ticks = FixedTicker(ticks=[])
        self._crosshair = Marker(dimension="height", line_width=1, line_color="#74849a", line_dash="dotted")
        self._alerts = ColumnDataSource({"start": [], "end": [], "begun": [], "colour": []})
        self._brushed = brushed
        self._places = [self._place(number) for number in range(count)]

    @property
    def models(self) -> list[Any]:
        """The figures in their order."""
        return [place["figure"] for place in self._places]

    def show(self, charts: Sequence[Chart], span: Span, alerts: Sequence[Alerting]) -> None:
        """Give every place its chart's data, and all of them the same time axis and alerts."""
        end_us = span.end_us + span.step_us
        self._times.update(start=span.start_us / 1e3, end=span.end_us / 1e3)
        self._alerts.data = {
            "start": [max(alert.start_us, span.start_us) / 1e3 for alert in alerts],
            "end": [min(alert.end_us or end_us, end_us) / 1e3 for alert in alerts],
            # One that was firing before has no mark where it began.
            "begun": [alert.start_us / 1e3 if alert.start_us >= span.start_us else math.nan for alert in alerts],
            "colour": [ALERT_COLOURS.get(alert.severity, ALERT_COLOUR) for alert in alerts],
        }
        labels = time_axis(span)
        self._time_ticks.ticks = list(labels)
        times = np.arange(span.start_us, span.end_us + 1, span.step_us, dtype=np.int64) / 1e3
        for place, chart in zip(self._places, charts, strict=False):
            place["figure"].xaxis[0].major_label_overrides = labels
            _draw(place, chart, times)

    def _place(self, number: int) -> dict[str, Any]:
        drawn = figure(
            name=f"chart-{number}",
            x_range=self._times,
            y_range=Range1d(start=0, end=1),
            height=HEIGHT,
            sizing_mode="stretch_width",
            toolbar_location=None,
            tools=[],
            background_fill_color=None,
            border_fill_color=None,
            outline_line_color=None,
            min_border_left=58,
            min_border_right=8,
            min_border_top=6,
            min_border_bottom=24,
            lod_factor=1,
        )
        lines, ghosts = (ColumnDataSource({"xs": [], "ys": [], "name": [], "colour": [], "dash": []}) for _ in "ab")
        drawn.vstrip(x0="start", x1="end", source=self._alerts, fill_color="colour", fill_alpha=0.08, line_alpha=0)
        drawn.vspan(x="begun", source=self._alerts, line_color="colour", line_alpha=0.8, line_dash=[4, 3])
        drawn.multi_line(
            "xs", "ys", source=ghosts, line_color="colour", line_dash="dash", line_width=1.1, line_alpha=0.42
        )
        front = drawn.multi_line("xs", "ys", source=lines, line_color="colour", line_dash="dash", line_width=1.9)
        brush = BoxSelectTool(dimensions="width", renderers=[])
        hover = HoverTool(
            renderers=[front],
            tooltips=[],
            line_policy="nearest",
            show_arrow=False,
        )
        drawn.add_tools(brush, hover, CrosshairTool(overlay=self._crosshair, dimensions="height"))
        drawn.toolbar.active_drag = brush
        drawn.xaxis.ticker = self._time_ticks
        drawn.xgrid.ticker = self._time_ticks
        drawn.yaxis.ticker = FixedTicker(ticks=[])
        for axis in (drawn.xaxis, drawn.yaxis):
            axis.minor_tick_line_color = None
            axis.major_tick_line_color = None
            axis.axis_line_color = None
        drawn.xgrid.grid_line_color = None
        drawn.on_event(SelectionGeometry, self._on_brush)
        return {"figure": drawn, "lines": lines, "ghosts": ghosts, "hover": hover}

    def _on_brush(self, event: Event) -> None:
        if not isinstance(event, SelectionGeometry):
            return
        found: Any = event.geometry or {}
        if event.final and found.get("x0") is not None and found.get("x1") is not None:
            self._brushed(float(found["x0"]) * 1e3, float(found["x1"]) * 1e3)


def _draw(place: dict[str, Any], chart: Chart, times: np.ndarray) -> None:
    columns: dict[str, dict[str, list[Any]]] = {}
    for side in ("lines", "ghosts"):
        data: dict[str, list[Any]] = {"xs": [], "ys": [], "name": [], "colour": [], "dash": []}
        for number, line in enumerate(chart.lines):
            values = line.values if side == "lines" else line.ghost
            if np.isfinite(values).any():
                data["xs"].append(times[: len(values)])
                data["ys"].append(values)
                data["name"].append(line.name)
                data["colour"].append(COLOURS[number % len(COLOURS)])
                data["dash"].append(list(DASHES[number % len(DASHES)]))
        columns[side] = data
    place["lines"].data, place["ghosts"].data = columns["lines"], columns["ghosts"]
    tooltips = [("", "@name"), ("", _POINTED.get(chart.tile.unit, "$data_y{0.[00]a}"))]
    if place["hover"].tooltips != tooltips:
        place["hover"].tooltips = tooltips
    drawn = [values for data in columns.values() for values in data["ys"]]
    low, high, ticks = y_axis(drawn, chart.tile.unit, chart.tile.maximum)
    axis = place["figure"].yaxis[0]
    if ticks != axis.ticker.ticks:
        axis.update(major_label_overrides={tick: format_value(tick, chart.tile.unit) for tick in ticks})
        axis.ticker.ticks = ticks
    place["figure"].y_range.update(start=low, end=high)


def time_axis(span: Span) -> dict[float, str]:
    """Tick (milliseconds since 1970) -> label, UTC: at most _TIME_TICKS + 1, at times that people say."""
    seconds = (span.end_us - span.start_us) / 1e6
    days = [_DAY_SECONDS * count for count in (1, 2, 7, 14, 30, 90)]
    step = next((step for step in (*_TIME_STEPS, *days) if seconds / step <= _TIME_TICKS), days[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < _DAY_SECONDS else "%d %b"
    first = math.ceil(span.start_us / 1e6 / step) * step
    found = {}
    for at in range(first, int(span.end_us // 1_000_000) + 1, step):
        midnight = step < _DAY_SECONDS and at % _DAY_SECONDS == 0
        found[at * 1e3] = datetime.fromtimestamp(at, UTC).strftime("%d %b" if midnight else form)
    return found


def y_axis(drawn: Sequence[np.ndarray], unit: str, maximum: float | None) -> tuple[float, float, list[float]]:
    """(bottom, top, ticks): from zero where nothing is negative and the values do not lie far from it."""
    finite = np.concatenate([values[np.isfinite(values)] for values in drawn]) if drawn else np.empty(0)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if 0 <= low <= 0.8 * high or low == high:
        low = min(low, 0.0)
    high = max(high, low + (abs(low) or 1) * 1e-6) if high > low else low + 1
    if maximum is not None and finite.size and high > 0.5 * maximum:
        high = max(high, maximum)
    step = _nice((high - low) / 4, binary=unit.startswith("bytes"))
    first = math.floor(low / step)
    last = math.ceil(high / step)
    ticks = [number * step for number in range(first, last + 1)]
    return min(ticks[0], low), max(ticks[-1], high), ticks


def _nice(step: float, *, binary: bool) -> float:
    """The least of 1, 2, 5 times a power of ten (of 1024 and 2 for bytes) that is not under `step`."""
    if binary and step >= 1:
        return float(2 ** math.ceil(math.log2(step)))
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)
