"""A picture of an answer: lines over time in UTC, with the alternative text that says what is seen."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workbench.query.result import Result

LINES_MAX = 8
# Okabe and Ito's palette, told apart with every kind of colour vision; the dash says the same.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B7280", "#000000")
_DASHES = ("-", "--", "-.", ":")


def lines_of_result(result: Result) -> dict[str, pd.Series]:
    """The series of a range by what tells them apart, the largest first, at most `LINES_MAX`."""
    names = sorted({name for labels in result.labels for name in labels})
    telling = [n for n in names if len({labels.get(n, "") for labels in result.labels}) > 1]
    times = pd.to_datetime(result.times_us, unit="us", utc=True)
    values = np.where(result.present, result.values, np.nan)
    sizes = np.nanmean(np.abs(np.where(np.isfinite(values), values, np.nan)), axis=1) if len(values) else []
    found: dict[str, pd.Series] = {}
    for row in np.argsort(-np.nan_to_num(np.asarray(sizes)), kind="stable")[:LINES_MAX]:
        labels = result.labels[row]
        name = ", ".join(f"{n}={labels.get(n, '')}" if n != "__name__" else labels.get(n, "") for n in telling)
        found[name or labels.get("__name__", "value")] = pd.Series(values[row], times)
    return found


def lines_of_frame(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """The numbers of a frame over its first column of times, a line for each text in its first column of texts."""
    times = [name for name in frame if isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    numbers = [name for name in frame if pd.api.types.is_float_dtype(frame[name].dtype)]
    numbers = numbers or [name for name in frame if pd.api.types.is_integer_dtype(frame[name].dtype)]
    if not times or not numbers or len(frame) < 2:
        return {}
    texts = [name for name in frame if pd.api.types.is_string_dtype(frame[name].dtype) and name not in times]
    if not texts:
        return {str(name): frame.set_index(times[0])[name] for name in numbers[:LINES_MAX]}
    keys, time, number = frame[texts[0]].fillna(""), times[0], numbers[0]
    chosen = frame[number].groupby(keys.to_numpy()).mean().abs().nlargest(LINES_MAX).index
    return {str(key): frame[keys == key].set_index(time)[number] for key in chosen}


def draw(title: str, lines: Mapping[str, pd.Series], *, unit: str = "", of: int = 0) -> Any:
    """The picture, as an IPython image that carries its alternative text; `of` is how many lines there would be."""
    from IPython.display import Image
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 3.0), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(lines.items()):
        known = values.sort_index()
        mark = "." if known.notna().sum() < 2 else ""
        axes.plot(known.index, known.to_numpy(float), _DASHES[number // 4 % 4] if not mark else "",
                  color=_COLOURS[number % 8], label=_short(name), linewidth=1.4, marker=mark)  # fmt: skip
    axes.set_title(_short(title, 90), loc="left", fontsize=10)
    axes.set_ylabel(unit, fontsize=9)
    axes.set_xlabel("UTC", fontsize=8, loc="right")
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        more = f"{len(lines)} of {of}" if of > len(lines) else None
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title=more)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    alt = _alt(title, lines, unit)
    return Image(picture.getvalue(), width=760, alt=alt, metadata={"alt": alt})


def _alt(title: str, lines: Mapping[str, pd.Series], unit: str) -> str:
    parts = []
    for name, values in lines.items():
        known = values.dropna()
        if len(known):
            low, high, last = (f"{float(v):.3g}" for v in (known.min(), known.max(), known.iloc[-1]))
            parts.append(f"{name} from {low} to {high}, last {last} {unit}".rstrip())
    return f"Line chart, {title}: " + ("; ".join(parts) or "nothing") + "."


def _short(text: str, most: int = 48) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
