"""An answer as a table for people: what tells rows apart, the figures, how many rows there are more."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.query.result import Result

ROWS_MAX = 10


def table_of_result(result: Result) -> pd.DataFrame:
    """A row a series: its labels, and its value or, of a range, its last, mean, lowest and highest one."""
    names = sorted({name for labels in result.labels for name in labels})
    frame = pd.DataFrame({name: [labels.get(name, "") for labels in result.labels] for name in names})
    values = np.where(result.present, result.values, np.nan)
    if not len(values):
        return frame
    if result.kind in ("vector", "scalar"):
        return frame.assign(value=values[:, 0])
    known = pd.DataFrame(values.T)
    return frame.assign(
        last=known.ffill().iloc[-1], mean=known.mean(), lowest=known.min(), highest=known.max(), points=known.count()
    )


def as_html(frame: pd.DataFrame, what: str) -> str:
    """The first rows, escaped, with a caption that says how many there are."""
    rows = f"{len(frame):,} {what}" + (f", the first {ROWS_MAX}" if len(frame) > ROWS_MAX else "")
    if not len(frame):
        return f"<p>{rows}.</p>"
    body: str = frame.head(ROWS_MAX).to_html(index=False, border=0, na_rep="", float_format=_number)
    return body.replace("<thead>", f"<caption>{rows}</caption><thead>", 1)


def _number(value: float) -> str:
    return f"{value:,.6g}"
