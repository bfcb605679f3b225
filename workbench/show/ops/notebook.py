"""A chart as a notebook: its queries, times and lake version stand in the parameters cell, so it can be run again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from workbench.show.filters import format_instant
from workbench.show.ops.choice import Choice
from workbench.show.spec import Tile

SEALED_US = 900_000_000
"""What is older than this has surely left the log for the lake, where a version can name it."""

_LOAD = """import hvplot.pandas
import pandas as pd

import workbench

wb = workbench.open(version=lake_version or None)


def load(expr: str, start: str, end: str) -> pd.DataFrame:
    \"\"\"One column for each series, one row for each time.\"\"\"
    frame = wb.result(expr, start=start, end=end, step=step_seconds).to_pandas()
    labels = [name for name in frame.columns if name not in ("time", "value")]
    series = frame[labels].agg(" ".join, axis=1) if labels else "value"
    return frame.assign(series=series).pivot_table(index="time", columns="series", values="value")


now = [load(expr, start, end) for expr in exprs]
before = [load(expr, before_start, before_end) for expr in exprs] if before_start else []
now[0].tail()"""

_PLOT = "now[0].hvplot(grid=True, width=900, height=320, title=title)"

_COMPARE = """means = pd.DataFrame({"now": now[0].mean(), **({"before": before[0].mean()} if before else {})})
if before:
    means["change"] = means["now"] / means["before"] - 1
means"""


def chart_notebook(tile: Tile, choice: Choice, exprs: Sequence[str], now_us: int, lake_version: str) -> bytes:
    """The notebook file of one chart: nbformat 4.5, UTF-8 JSON. Written by hand, as nbformat takes 2 s to import.

    The lake version is pinned where the whole span is old enough to be in it; newer data is read as it is when the
    notebook runs.
    """
    span = choice.filters.span(now_us)
    before = choice.before(span)
    pinned = lake_version if span.end_us < now_us - SEALED_US else ""
    words = (
        f"# {tile.title}\n\nMade from the operators' drill-down: {format_instant(span.start_us)} to "
        f"{format_instant(span.end_us)} UTC. {tile.description}"
    )
    parameters = "\n".join(
        [
            f"title = {tile.title!r}",
            f"exprs = {list(exprs)!r}",
            f"start = {format_instant(span.start_us)!r}  # UTC",
            f"end = {format_instant(span.end_us)!r}",
            f"before_start = {(format_instant(before.start_us) if before else '')!r}  # empty: compared with nothing",
            f"before_end = {(format_instant(before.end_us) if before else '')!r}",
            f"step_seconds = {span.step_us // 1_000_000}",
            f"lake_version = {pinned!r}  # empty: the newest data",
        ]
    )
    sources = (parameters, _LOAD, _PLOT, _COMPARE)
    cells = [_cell("markdown", words.strip(), 0), *(_cell("code", text, n) for n, text in enumerate(sources, 1))]
    cells[1]["metadata"] = {"tags": ["parameters"]}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    document = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _cell(kind: str, source: str, number: int) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source}
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell
