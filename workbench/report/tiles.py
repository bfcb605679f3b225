"""What a board shows: figures with target and trend, and daily charts with what is ahead. Plain HTML and SVG.

Colours, sizes and the dark scheme come from the board's own style; nothing here needs script. An element with
`data-live` holds PromQL: the page around a snapshot keeps its number moving.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from html import escape
from typing import Any

import numpy as np

from workbench.analyze import Outlook

WIDTH, HEIGHT = 600, 200
"""The inner size of a drawing; the page stretches it, and strokes keep their width."""
LIVE_UNITS = ("", "ratio", "bytes", "bytes/s", "seconds", "per_second", "usd/h", "count", "load")
"""How a live number may be written; the units of the dashboards."""


@dataclass(frozen=True)
class Live:
    """A number that goes on after the snapshot: PromQL that gives one series, what it is, one of LIVE_UNITS."""

    label: str
    expr: str
    unit: str = ""


@dataclass(frozen=True)
class Kpi:
    """A figure for people who decide. Texts are ready-made; `daily` is its trend, oldest first, NaN = no data.

    `met` says whether the target is met; None where there is no target, or nothing to judge.
    """

    name: str
    value: str
    daily: np.ndarray = field(default_factory=lambda: np.empty(0))
    target: str = ""
    met: bool | None = None
    change: str = ""
    live: Live | None = None
    simulated: bool = False


def kpis(figures: Sequence[Kpi]) -> Any:
    """The figures side by side, as IPython HTML."""
    from IPython.display import HTML

    return HTML(f'<ul class="kpis">{"".join(_kpi(figure) for figure in figures)}</ul>')


def facts(sentences: Sequence[str]) -> Any:
    """What there is to say, one sentence a line, as IPython HTML; text is escaped."""
    from IPython.display import HTML

    return HTML(f'<ul class="facts">{"".join(f"<li>{escape(one)}</li>" for one in sentences)}</ul>')


def heading(title: str, lead: str = "", *, level: int = 2, simulated: bool = False) -> Any:
    """A heading with a line below it, as IPython HTML."""
    from IPython.display import HTML

    below = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return HTML(f"<h{level}>{escape(title)}{_badge(simulated)}</h{level}>{below}")


def daily_chart(
    title: str,
    first_day: date,
    daily: np.ndarray,
    say: Callable[[float], str],
    *,
    summary: str,
    ahead: Outlook | None = None,
    goal: float | None = None,
    simulated: bool = False,
) -> Any:
    """A chart of daily values from `first_day` (UTC) on, with what is ahead and its interval; as IPython HTML.

    `say` writes a value for people, `summary` says in words what is seen, `goal` is a value a day.
    """
    from IPython.display import HTML

    days = len(daily) + (len(ahead.middle) if ahead else 0)
    parts = [daily, *((ahead.middle, ahead.low, ahead.high) if ahead else ()), [goal if goal is not None else math.nan]]
    low, high = _bounds(np.concatenate([np.asarray(part, float) for part in parts]))
    frame = _Frame(days, low, high)
    drawn = [f'<path class="history" d="{frame.line(0, daily)}"/>']
    legend = [("history", "so far")]
    if ahead is not None:
        start = len(daily)
        drawn.insert(0, f'<path class="band" d="{frame.band(start, ahead.low, ahead.high)}"/>')
        drawn.append(f'<path class="ahead" d="{frame.line(start, ahead.middle)}"/>')
        drawn.append(f'<path class="today" d="M{frame.x(start - 0.5)} 0V{HEIGHT}"/>')
        legend += [("ahead", "expected"), ("band", "holds 8 of 10 days")]
    if goal is not None:
        drawn.append(f'<path class="goal" d="M0 {frame.y(goal)}H{WIDTH}"/>')
        legend.append(("goal", "goal"))
    ticks = "".join(f"<li>{escape(say(value))}</li>" for value in (high, (low + high) / 2, low))
    dates = [first_day + timedelta(days=round(at * (days - 1) / 2)) for at in range(3)]
    keys = "".join(f"<li>{_swatch(kind)}{escape(text)}</li>" for kind, text in legend)
    return HTML(
        f'<figure class="chart"><figcaption><h3>{escape(title)}{_badge(simulated)}</h3>'
        f"<p>{escape(summary)}</p></figcaption>"
        f'<div class="plot"><ul class="y" aria-hidden="true">{ticks}</ul>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(summary)}">'
        f"{''.join(drawn)}</svg></div>"
        f'<ul class="x" aria-hidden="true">{"".join(f"<li>{day:%-d %b}</li>" for day in dates)}</ul>'
        f'<ul class="legend">{keys}</ul>{_data(first_day, daily, ahead, say)}</figure>'
    )


def _kpi(figure: Kpi) -> str:
    verdict = {True: ("met", "On target"), False: ("missed", "Off target"), None: ("none", "")}[figure.met]
    target = f"{verdict[1]}: {figure.target}" if figure.target and verdict[1] else figure.target or "no goal set"
    live = ""
    if figure.live is not None:
        if figure.live.unit not in LIVE_UNITS:
            raise ValueError(f"unknown unit {figure.live.unit!r}; there are: {', '.join(LIVE_UNITS)}")
        live = (
            f'<p class="live">{escape(figure.live.label)} <strong data-live="{escape(figure.live.expr)}" '
            f'data-unit="{figure.live.unit}" data-label="{escape(figure.live.label)}">–</strong></p>'
        )
    change = f'<p class="change">{escape(figure.change)}</p>' if figure.change else ""
    return (
        f'<li class="kpi {verdict[0]}"><h3>{escape(figure.name)}{_badge(figure.simulated)}</h3>'
        f'<p class="value">{escape(figure.value)}</p><p class="target">{escape(target)}</p>'
        f"{_sparkline(figure.daily)}{change}{live}</li>"
    )


def _badge(simulated: bool) -> str:
    return ' <span class="badge">simulated</span>' if simulated else ""


def _sparkline(daily: np.ndarray) -> str:
    if np.count_nonzero(np.isfinite(daily)) < 2:
        return ""
    low, high = float(np.nanmin(daily)), float(np.nanmax(daily))
    frame = _Frame(len(daily), low - (high - low) * 0.05, high + (high - low) * 0.05)
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="history" d="{frame.line(0, daily)}"/></svg>'
    )


def _swatch(kind: str) -> str:
    shape = "M0 8H24V2H0z" if kind == "band" else "M0 5H24"
    return f'<svg class="swatch" viewBox="0 0 24 10" aria-hidden="true"><path class="{kind}" d="{shape}"/></svg>'


def _data(first_day: date, daily: np.ndarray, ahead: Outlook | None, say: Callable[[float], str]) -> str:
    """The numbers behind a chart, newest first: what a screen reader gets, and whoever does not trust pictures."""
    rows = []
    for at, value in enumerate(daily):
        rows.append(
            f'<tr><th scope="row">{first_day + timedelta(days=at)}</th><td>{_said(value, say)}</td><td></td></tr>'
        )
    for at in range(len(ahead.middle) if ahead else 0):
        low, high = (_said(bounds[at], say) for bounds in (ahead.low, ahead.high))  # type: ignore[union-attr]
        day = first_day + timedelta(days=len(daily) + at)
        value = _said(ahead.middle[at], say)  # type: ignore[union-attr]
        rows.append(f'<tr><th scope="row">{day}, expected</th><td>{value}</td><td>{low} to {high}</td></tr>')
    head = '<tr><th scope="col">Day, UTC</th><th scope="col">Value</th><th scope="col">Interval</th></tr>'
    return (
        f'<details><summary>Data</summary><div class="scroll" tabindex="0" role="region" aria-label="Data">'
        f"<table><thead>{head}</thead><tbody>{''.join(reversed(rows))}</tbody></table></div></details>"
    )


def _said(value: float, say: Callable[[float], str]) -> str:
    return escape(say(value)) if math.isfinite(value) else "no data"


def _bounds(values: np.ndarray) -> tuple[float, float]:
    """The axis: from 0 where that does not flatten the line, to a round number above the highest value."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if 0 <= low < high * 0.7 or high == 0:
        low = 0.0
    extent = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(extent / 2))
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if step * factor * 2 >= extent * 0.999)
    bottom = math.floor(low / step) * step
    top = bottom + 2 * step
    return (bottom, top) if top >= high else (bottom, bottom + 2 * math.ceil((high - bottom) / 2 / step) * step)


@dataclass(frozen=True)
class _Frame:
    """Where a day and a value lie in the drawing."""

    days: int
    low: float
    high: float

    def x(self, day: float) -> str:
        return f"{day / max(self.days - 1, 1) * WIDTH:.1f}"

    def y(self, value: float) -> str:
        return f"{HEIGHT - (value - self.low) / ((self.high - self.low) or 1) * HEIGHT:.1f}"

    def line(self, first: int, values: np.ndarray) -> str:
        parts, down = [], False
        for at, value in enumerate(values):
            if math.isfinite(value):
                parts.append(f"{'L' if down else 'M'}{self.x(first + at)} {self.y(value)}")
            down = math.isfinite(value)
        return "".join(parts)

    def band(self, first: int, low: np.ndarray, high: np.ndarray) -> str:
        known = [at for at in range(len(low)) if math.isfinite(low[at]) and math.isfinite(high[at])]
        if not known:
            return ""
        there = [f"{self.x(first + at)} {self.y(high[at])}" for at in known]
        back = [f"{self.x(first + at)} {self.y(low[at])}" for at in reversed(known)]
        return f"M{'L'.join(there + back)}Z"
