"""Native histograms of series, read beside their floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.query.histograms.resets import counts_fell
from workbench.query.index import Row
from workbench.query.names import Labels
from workbench.query.samples import Budget, Loaded
from workbench.schema import GAUGE, NO_RESET, RESET, RESET_UNKNOWN
from workbench.store import HistogramSamples

if TYPE_CHECKING:
    from workbench.store import View

HISTORY_US = 600_000_000
"""How far before what is asked for a predecessor is looked for, by which the first is known to count on."""


def beside(
    view: View, loaded: Loaded, rows: Sequence[Row], start_us: int, end_us: int, budget: Budget, *, counting: bool
) -> Loaded:
    """The samples loaded, and the native histograms of some rows, under the labels of all. Raises QueryLimit."""
    place: dict[Labels, int] = {labels: number for number, labels in enumerate(loaded.labels)}
    for row in rows:
        place.setdefault(row.labels, len(place))
    more = len(place) - len(loaded.labels)
    offsets = np.concatenate((loaded.offsets, np.full(more, loaded.offsets[-1])))
    found = view.histograms(np.array([one for row in rows for one in row.ids], np.int64), start_us - HISTORY_US, end_us)
    budget.spend(len(found.times_us) + len(found.histograms.keys))
    owners = {one: place[row.labels] for row in rows for one in row.ids}
    merged = _of_series(found, np.array([owners[one] for one in found.ids.tolist()], np.int64), len(place))
    reach_us = None if loaded.reach_us is None else np.append(loaded.reach_us, np.zeros(more, np.int64))
    whole = replace(loaded, labels=list(place), offsets=offsets, native=merged, reach_us=reach_us)
    return replace(whole, native=_with_hints(whole, merged, counting).where(merged.times_us >= start_us))


def _of_series(found: HistogramSamples, owners: np.ndarray, n: int) -> HistogramSamples:
    """Histograms by the number of their series; what several ids share is merged, of equal times the highest id's."""
    of_sample = np.repeat(owners, np.diff(found.offsets))
    order = np.lexsort((found.times_us, of_sample))  # stable: ids ascend
    series, times = of_sample[order], found.times_us[order]
    last = np.append((times[1:] != times[:-1]) | (series[1:] != series[:-1]), True)[: len(times)]
    kept = order[last]
    return HistogramSamples(
        np.arange(n),
        np.concatenate(([0], np.cumsum(np.bincount(series[last], minlength=n)))).astype(np.int64),
        found.times_us[kept],
        found.stale[kept],
        found.starts_us[kept],
        found.histograms.take(kept),
    )


def _with_hints(loaded: Loaded, samples: HistogramSamples, counting: bool) -> HistogramSamples:
    """With the hints that Prometheus' storage gives: what counts on from its predecessor is known not to be reset."""
    held = samples.histograms
    m = len(samples.times_us)
    series = np.repeat(np.arange(len(loaded.labels)), np.diff(samples.offsets))
    after = np.arange(1, m)
    before = after - 1
    same = (series[after] == series[before]) & ~samples.stale[before]
    same &= (held.hints[after] != GAUGE) & (held.hints[before] != GAUGE)
    if not counting:
        same &= held.schemas[after] == held.schemas[before]
        same &= held.zero_thresholds[after] == held.zero_thresholds[before]
        same &= np.diff(held.bound_offsets)[after] == np.diff(held.bound_offsets)[before]
    if same.any() and len(loaded.times_us):
        # A float in between breaks the row.
        owner = np.repeat(np.arange(len(loaded.labels)), np.diff(loaded.offsets))
        for place in np.flatnonzero(same & np.isin(series[after], owner)).tolist():
            part = loaded.times_us[loaded.offsets[series[place]] : loaded.offsets[series[place] + 1]]
            low, high = np.searchsorted(part, samples.times_us[[place, place + 1]])
            same[place] = low == high
    hints = np.where(held.hints == GAUGE, GAUGE, RESET_UNKNOWN).astype(np.int8)
    pairs = np.flatnonzero(same)
    counts_on = ~counts_fell(held, before[pairs], after[pairs])
    hints[after[pairs[counts_on]]] = NO_RESET
    if counting:
        hints[after[pairs[~counts_on]]] = RESET
    return replace(samples, histograms=held._replace(hints=hints))
