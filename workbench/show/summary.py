"""A chart in one or two sentences, for those who do not see it and those in a hurry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.show.filters import Span
from workbench.show.spec import Tile
from workbench.show.units import format_duration, format_value

NAMED_MAX = 3


def summarise(tile: Tile, series: Sequence[Mapping[str, Any]], hidden: int, span: Span) -> str:
    """`user: 12 % last, 3 % to 40 % over 1 hour, rising. …` for the series with the largest newest values."""
    drawn = [row for row in series if row["last"] is not None]
    if not drawn:
        return "No data in this span of time."
    drawn.sort(key=lambda row: -row["last"])
    over = format_duration((span.end_us - span.start_us + span.step_us) // span.step_us * span.step_us / 1e6)
    sentences = []
    for row in drawn[:NAMED_MAX]:
        values = [value for value in row["values"] if value is not None]
        low, high = (format_value(bound, tile.unit) for bound in (min(values), max(values)))
        between = f"steady at {low}" if low == high else f"between {low} and {high}"
        sentences.append(f"{row['name']}: {format_value(row['last'], tile.unit)} last, {between}{_trend(values)}.")
    more = len(drawn) - NAMED_MAX + hidden
    tail = f" {more} more series." if more > 0 else ""
    return f"Over {over}. {' '.join(sentences)}{tail}"


def data_table(
    tile: Tile, series: Sequence[Mapping[str, Any]], span: Span, last_us: int, rows_max: int = 12
) -> list[list[str]]:
    """A chart as a table of at most `rows_max` evenly spaced points, newest first: time, then each series.

    `last_us` is the time of the last point where the series go on beyond the grid.
    """
    count = max((len(row["values"]) for row in series), default=0)
    stride = max(1, -(-count // rows_max))
    found = []
    for index in range(count - 1, -1, -stride):
        cells = [format_value(row["values"][index], tile.unit) for row in series]
        found.append([format_clock(min(span.start_us + index * span.step_us, last_us), span), *cells])
    return found


def format_clock(time_us: int, span: Span) -> str:
    """A point in time as fine as the span needs it, UTC."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(time_us / 1e6, UTC)
    if span.end_us - span.start_us > 86_400_000_000:
        return moment.strftime("%d %b %H:%M")
    return moment.strftime("%H:%M:%S" if span.step_us < 60_000_000 else "%H:%M")


def _trend(values: Sequence[float]) -> str:
    """Last fifth against first fifth; a change under a tenth of the extent is no trend."""
    fifth = max(1, len(values) // 5)
    before, after = (sum(part) / len(part) for part in (values[:fifth], values[-fifth:]))
    extent = max(values) - min(values)
    if len(values) < 10 or extent == 0 or abs(after - before) < 0.1 * extent:
        return ""
    return ", rising" if after > before else ", falling"
