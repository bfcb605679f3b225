"""A chart drawn on the server as SVG: what is seen before, or without, the browser's script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from workbench.show.spec import Tile

WIDTH, HEIGHT = 600, 160
POINTS_MAX = 100


def sketch(tile: Tile, series: Sequence[Mapping[str, Any]], styles: int = 8) -> Markup:
    """The lines of a chart, one path a series; classes carry colour and dash, the summary beside it the words."""
    values = [value for row in series for value in row["values"] if value is not None]
    if not values:
        return Markup("")
    low = min(0.0, *values)
    high = max(tile.maximum if tile.maximum is not None else low, *values)
    extent = (high - low) or 1.0
    paths = []
    for number, row in enumerate(series):
        data = _path(row["values"], low, extent)
        paths.append(f'<path class="s{number % styles}" d="{data}"/>')
    # Everything in here is a number or a name of ours; nothing comes from a label.
    return Markup(
        f'<svg class="sketch" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(paths)}</svg>"
    )


def _path(values: Sequence[float | None], low: float, extent: float) -> str:
    stride = max(1, -(-len(values) // POINTS_MAX))
    last = max(len(values) - 1, 1)
    parts: list[str] = []
    pen_down = False
    for index in range(0, len(values), stride):
        value = values[index]
        if value is None:
            pen_down = False
            continue
        x = index / last * WIDTH
        y = HEIGHT - (value - low) / extent * (HEIGHT - 4) - 2
        parts.append(f"{'L' if pen_down else 'M'}{x:.0f} {y:.0f}")
        pen_down = True
    return "".join(parts)
