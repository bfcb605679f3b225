"""Functions of range vectors out of roll-ups: which steps, which series, and how their answers become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.query.evaluate.context import Context
from workbench.query.evaluate.values import Vector
from workbench.query.index import Row
from workbench.query.names import Labels
from workbench.query.promql.nodes import Node
from workbench.query.rollups import MERGED, Levels, Part, gone_text, poorer, read_pieces
from workbench.schema import ROLLUP_US

Raw = Callable[[Context, Sequence[Row]], Vector]
"""Answers some rows at the steps of a context from their samples."""

# What grows with the length of its window: where the window was moved, it is brought back to the length asked for.
_GROWING = frozenset({"sum_over_time", "count_over_time", "increase", "delta", "resets", "changes"})


def call(
    context: Context, node: Node, function: str, rows: Sequence[Row], ends_us: np.ndarray, width_us: int, raw: Raw
) -> Vector | None:
    """A function at every step, from roll-ups where they say the same or samples have gone; None if they can nowhere.

    `ends_us` and `width_us` are the windows of the steps of `context`.
    """
    if function not in MERGED or not all(row.kind == "float" and len(row.ids) == 1 for row in rows) or not rows:
        return None
    levels = Levels.of(context.view.rolled())
    parts = list(levels.parts(ends_us, width_us, len(rows)))
    if not any(part.level for part in parts):
        return None
    rows = sorted(rows, key=lambda row: row.ids[0])
    found: list[tuple[np.ndarray, Vector]] = []
    for part in parts:
        at = context.at(context.times_us[part.steps])
        coarse, others = _split(context, levels, part, rows)
        if coarse:
            found.append((part.steps, _merged(context, levels, function, coarse, part, width_us)))
        if others:
            found.append((part.steps, raw(at, others)))
        if coarse and part.ends_us.min() - part.width_us < levels.gone_us:
            context.notes.info(gone_text(part.level), node)
    return _joined(found, len(context.times_us))


def _split(context: Context, levels: Levels, part: Part, rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """The rows of a part that its roll-up answers, and those that their samples answer."""
    if not part.level:
        return (), rows
    if not part.moved:
        return rows, ()
    ids = np.array([row.ids[0] for row in rows], np.int64)
    bucket_us = ROLLUP_US[part.level]
    end_us = min(int(part.ends_us.max()), -(-levels.gone_us // bucket_us) * bucket_us)
    lost = poorer(context.view, ids, part.level, int(part.ends_us.min()) - part.width_us, end_us)
    return [row for row, gone in zip(rows, lost, strict=True) if gone], [
        row for row, gone in zip(rows, lost, strict=True) if not gone
    ]


def _merged(context: Context, levels: Levels, function: str, rows: Sequence[Row], part: Part, asked_us: int) -> Vector:
    from workbench.query.rollups.answer import merged

    ids = np.array([row.ids[0] for row in rows], np.int64)
    start_us, end_us = int(part.ends_us.min()) - part.width_us, int(part.ends_us.max())
    until_us = levels.until_us(part)
    pieces = read_pieces(context.view, part.level, ids, start_us, end_us, until_us, MERGED[function])
    context.count(len(pieces.times_us) + len(rows) * len(part.ends_us))
    values, present = merged(function, pieces, part.ends_us, part.width_us)
    if part.width_us != asked_us and function in _GROWING:
        values = values * (asked_us / part.width_us)
    return Vector([row.labels for row in rows], values, present)


def _joined(found: Sequence[tuple[np.ndarray, Vector]], steps: int) -> Vector:
    """One vector out of vectors at some of the steps each."""
    rows: dict[Labels, int] = {}
    for _, vector in found:
        for labels in vector.labels:
            rows.setdefault(labels, len(rows))
    values, present = np.zeros((len(rows), steps)), np.zeros((len(rows), steps), bool)
    for at, vector in found:
        place = np.ix_(np.array([rows[labels] for labels in vector.labels], np.int64), at)
        values[place], present[place] = vector.values, vector.present
    return Vector(list(rows), values, present)
