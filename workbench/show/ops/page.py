"""The words of the drill-down: HTML fragments of a measurement, by the id of the element that each belongs in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import jinja2
import numpy as np
from markupsafe import Markup

from workbench.show.filters import Span, format_instant, format_range
from workbench.show.ops.choice import COMPARISONS, EXPLORE, FACETS, Choice, range_words, sections_of
from workbench.show.ops.measure import Chart, Measurement, Moved, change_words
from workbench.show.page import environment, script_json
from workbench.show.spec import Dashboard
from workbench.show.summary import format_clock
from workbench.show.units import format_age, format_duration, format_value

OPTIONS_MAX = 10
TABLE_ROWS = 12


@lru_cache(maxsize=1)
def drill_environment() -> jinja2.Environment:
    """The templates of the drill-down: those of all pages, and a few words more."""
    found = environment().overlay()
    found.filters = {
        **environment().filters,
        "facet_name": lambda label: FACETS[label].lower(),
        "facet_of": lambda labels: next((label for label in FACETS if labels.get(label)), ""),
        "number": format_value,
        "script_json": script_json,
    }
    found.globals = {**environment().globals, "current_range": _current_range}
    return found


def outline(board: Dashboard, choice: Choice) -> dict[str, Markup]:
    """What can be said before anything was measured."""
    parts = _parts()
    section = sections_of(board, choice)[choice.section]
    return {
        "sections": Markup(parts.sections(_sections(board, choice))),
        "section-head": Markup(parts.section_head(section, choice)),
        "span": Markup(parts.span(choice, _ranges(board), COMPARISONS, *_ends(choice), None)),
        "facets": Markup(parts.facets(_facets(choice, {}))),
    }


def fragments(
    board: Dashboard,
    found: Measurement,
    movers: Sequence[Moved] | None,
    *,
    opened: frozenset[int],
    now_us: int,
    faults: Sequence[str],
    lab: bool,
) -> dict[str, str]:
    """Element id -> its inner HTML. `movers` are None while they are looked for; `opened` are the places whose data
    table somebody looks at.
    """
    parts, choice = _parts(), found.choice
    words = choice.before_words()
    made: dict[str, Any] = {
        **outline(board, choice),
        "metrics": parts.metrics(found.metrics if choice.section == EXPLORE else ()),
        "notices": Markup("").join(Markup("<li>{}</li>").format(fault) for fault in faults),
        "facets": parts.facets(_facets(choice, found.facets)),
        "picked": f" ({sum(len(values) for _, values in choice.picks)} chosen)" if choice.picks else "",
        "movers": parts.movers(None if movers is None else [_mover_row(board, choice, one) for one in movers], words),
        "movers-lead": f"Every section, this time against {words}, the largest effect first." if words else "",
        "alerts": parts.alerts([_alert_row(alert, found.span) for alert in found.alerts[:OPTIONS_MAX]]),
        "asof": _as_of(found, now_us),
        "lake-version": found.lake_version or "none yet",
    }
    for place, chart in enumerate(found.charts.values()):
        table = _table(chart, found.span, words) if place in opened else []
        made[f"head-{place}"] = parts.head(chart.tile, place, chart.simulated)
        made[f"d-{place}"] = Markup("{}").format(chart.difference(words) if words else "")
        expr = chart.tile.queries[0].expr.replace("$window", f"{chart.tile.window_seconds}s")
        own = replace(choice, section=EXPLORE, expr=expr).query_string()
        links = {
            "notebook": _download(choice, found, chart),
            "explore": "" if chart.tile.id == EXPLORE else own,
            "lab": lab,
        }
        made[f"under-{place}"] = parts.under(chart, place, table, links, words)
    return {name: str(html if isinstance(html, Markup) else Markup("{}").format(html)) for name, html in made.items()}


def _parts() -> Any:
    return drill_environment().get_template("ops_parts.html").module


def _sections(board: Dashboard, choice: Choice) -> list[tuple[str, str, bool]]:
    return [
        (section.title, replace(choice, section=name).query_string(), name == choice.section)
        for name, section in sections_of(board, choice).items()
    ]


def _ranges(board: Dashboard) -> list[tuple[str, str]]:
    offered = sorted({*board.ranges.offered_seconds, board.ranges.default_seconds})
    return [(format_range(seconds), f"Last {format_duration(seconds)}") for seconds in offered]


def _current_range(choice: Choice) -> str:
    return "" if choice.fixed else format_range(choice.filters.range_seconds)


def _ends(choice: Choice) -> tuple[str, str]:
    ends = choice.filters.from_us, choice.filters.to_us
    return (
        (format_instant(ends[0]), format_instant(ends[1])) if ends[0] is not None and ends[1] is not None else ("", "")
    )


def _facets(choice: Choice, counted: Mapping[str, Sequence[tuple[str, int]]]) -> list[tuple[Any, ...]]:
    found = []
    for label, name in FACETS.items():
        picked = choice.picked(label)
        options = list(counted.get(label, [(value, 0) for value in picked]))
        # In the order of the alphabet, so that nothing moves under the pointer when the counts change.
        shown = sorted({*options[:OPTIONS_MAX], *(pair for pair in options if pair[0] in picked)})
        found.append((label, name, shown, picked, len(options) - len(shown)))
    return found


def _mover_row(board: Dashboard, choice: Choice, moved: Moved) -> dict[str, str]:
    tile, mover = moved.chart.tile, moved.mover
    section = next(name for name, section in sections_of(board, choice).items() if tile in section.tiles)
    picks = dict(choice.picks)
    for label in FACETS:
        if moved.line.labels.get(label):
            picks[label] = (moved.line.labels[label],)
    there = replace(choice, section=section, picks=tuple(sorted(picks.items())))
    arrow = "▲" if mover.now > mover.before else "▼"
    if not mover.before:
        change = "new"
    elif not mover.now:
        change = "gone"
    else:
        change = change_words(mover.now, mover.before).removesuffix(" than").removesuffix(" as much as")
    return {
        "name": moved.line.name,
        "query": there.query_string(),
        "chart": tile.title,
        "before": format_value(mover.before, tile.unit),
        "now": format_value(mover.now, tile.unit),
        "change": f"{arrow} {change}",
        "effect": f"{abs(mover.effect):.1f}",
    }


def _alert_row(alert: Any, span: Span) -> dict[str, str]:
    start = format_clock(alert.start_us, replace(span, step_us=1))
    end = "now" if alert.end_us is None else format_clock(alert.end_us, replace(span, step_us=1))
    return {"name": alert.name, "severity": alert.severity, "labels": alert.labels, "times": f"{start} to {end}"}


def _as_of(found: Measurement, now_us: int) -> str:
    if found.choice.fixed:
        return range_words(found.span)
    age = format_age(now_us - found.newest_us if found.newest_us else None)
    return f"Last {format_duration(found.choice.filters.range_seconds)}, newest data {age}"


def _download(choice: Choice, found: Measurement, chart: Chart) -> str:
    times = {"from": format_instant(found.span.start_us), "to": format_instant(found.span.end_us)}
    pairs = [("chart", chart.tile.id), *times.items(), ("compare", choice.compare), ("expr", choice.expr)]
    return f"notebook?{urlencode([*pairs, *((label, value) for label, values in choice.picks for value in values)])}"


def _table(chart: Chart, span: Span, before_words: str) -> list[list[str]]:
    def row(name: str, values: Sequence[float]) -> list[str]:
        return [name, *(format_value(value, chart.tile.unit) for value in values)]

    found = [row("Mean", [line.now for line in chart.lines])]
    if before_words:
        found.append(row(f"Mean of {before_words}", [line.before for line in chart.lines]))
    count = (span.end_us - span.start_us) // span.step_us + 1
    stride = max(1, -(-count // TABLE_ROWS))
    for place in range(count - 1, -1, -stride):
        values = [float(line.values[place]) if place < len(line.values) else float(np.nan) for line in chart.lines]
        found.append(row(format_clock(span.start_us + place * span.step_us, span), values))
    return found
