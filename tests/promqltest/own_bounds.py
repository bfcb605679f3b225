"""`load_with_nhcb`: classic histograms loaded beside them as native ones with the same bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from tests.promqltest.histogram import CUSTOM_SCHEMA, Histogram
from tests.promqltest.series import Value

Series = tuple[dict[str, str], list[Value]]


def with_own_bounds(series: Iterable[Series]) -> Iterator[Series]:
    """The native histograms that `x_bucket`, `x_count` and `x_sum` make together, under the name `x`."""
    parts: dict[tuple[tuple[str, str], ...], dict[tuple[str, float], list[Value]]] = {}
    for labels, values in series:
        name, _, part = labels.get("__name__", "").rpartition("_")
        bound = _bound(labels.get("le", "")) if part == "bucket" else 0.0
        if part in ("bucket", "count", "sum") and not math.isnan(bound):
            base = {key: value for key, value in labels.items() if key != "le"} | {"__name__": name}
            parts.setdefault(tuple(sorted(base.items())), {})[part, bound] = values
    for base, found in parts.items():
        steps = max(map(len, found.values()))
        yield dict(base), [_at(found, step) for step in range(steps)]


def _at(found: dict[tuple[str, float], list[Value]], step: int) -> Histogram | None:
    here = {key: values[step] for key, values in found.items() if step < len(values)}
    numbers = {key: value for key, value in here.items() if isinstance(value, float)}
    counts = {bound: count for (part, bound), count in sorted(numbers.items()) if part == "bucket"}
    if not numbers:
        return None
    count = numbers.get(("count", 0.0), max(counts.values(), default=0.0))
    counts.setdefault(math.inf, count)
    buckets, before = {}, 0.0
    for index, cumulative in enumerate(counts.values()):
        buckets[index], before = cumulative - before, cumulative
    bounds = tuple(bound for bound in counts if bound != math.inf)
    total = numbers.get(("sum", 0.0), 0.0)
    return Histogram(CUSTOM_SCHEMA, count, total, positive=buckets, custom_values=bounds)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
