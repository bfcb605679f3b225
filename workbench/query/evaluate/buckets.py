"""Quantiles of classic histograms: series that count observations up to their label `le`."""

from __future__ import annotations

import math

import numpy as np

from workbench.query.evaluate.values import Vector, dropping, empty
from workbench.query.names import Labels


def histogram_quantile(vector: Vector, quantiles: np.ndarray) -> Vector:
    """The quantile of every histogram at every step, linear within its bucket (Prometheus `BucketQuantile`).

    Buckets are told apart by `le`; series without a number there are left out. NaN without a bucket up to +Inf, with
    fewer than two buckets, or without observations; the highest finite bound where the quantile lies beyond it.
    """
    key = dropping(("le",))
    groups: dict[Labels, list[tuple[float, int]]] = {}
    for row, labels in enumerate(vector.labels):
        bound = _bound(dict(labels).get("le", ""))
        if not math.isnan(bound):
            groups.setdefault(key(labels), []).append((bound, row))
    steps = vector.present.shape[1]
    if not groups:
        return empty(steps)
    out, there = np.full((len(groups), steps), np.nan), np.zeros((len(groups), steps), bool)
    for place, members in enumerate(groups.values()):
        members.sort()
        bounds = np.array([bound for bound, _ in members])
        rows = [row for _, row in members]
        present, counts = vector.present[rows], vector.values[rows]
        there[place] = present.any(axis=0)
        # Steps at which the same buckets are there are computed together; mostly that is all of them.
        patterns, which = np.unique(present, axis=1, return_inverse=True)
        for number in range(patterns.shape[1]):
            columns = np.flatnonzero(which.ravel() == number)
            mask = patterns[:, number]
            out[place, columns] = _quantile(bounds[mask], counts[mask][:, columns], quantiles[columns])
    return Vector(list(groups), out, there)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _quantile(bounds: np.ndarray, counts: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """bounds [b], ascending; cumulative counts [b, k]; quantiles [k]."""
    out = np.where(quantiles < 0, -np.inf, np.where(quantiles > 1, np.inf, np.nan))
    if len(bounds) == 0 or not math.isinf(bounds[-1]):
        return out
    bounds, starts = np.unique(bounds, return_index=True)
    counts = np.maximum.accumulate(np.add.reduceat(counts, starts, axis=0), axis=0)
    if len(bounds) < 2:
        return out
    with np.errstate(all="ignore"):
        rank = quantiles * counts[-1]
        bucket = np.minimum((counts < rank).sum(axis=0), len(bounds) - 1)
        columns = np.arange(counts.shape[1])
        below = np.where(bucket > 0, counts[np.maximum(bucket - 1, 0), columns], 0.0)
        low = np.where(bucket > 0, bounds[np.maximum(bucket - 1, 0)], 0.0)
        high = bounds[bucket]
        inside = low + (high - low) * ((rank - below) / (counts[bucket, columns] - below))
        inside = np.where((bucket == 0) & (bounds[0] <= 0), bounds[0], inside)
        inside = np.where(bucket == len(bounds) - 1, bounds[-2], inside)
    valid = (quantiles >= 0) & (quantiles <= 1) & (counts[-1] > 0)
    return np.where(valid, inside, out)
