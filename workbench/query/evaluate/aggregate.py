"""Aggregations over series: `sum by (x)`, `topk`, `quantile` and their kin, for all steps at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.context import Context
from workbench.query.evaluate.overtime import note_quantiles
from workbench.query.evaluate.sampling import place
from workbench.query.evaluate.values import Vector, dropping, empty, keeping
from workbench.query.histograms.grid import Grid
from workbench.query.names import Labels
from workbench.query.promql.nodes import Aggregation
from workbench.query.promql.text import format_general, format_plain

_WITH_ROWS = ("topk", "bottomk", "limitk", "limit_ratio")


def aggregate(context: Context, node: Aggregation, vector: Vector, parameter: np.ndarray | str | None) -> Vector:
    """Aggregate a vector; `parameter` is float64[k], or the label's name for count_values."""
    key = dropping(node.labels) if node.without else keeping(node.labels)
    if node.operator == "count_values":
        return _count_values(vector, key, str(parameter))
    if node.operator in _WITH_ROWS:
        sizes = _sizes(context, node, np.asarray(parameter, np.float64))
    elif node.operator == "quantile":
        assert node.parameter is not None
        note_quantiles(context, np.asarray(parameter), node.parameter)
    if not len(vector.labels):
        return empty(vector.present.shape[1])
    if vector.native is not None:
        from workbench.query.evaluate.native import aggregates

        aggregates.note_ignored(context, node, vector)
    groups: dict[Labels, list[int]] = {}
    for row, labels in enumerate(vector.labels):
        groups.setdefault(key(labels), []).append(row)
    if node.operator in _WITH_ROWS:
        return _ranked(context, node.operator, vector, list(groups.values()), sizes)
    order = np.array([row for rows in groups.values() for row in rows])
    starts = np.cumsum([0, *(len(rows) for rows in groups.values())])[:-1]
    values, present = vector.values[order], vector.present[order]
    if node.operator in ("count", "group"):
        present = vector.there[order]
    there = np.logical_or.reduceat(present, starts, axis=0)
    if node.operator == "quantile":
        out = _quantiles(context, values, present, [*starts, len(order)], np.asarray(parameter))
    else:
        out = _reduce(node.operator, values, present, starts)
    unnamed = None
    if vector.unnamed is not None:
        unnamed = np.logical_or.reduceat((vector.unnamed & vector.there.any(axis=1))[order], starts)
    native: Grid | None = None
    if vector.native is not None and node.operator in ("sum", "avg"):
        native, mixed = aggregates.total(context, node, vector, list(groups.values()), there)
        there = there & ~mixed
    return Vector(list(groups), np.where(there, out, 0.0), there, unnamed, native)


def _reduce(operator: str, values: np.ndarray, present: np.ndarray, starts: np.ndarray) -> np.ndarray:
    counts = np.add.reduceat(present, starts, axis=0, dtype=np.float64)
    if operator == "count":
        return counts
    if operator == "group":
        return np.ones_like(counts)
    if operator in ("min", "max"):
        # NaN stands for absent here: fmin and fmax pass over it, as Prometheus passes over NaN.
        held = np.where(present, values, np.nan)
        with np.errstate(invalid="ignore"):
            return (np.fmin if operator == "min" else np.fmax).reduceat(held, starts, axis=0)
    from workbench.query.evaluate import sums

    if operator in ("sum", "avg"):
        return sums.grouped(("sum", "avg").index(operator), values, present, starts)
    variance = sums.grouped(2, values, present, starts)
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
        out = np.where(rank == low, below, below * (1 - (rank - low)) + above * (rank - low))
    out = np.where(quantiles < 0, -np.inf, np.where(quantiles > 1, np.inf, out))
    return np.where(np.isnan(quantiles), np.nan, out)


def _sizes(context: Context, node: Aggregation, parameter: np.ndarray) -> np.ndarray:
    """How many series (or which share) every step keeps. Raises QueryError for what is no number."""
    assert node.parameter is not None
    if node.operator == "limit_ratio":
        if np.isnan(parameter).any():
            raise QueryError("Ratio value is NaN")
        for ratio, bound in ((float(parameter.max()), 1), (float(parameter.min()), -1)):
            if ratio * bound > 1:
                message = f"ratio value should be between -1 and 1, got {format_general(ratio)}, capping to {bound}"
                context.notes.warn(message, node.parameter)
        return np.clip(parameter, -1, 1)
    if np.isnan(parameter).any():
        raise QueryError("Parameter value is NaN", hint="topk, bottomk and limitk need a number of series.")
    if parameter.max() >= 1 and parameter.max() >= 2**63:
        raise QueryError(f"Scalar value {format_general(float(parameter.max()))} overflows int64")
    return np.clip(parameter, 0, 2**31).astype(np.int64)


def _ranked(context: Context, operator: str, vector: Vector, groups: list[list[int]], sizes: np.ndarray) -> Vector:
    if operator == "limit_ratio":
        places = np.array([[place(labels)] for labels in vector.labels])
        taken = np.where(sizes >= 0, places < sizes, places >= 1 + sizes)
        return vector.only(vector.there & taken)
    kept = np.zeros_like(vector.present)
    for rows in groups:
        context.check_time()
        if operator == "limitk":
            there = vector.there[rows]
            kept[rows] = there & (np.cumsum(there, axis=0) <= sizes)
            continue
        present = vector.present[rows]
        values = vector.values[rows]
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
    return vector.only(kept).take(rows_kept)


def _count_values(vector: Vector, key: Callable[[Labels], Labels], label: str) -> Vector:
    if not label:
        raise QueryError("invalid label name in count_values(): it is empty")
    steps = vector.present.shape[1]
    counts: dict[Labels, np.ndarray] = {}
    texts = {} if vector.native is None else vector.native.texts()
    for row, labels in enumerate(vector.labels):
        kept = tuple(pair for pair in key(labels) if pair[0] != label)
        for step in np.flatnonzero(vector.present[row]):
            name = tuple(sorted((*kept, (label, format_plain(vector.values[row, step])))))
            counts.setdefault(name, np.zeros(steps))[step] += 1
        if vector.native is not None:
            for step in np.flatnonzero(vector.native.which[row] >= 0):
                name = tuple(sorted((*kept, (label, texts[int(vector.native.which[row, step])]))))
                counts.setdefault(name, np.zeros(steps))[step] += 1
    if not counts:
        return empty(steps)
    values = np.array(list(counts.values()))
    return Vector(list(counts), values, values > 0)
