"""Aggregations over vectors that hold native histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.query.evaluate.context import Context
from workbench.query.evaluate.native.ranges import name_of, quoted, sums
from workbench.query.evaluate.values import Vector
from workbench.query.histograms import combine
from workbench.query.histograms.grid import Grid, no_grid, scattered
from workbench.query.promql.nodes import Aggregation

_IGNORE = frozenset(("min", "max", "stddev", "stdvar", "quantile", "topk", "bottomk"))


def note_ignored(context: Context, node: Aggregation, vector: Vector) -> None:
    """Say that an aggregation passes over histograms, where it does and there are any."""
    if node.operator in _IGNORE and vector.native is not None and vector.native.present.any():
        about = node if node.operator in ("topk", "bottomk") else node.expr
        context.notes.info(f"ignored histogram in {node.operator} aggregation", about)


def total(
    context: Context, node: Aggregation, vector: Vector, groups: Sequence[Sequence[int]], floats: np.ndarray
) -> tuple[Grid, np.ndarray]:
    """`sum` and `avg` of the histograms of each group, and the cells where floats stand beside them: neither counts.

    `groups`: the rows of each; `floats` bool[g, k]: where a group has floats.
    """
    shape = (len(groups), vector.present.shape[1])
    assert vector.native is not None
    order = np.array([row for rows in groups for row in rows], np.int64)
    of_row = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    which = vector.native.which[order]
    places, steps = np.nonzero(which >= 0)
    cell = of_row[places] * shape[1] + steps
    by_cell = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell, minlength=shape[0] * shape[1])
    has = (sizes > 0).reshape(shape)
    mixed = has & floats
    if mixed.any():
        context.notes.warn("encountered a mix of histograms and floats for aggregation", node.expr)
    if not has.any():
        return no_grid(shape), mixed
    kept = ~mixed.ravel()[cell[by_cell]]
    items = which[places, steps][by_cell][kept]
    sizes = sizes[(has & ~mixed).ravel()]
    context.count(len(items))
    out, bits = sums(
        vector.native.held, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64), items, mean=node.operator == "avg"
    )
    grid = scattered(out, has & ~mixed)
    wrong = np.zeros(shape, bool)
    wrong[grid.present] = (bits & combine.INCOMPATIBLE) != 0
    for group in np.flatnonzero(wrong.any(axis=1)).tolist():
        message = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name"
        names = dict.fromkeys(name_of(vector.labels[row]) for row in groups[group])
        for metric in names:
            context.notes.warn(f"{message} {quoted(metric)}", node.expr)
    if (bits & combine.RECONCILED != 0).any():
        context.notes.info("mismatched custom buckets were reconciled during aggregation", node.expr)
    if (bits & combine.COLLISION != 0).any():
        context.notes.warn("conflicting counter resets during histogram aggregation", node.expr)
    return grid.where(~wrong), mixed
