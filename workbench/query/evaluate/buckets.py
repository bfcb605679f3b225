"""Classic histograms: series that count observations up to their label `le`. Quantiles and fractions of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from workbench.query.evaluate.context import Context
from workbench.query.evaluate.values import Vector, empty
from workbench.query.names import Labels
from workbench.query.promql.nodes import Node
from workbench.query.promql.text import format_general
from workbench.query.times import rfc3339

_TOLERANCE = 1e-12
"""Counts that differ by less, relative to their sum, are taken for equal (Prometheus' `smallDeltaTolerance`)."""


@dataclass(frozen=True)
class Classic:
    """One histogram at some of the steps: bounds[b] ascending, cumulative counts[b, k] of these k steps."""

    place: int
    steps: np.ndarray
    bounds: np.ndarray
    counts: np.ndarray


def quantiles(context: Context, vector: Vector, wanted: np.ndarray, node: Node) -> Vector:
    """The quantile of every histogram at every step, linear within its bucket (Prometheus `BucketQuantile`).

    NaN without a bucket up to +Inf, with fewer than two buckets, or without observations; the highest finite bound
    where the quantile lies beyond it. Counts that fall with rising bounds are remarked on, of the argument `node`.
    """
    forced: dict[str, list[Forced]] = {}

    def one(labels: Labels, histogram: Classic) -> np.ndarray:
        counts, found = _monotonic(histogram, context.times_us)
        if found:
            forced.setdefault(dict(labels).get("__name__", ""), []).append(found)
        return _quantile(histogram.bounds, counts, wanted[histogram.steps])

    result = _each(context, vector, node, one)
    for name, found in forced.items():
        context.notes.info(_FORCED + (f' for metric name "{name}"' if name else ""), node, _detail(found))
    return result


def fractions(context: Context, vector: Vector, lower: np.ndarray, upper: np.ndarray, node: Node) -> Vector:
    """The fraction of observations between two bounds, linear within buckets (Prometheus `BucketFraction`)."""

    def one(_: Labels, histogram: Classic) -> np.ndarray:
        low, high = lower[histogram.steps], upper[histogram.steps]
        counts = histogram.counts
        if not math.isinf(histogram.bounds[-1]):
            return np.full(counts.shape[1], np.nan)
        with np.errstate(all="ignore"):
            between = _below(histogram.bounds, counts, high) - _below(histogram.bounds, counts, low)
            out = np.where(low >= high, 0.0, between / counts[-1])
        return np.where((counts[-1] == 0) | np.isnan(low) | np.isnan(high), np.nan, out)

    return _each(context, vector, node, one)


def _each(context: Context, vector: Vector, node: Node, one: Callable[[Labels, Classic], np.ndarray]) -> Vector:
    """Apply a function to every histogram; series without a number in `le` are left out and remarked on."""
    groups: dict[Labels, list[tuple[float, int]]] = {}
    there: np.ndarray = np.any(vector.present, axis=1)
    for row, labels in enumerate(vector.labels):
        given = dict(labels)
        bound = _bound(given.get("le", ""))
        if not math.isnan(bound):
            key = tuple(pair for pair in labels if pair[0] != "le")
            groups.setdefault(key, []).append((bound, row))
        elif there[row]:
            name = f' for metric name "{given["__name__"]}"' if "__name__" in given else ""
            message = f'bucket label "le" is missing or has a malformed value of "{given.get("le", "")}"'
            context.notes.warn(message + name, node)
    if not groups:
        return empty(vector.present.shape[1])
    out = np.full((len(groups), vector.present.shape[1]), np.nan)
    present = np.zeros(out.shape, bool)
    labels_of = list(groups)
    for histogram in _histograms(vector, list(groups.values()), present):
        out[histogram.place, histogram.steps] = one(labels_of[histogram.place], histogram)
    return Vector(labels_of, out, present).without_name()


def _histograms(vector: Vector, groups: list[list[tuple[float, int]]], present: np.ndarray) -> Iterator[Classic]:
    for place, members in enumerate(groups):
        members.sort()
        bounds = np.array([bound for bound, _ in members])
        rows = [row for _, row in members]
        there, counts = vector.present[rows], vector.values[rows]
        present[place] = there.any(axis=0)
        # Steps at which the same buckets are there are computed together; mostly that is all of them.
        patterns, which = np.unique(there, axis=1, return_inverse=True)
        for number in range(patterns.shape[1]):
            mask = patterns[:, number]
            if mask.any():
                steps = np.flatnonzero(which.ravel() == number)
                merged, starts = np.unique(bounds[mask], return_index=True)
                yield Classic(place, steps, merged, np.add.reduceat(counts[mask][:, steps], starts, axis=0))


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Forced:
    """Where counts fell although the bounds rose: between which bounds and times, by how much, how often."""

    low: float
    high: float
    difference: float
    first_us: int
    last_us: int
    samples: int


_FORCED = (
    "input to histogram_quantile needed to be fixed for monotonicity "
    "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


def _detail(found: list[Forced]) -> str:
    low, high = min(one.low for one in found), max(one.high for one in found)
    difference, samples = max(one.difference for one in found), sum(one.samples for one in found)
    first, last = min(one.first_us for one in found), max(one.last_us for one in found)
    return (
        f", from buckets {format_general(low)} to {format_general(high)}, with a max diff of {difference:.2g}, "
        f"over {samples} samples from {rfc3339(first)} to {rfc3339(last)}"
    )


def _monotonic(histogram: Classic, times_us: np.ndarray) -> tuple[np.ndarray, Forced | None]:
    """Counts that never fall: small differences are rounding and go in silence, others are reported."""
    counts = histogram.counts.copy()
    fallen = np.zeros(counts.shape, bool)
    difference = 0.0
    for bucket in range(1, len(counts)):
        before, now = counts[bucket - 1], counts[bucket]
        with np.errstate(invalid="ignore"):
            equal = np.abs(before - now) < _TOLERANCE * (np.abs(before) + np.abs(now))
            falls = np.asarray(~equal & (now < before))
        if falls.any():
            difference = max(difference, float((before - now)[falls].max()))
        fallen[bucket] = falls
        counts[bucket] = np.where(equal | falls, before, now)
    if not fallen.any():
        return counts, None
    buckets, columns = np.nonzero(fallen)
    times = times_us[histogram.steps[columns]]
    low, high = float(histogram.bounds[buckets.min()]), float(histogram.bounds[buckets.max()])
    return counts, Forced(low, high, difference, int(times.min()), int(times.max()), len(np.unique(columns)))


def _quantile(bounds: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """bounds [b], ascending; counts [b, k], cumulative and monotonic; wanted [k]."""
    out = np.where(wanted < 0, -np.inf, np.where(wanted > 1, np.inf, np.nan))
    if not math.isinf(bounds[-1]) or len(bounds) < 2:
        return out
    with np.errstate(all="ignore"):
        rank = wanted * counts[-1]
        bucket = np.minimum((counts < rank).sum(axis=0), len(bounds) - 1)
        columns = np.arange(counts.shape[1])
        below = np.where(bucket > 0, counts[np.maximum(bucket - 1, 0), columns], 0.0)
        low = np.where(bucket > 0, bounds[np.maximum(bucket - 1, 0)], 0.0)
        inside = low + (bounds[bucket] - low) * ((rank - below) / (counts[bucket, columns] - below))
        inside = np.where((bucket == 0) & (bounds[0] <= 0), bounds[0], inside)
        inside = np.where(bucket == len(bounds) - 1, bounds[-2], inside)
    valid = (wanted >= 0) & (wanted <= 1) & (counts[-1] != 0)
    return np.where(valid, inside, out)


def _below(bounds: np.ndarray, counts: np.ndarray, value: np.ndarray) -> np.ndarray:
    """How many observations are at or below a value: counts [b, k], value [k]. From 0 up where all bounds are above."""
    bucket = np.minimum(np.searchsorted(bounds, value), len(bounds) - 1)
    columns = np.arange(counts.shape[1])
    first = 0.0 if bounds[0] > 0 else -np.inf
    low = np.where(bucket > 0, bounds[np.maximum(bucket - 1, 0)], first)
    below = np.where(bucket > 0, counts[np.maximum(bucket - 1, 0), columns], 0.0)
    here = counts[bucket, columns]
    inside = below + (here - below) * (value - low) / (bounds[bucket] - low)
    inside = np.where(np.isinf(low), here, inside)
    inside = np.where(np.isposinf(bounds[bucket]), np.where(np.isposinf(value), here, below), inside)
    return np.where(value <= first, 0.0, inside)
