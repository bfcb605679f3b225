"""Which series have samples in a stretch of time: what `start` and `end` mean for series, labels and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.query.index import label_index
from workbench.query.samples import Budget

if TYPE_CHECKING:
    from workbench.store import View

_FIRST_US = 300_000_000
"""Almost all series that are there at all have a sample in so little time; only the others are looked for further."""


def present(view: View, rows: np.ndarray | None, span_us: tuple[int, int] | None, budget: Budget) -> np.ndarray | None:
    """Of some rows of the label index (None: all) those with a sample between two times, both included.

    Looks at the newest stretch first, then at four times as much each time, for the series that are still missing.
    What the budget does not reach to is taken to be there, as Prometheus, too, may name series from beside the time.
    """
    if span_us is None:
        return rows
    index = label_index(view)
    wanted = np.arange(len(index.rows)) if rows is None else rows
    owners = np.repeat(wanted, [len(index.rows[row].ids) for row in wanted])
    ids = np.array([number for row in wanted for number in index.rows[row].ids], np.int64)
    # Native histograms are no floats, so the view's floats do not tell of them.
    there = {int(row) for row in wanted if index.rows[row].kind == "histogram"}
    start_us, end_us = span_us[0], min(span_us[1], view.latest_us)
    step_us = _FIRST_US
    while end_us >= start_us:
        missing = ~np.isin(owners, np.fromiter(there, np.int64, len(there)))
        owners, ids = owners[missing], ids[missing]
        if not len(ids) or budget.left <= 0:
            there.update(owners.tolist())
            break
        begin_us = max(start_us, end_us - step_us)
        found = view.samples(np.unique(ids), begin_us, end_us)
        budget.check()
        budget.spent += len(found.times_us)
        seen = found.ids[np.diff(found.offsets) > 0]
        there.update(owners[np.isin(ids, seen)].tolist())
        end_us, step_us = begin_us - 1, step_us * 4
    return np.array(sorted(there), np.int64)
