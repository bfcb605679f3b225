"""Where series come from: how many each metric and each sender began lately, and the label that makes a metric many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.query.index import label_index
from workbench.query.promql import Matcher

if TYPE_CHECKING:
    from workbench.store import View

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
ROWS_LOOKED_AT = 20_000
"""Series of one metric that are looked at for its worst label; more would not name another."""


@dataclass(frozen=True)
class Growth:
    """Series that were first seen within the last hour and the last day, by name as it was sent; series by sender."""

    metric_hour: Counter[str]
    metric_day: Counter[str]
    source_hour: Counter[str]
    source_day: Counter[str]
    sources: Counter[str]


def growth(view: View, now_us: int) -> Growth:
    """The growth of a view's series up to `now_us` (microseconds UTC)."""
    found = Growth(Counter(), Counter(), Counter(), Counter(), Counter())
    seen: set[int] = set()
    for series in reversed(view.registry.since(0)):  # one that was taken over stands there twice
        if series.id in seen:
            continue
        seen.add(series.id)
        found.sources[series.source] += 1
        age_us = now_us - series.first_seen_us
        if age_us <= DAY_US:
            found.metric_day[series.identity.name] += 1
            found.source_day[series.source] += 1
        if age_us <= HOUR_US:
            found.metric_hour[series.identity.name] += 1
            found.source_hour[series.source] += 1
    return found


def worst_labels(view: View, metric: str, most: int = 3) -> list[tuple[str, int]]:
    """The labels of a metric with the most values, and how many (among its first ROWS_LOOKED_AT series)."""
    index = label_index(view)
    rows = index.select([Matcher("__name__", "=", metric)])[:ROWS_LOOKED_AT]
    values: dict[str, set[str]] = {}
    for row in rows.tolist():
        for name, value in index.rows[row].labels:
            values.setdefault(name, set()).add(value)
    counts = {name: len(found) for name, found in values.items() if name != "__name__" and len(found) > 1}
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
