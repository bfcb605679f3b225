"""Aggregations over series: `sum by (x)`, `topk`, `quantile` and their kin, for all steps at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.values import Vector, dropping, empty, keeping
from workbench.query.names import Labels
from workbench.query.promql.nodes import Aggregation
from workbench.query.promql.text import format_float

_WITH_ROWS = ("topk", "bottomk", "limitk")


def aggregate(context: Context, node: Aggregation, vector: Vector, parameter: np.ndarray | str | None) -> Vector:
    """Aggregate a vector; `parameter` is float64[k], or the label's name for count_values."""
    key = dropping(node.labels) if node.without else keeping(node.labels)
    if node.operator == "limit_ratio":
        raise not_evaluated("limit_ratio", node)
    if node.operator == "count_values":
        return _count_values(vector, key, str(parameter))
    if not len(vector.labels):
        return empty(vector.present.shape[1])
    groups: dict[Labels, list[int]] = {}
    for row, labels in enumerate(vector.labels):
        groups.setdefault(key(labels), []).append(row)
    if node.operator in _WITH_ROWS:
        return _ranked(context, node.operator, vector, list(groups.values()), _sizes(parameter))
    order = np.array([row for rows in groups.values() for row in rows])
    starts = np.cumsum([0, *(len(rows) for rows in groups.values())])[:-1]
    values, present = vector.values[order], vector.present[order]
    there = np.logical_or.reduceat(present, starts, axis=0)
    if node.operator == "quantile":
        out = _quantiles(context, values, present, [*starts, len(order)], np.asarray(parameter))
    else:
        out = _reduce(node.operator, values, present, starts)
    unnamed = None
    if vector.unnamed is not None:
        unnamed = np.logical_or.reduceat((vector.unnamed & vector.present.any(axis=1))[order], starts)
    return Vector(list(groups), np.where(there, out, 0.0), there, unnamed)


def _reduce(operator: str, values: np.ndarray, present: np.ndarray, starts: np.ndarray) -> np.ndarray:
    counts = np.add.reduceat(present, starts, axis=0, dtype=np.float64)
    if operator == "count":
        return counts
    if operator == "group":
        return np.ones_like(counts)
    with np.errstate(all="ignore"):
        if operator in ("min", "max"):
            # NaN stands for absent here: fmin and fmax pass over it, as Prometheus passes over NaN.
            held = np.where(present, values, np.nan)
            return (np.fmin if operator == "min" else np.fmax).reduceat(held, starts, axis=0)
        total = np.add.reduceat(np.where(present, values, 0.0), starts, axis=0)
        if operator == "sum":
            return total
        sizes = np.diff(np.append(starts, len(values)))
        mean = total / counts
        overflowed = np.isinf(mean)
        if overflowed.any():
            shares = np.where(present, values / np.repeat(counts, sizes, axis=0), 0.0)
            mean = np.where(overflowed, np.add.reduceat(shares, starts, axis=0), mean)
        if operator == "avg":
            return mean
        distance = np.where(present, values - np.repeat(mean, sizes, axis=0), 0.0)
        variance = np.add.reduceat(distance * distance, starts, axis=0) / counts
        return variance if operator == "stdvar" else np.sqrt(variance)


def _quantiles(
    context: Context, values: np.ndarray, present: np.ndarray, edges: Sequence[int], quantiles: np.ndarray
) -> np.ndarray:
    out = np.empty((len(edges) - 1, values.shape[1]))
    for group, (start, stop) in enumerate(itertools.pairwise(edges)):
        context.check_time()
        out[group] = quantile(values[start:stop], present[start:stop], quantiles)
    return out


def quantile(values: np.ndarray, present: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Quantiles down each column of float64[n, k], linear between neighbours; NaN counts as the smallest value."""
    count = present.sum(axis=0)
    nans = (present & np.isnan(values)).sum(axis=0)
    ordered = np.sort(np.where(present, np.where(np.isnan(values), -np.inf, values), np.inf), axis=0)
    inside = np.clip(np.nan_to_num(quantiles), 0, 1)
    rank = inside * np.maximum(count - 1, 0)
    low = np.floor(rank).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    columns = np.arange(values.shape[1])
    below = np.where(low < nans, np.nan, ordered[low, columns])
    above = np.where(high < nans, np.nan, ordered[high, columns])
    with np.errstate(invalid="ignore"):
        out = below * (1 - (rank - low)) + above * (rank - low)
    out = np.where(quantiles < 0, -np.inf, np.where(quantiles > 1, np.inf, out))
    return np.where(np.isnan(quantiles), np.nan, out)


def _sizes(parameter: np.ndarray | str | None) -> np.ndarray:
    sizes = np.asarray(parameter, np.float64)
    if np.isnan(sizes).any():
        raise QueryError("parameter value is NaN", hint="topk, bottomk and limitk need a number of series.")
    return np.clip(sizes, 0, 2**31).astype(np.int64)


def _ranked(context: Context, operator: str, vector: Vector, groups: list[list[int]], sizes: np.ndarray) -> Vector:
    kept = np.zeros_like(vector.present)
    for rows in groups:
        context.check_time()
        present = vector.present[rows]
        values = vector.values[rows]
        if operator == "limitk":
            kept[rows] = present & (np.cumsum(present, axis=0) <= sizes)
            continue
        # Ascending keys; NaN after all numbers, what is absent after NaN.
        key = -values if operator == "topk" else values
        order = np.lexsort((np.where(np.isnan(key), 0.0, key), np.isnan(key), ~present), axis=0)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(len(rows))[:, None], axis=0)
        kept[rows] = present & (rank < sizes)
    rows_kept = np.flatnonzero(kept.any(axis=1))
    if operator != "limitk" and kept.shape[1] == 1:
        values = vector.values[rows_kept, 0]
        rows_kept = rows_kept[np.argsort(-values if operator == "topk" else values, kind="stable")]
    return vector.with_values(vector.values, kept).take(rows_kept)


def _count_values(vector: Vector, key: Callable[[Labels], Labels], label: str) -> Vector:
    if not label:
        raise QueryError("invalid label name in count_values(): it is empty")
    steps = vector.present.shape[1]
    counts: dict[Labels, np.ndarray] = {}
    for row, labels in enumerate(vector.labels):
        kept = tuple(pair for pair in key(labels) if pair[0] != label)
        for step in np.flatnonzero(vector.present[row]):
            name = tuple(sorted((*kept, (label, format_float(vector.values[row, step])))))
            counts.setdefault(name, np.zeros(steps))[step] += 1
    if not counts:
        return empty(steps)
    values = np.array(list(counts.values()))
    return Vector(list(counts), values, values > 0)
