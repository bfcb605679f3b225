"""What a report notebook shows: charts with alt text, tables, and the figures it stands for."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.analyze import say_hours, say_value
from workbench.report.provenance import FIGURES_TYPE

# Okabe and Ito's palette: told apart with every kind of colour vision; the dash carries the same difference.
LINES = (("#0072B2", "-", 1.8), ("#6B7280", "--", 1.1), ("#D55E00", "-.", 1.4), ("#009E73", ":", 1.4))
USUAL_COLOUR, MARK_COLOUR = "#dfe3e8", "#F5C084"
PNG_DPI = 144
# In inches; at 390 px the picture is shown at half its size, where letters of 11 points can still be read.
SIZE_INCHES, FONT_POINTS = (7.0, 2.6), 11


def show_figures(figures: Mapping[str, float | str]) -> None:
    """Declare the figures of this notebook; kept with its provenance and compared when it is run again."""
    from IPython.display import display

    plain = {name: round(value, 9) if isinstance(value, float) else value for name, value in figures.items()}
    finite = {name: value for name, value in plain.items() if not (isinstance(value, float) and not np.isfinite(value))}
    display({FIGURES_TYPE: finite}, raw=True)


def line_chart(
    title: str,
    unit: str,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    alt: str,
    usual: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    marks: Sequence[tuple[float, float]] = (),
    span: tuple[float, float] = (0, 24),
) -> Any:
    """A chart of one day: named lines, each (hours since midnight UTC, values); NaN breaks a line.

    `usual` is a band behind them (hours, low, high), `marks` are periods to point at and `span` is what is drawn, in
    hours. Unit `share` is drawn as per cent. `alt` says what is seen. Returns an IPython image that carries its alt
    text into HTML and mail.
    """
    from IPython.display import Image
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES)
    # Charts below each other share their hours only if all have the same margins.
    figure.subplots_adjust(left=0.125, right=0.965, top=0.83, bottom=0.12)
    axes = figure.add_subplot()
    if usual is not None:
        axes.fill_between(*usual, color=USUAL_COLOUR, linewidth=0, label="usual")
    for number, (start, end) in enumerate(marks):
        axes.axvspan(start, end, color=MARK_COLOUR, alpha=0.6, linewidth=0, label="unusual" if number == 0 else None)
    drawn = list(zip(lines.items(), LINES, strict=False))
    for (name, (hours, values)), (colour, dash, width) in reversed(drawn):  # the first line lies on top
        # A point without a neighbour makes no line: show it as a dot.
        alone = np.isfinite(values) & ~np.isfinite(np.roll(values, 1)) & ~np.isfinite(np.roll(values, -1))
        axes.plot(hours, values, dash, color=colour, label=name, linewidth=width)
        axes.plot(hours[alone], values[alone], ".", color=colour)
    _dress(axes, unit, span)
    axes.set_title(title, loc="left", fontsize=FONT_POINTS + 1, fontweight="bold", pad=9)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=FONT_POINTS - 2,
        frameon=False,
        ncols=len(handles),
        columnspacing=0.9,
        handlelength=1.3,
        borderaxespad=0.1,
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=PNG_DPI)
    return Image(picture.getvalue(), width=760, alt=alt, metadata={"alt": alt})


def _dress(axes: Any, unit: str, span: tuple[float, float]) -> None:
    """Hours below, few lines, numbers as people write them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def words(value: float, _: int) -> str:
        if unit == "share":
            return f"{100 * value:.4g}%"
        return say_value(value, unit) if value else "0"

    axes.set_xlim(*span)
    ticks = np.linspace(*span, 7)
    axes.set_xticks(ticks, [say_hours(float(hour), float(hour)) for hour in ticks])
    axes.tick_params(labelsize=FONT_POINTS - 2, length=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(words))
    axes.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.margins(y=0.12)


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
