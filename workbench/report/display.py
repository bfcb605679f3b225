"""What a report notebook shows: line charts with alt text, tables, and the figures it stands for."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.report.provenance import FIGURES_TYPE

# Okabe and Ito's palette: told apart with every kind of colour vision; the dash carries the same difference.
LINES = (("#0072B2", "-"), ("#7A7F87", "--"), ("#D55E00", "-."), ("#009E73", ":"))
PNG_DPI = 144


def show_figures(figures: Mapping[str, float | str]) -> None:
    """Declare the figures of this notebook; kept with its provenance and compared when it is run again."""
    from IPython.display import display

    plain = {name: round(value, 9) if isinstance(value, float) else value for name, value in figures.items()}
    finite = {name: value for name, value in plain.items() if not (isinstance(value, float) and not np.isfinite(value))}
    display({FIGURES_TYPE: finite}, raw=True)


def line_chart(title: str, unit: str, lines: Mapping[str, tuple[np.ndarray, np.ndarray]], *, alt: str) -> Any:
    """A chart of named lines, each (hours since midnight UTC, values); NaN breaks a line. `alt` says what it shows.

    Returns an IPython image that carries its alt text into HTML and mail.
    """
    from IPython.display import Image
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.add_subplot()
    for (name, (hours, values)), (colour, dash) in zip(lines.items(), LINES, strict=False):
        # A point without a neighbour makes no line: show it as a dot.
        alone = np.isfinite(values) & ~np.isfinite(np.roll(values, 1)) & ~np.isfinite(np.roll(values, -1))
        axes.plot(hours, values, dash, color=colour, label=name, linewidth=1.6)
        axes.plot(hours[alone], values[alone], ".", color=colour)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_ylabel(unit, fontsize=9)
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)], fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12)
    if len(lines) > 1:
        axes.legend(loc="upper left", fontsize=8, frameon=False, ncols=len(lines))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=PNG_DPI)
    return Image(picture.getvalue(), width=800, alt=alt, metadata={"alt": alt})


def table(rows: Sequence[Mapping[str, str]]) -> Any:
    """A plain HTML table of ready-made texts, its first column a row header; every text is escaped."""
    from html import escape

    from IPython.display import HTML

    if not rows:
        return HTML("<p>Nothing.</p>")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
    body = []
    for row in rows:
        first, *rest = (escape(str(value)) for value in row.values())
        body.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{value}</td>" for value in rest) + "</tr>")
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>")
