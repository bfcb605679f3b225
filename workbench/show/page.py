"""The light page: shell, first numbers and first charts in one HTML document that works without script.

No inline script and no inline style, so a strict content security policy holds. What the browser's script needs lies
in one element of type `application/json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
import orjson
from markupsafe import Markup

from workbench.show.assets import load_assets
from workbench.show.filters import Filters, Span, format_instant, format_range
from workbench.show.sketch import sketch
from workbench.show.spec import Dashboard, Tile
from workbench.show.summary import data_table
from workbench.show.units import format_age, format_duration, format_value

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SERIES_STYLES = 8


def render_dashboard(
    dashboard: Dashboard,
    filters: Filters,
    snapshot: Mapping[str, Any],
    *,
    options: Mapping[str, Sequence[str]],
    notices: Sequence[str],
    demo_progress: float | None,
    navigation: Sequence[tuple[str, str]],
) -> str:
    """The whole document of one dashboard."""
    span = Span(*(round(snapshot[name] * 1e6) for name in ("start", "end", "step")))
    address = f"/live/{dashboard.name}"
    boot = {
        "snapshot": snapshot,
        "dashboard": {"name": dashboard.name, "tiles": {tile.id: _tile_for_script(tile) for tile in dashboard.tiles}},
        "data": f"{address}/data",
        "stream": f"{address}/stream",
        "worker": load_assets().url("worker.js"),
    }
    return _template("dashboard.html").render(
        **_shell_values(dashboard.title, address, navigation),
        dashboard=dashboard,
        filters=filters,
        snapshot=snapshot,
        span=span,
        ranges=_range_options(dashboard, filters),
        options={name: _with_chosen(values, filters.chosen(name)) for name, values in options.items()},
        notices=list(notices),
        demo_percent=None if demo_progress is None else min(100, max(0, int(demo_progress * 100))),
        boot=script_json(boot),
        now_text=datetime.fromtimestamp(snapshot["time"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
        span_text=_span_text(filters, span),
        moves=_moves(filters, round(snapshot["time"] * 1e6)),
        from_text=format_instant(filters.from_us)[:19] if filters.from_us is not None else "",
        to_text=format_instant(filters.to_us)[:19] if filters.to_us is not None else "",
        api_links={tile.id: _api_links(tile, filters, span) for tile in dashboard.tiles},
        data_table=lambda tile, series: data_table(tile, series, span, round(snapshot["time"] * 1e6)),
        sketch=sketch,
        simulated_anywhere=any(tile["simulated"] for tile in snapshot["tiles"].values()),
    )


def render_page(
    title: str,
    body: Markup,
    *,
    current: str = "",
    navigation: Sequence[tuple[str, str]] = (),
    static_prefix: str = "",
) -> str:
    """Any other page in the same shell: a heading and a body. `current` is the address that the navigation marks.

    With `static_prefix` the page's files are asked for below it, and no script is.
    """
    values = _shell_values(title, current, navigation)
    if static_prefix:
        urls = {name: static_prefix + values[name].removeprefix("/static") for name in ("style_url", "icon_url")}
        values = {**values, **urls, "script_url": ""}
    return _template("plain.html").render(**values, body=body)


def _shell_values(title: str, current: str, navigation: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What `shell.html` needs."""
    assets = load_assets()
    return {
        "title": title,
        "current": current,
        "home_url": "/",
        "navigation": list(navigation),
        "style_url": assets.url("page.css"),
        "script_url": assets.url("main.js"),
        "icon_url": assets.url("icon.svg"),
    }


def script_json(value: Any) -> Markup:
    """JSON for a script element: nothing in it can close the element or start markup."""
    text = orjson.dumps(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # Every character that HTML could read is escaped above.
    return Markup(text)


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """The templates, with everything escaped unless it is Markup."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(value=format_value, age=format_age, clock=_clock)
    found.globals.update(series_styles=SERIES_STYLES)
    return found


def _template(name: str) -> jinja2.Template:
    return environment().get_template(name)


def _tile_for_script(tile: Tile) -> dict[str, Any]:
    return {
        "kind": tile.kind,
        "title": tile.title,
        "unit": tile.unit,
        "maximum": tile.maximum,
        "warn": tile.thresholds.warn,
        "critical": tile.thresholds.critical,
        "above": tile.thresholds.above,
    }


def _range_options(dashboard: Dashboard, filters: Filters) -> list[tuple[str, str, bool]]:
    offered = sorted({*dashboard.ranges.offered_seconds, filters.range_seconds})
    return [
        (format_range(seconds), f"Last {format_duration(seconds)}", seconds == filters.range_seconds)
        for seconds in offered
    ]


def _with_chosen(values: Sequence[str], chosen: Sequence[str]) -> list[tuple[str, bool]]:
    return [(value, value in chosen) for value in sorted({*values, *chosen})]


def _moves(filters: Filters, now_us: int) -> list[tuple[str, str]]:
    """(words, query string) of the ways through time: a span earlier, a span later, back to the present."""
    moves = [("Earlier", filters.moved(now_us, -1).query_string())]
    if filters.fixed:
        later, now = filters.moved(now_us, 1), replace(filters, from_us=None, to_us=None)
        moves += [("Later", later.query_string())] if later.fixed else []
        moves.append(("Back to now", now.query_string()))
    return moves


def _span_text(filters: Filters, span: Span) -> str:
    if filters.fixed:
        return (
            f"{format_instant(span.start_us).replace('T', ' ')} to {format_instant(span.end_us).replace('T', ' ')} UTC"
        )
    return f"last {format_duration(filters.range_seconds)}"


def _api_links(tile: Tile, filters: Filters, span: Span) -> list[tuple[str, str]]:
    """(expression, address of the API call that gives these numbers) of each query of a tile."""
    chart = tile.kind == "timeseries"
    links = []
    for query in tile.queries:
        expr = filters.fill(query.expr, tile, charts=chart)
        if chart:
            times = {"start": span.start_us // 10**6, "end": span.end_us // 10**6, "step": span.step_us // 10**6}
            links.append((expr, f"/api/v1/query_range?{urlencode({'query': expr, **times}, quote_via=quote)}"))
        else:
            links.append((expr, f"/api/v1/query?{urlencode({'query': expr}, quote_via=quote)}"))
    return links


def _clock(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds is not None else ""
