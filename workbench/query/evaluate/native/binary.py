"""Binary operators where native histograms stand on one side or both, element by element."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.query.evaluate.context import Context
from workbench.query.evaluate.values import Vector
from workbench.query.histograms import combine, resets
from workbench.query.histograms.grid import Grid, divided, joined, no_grid, overlaid, scaled, scattered
from workbench.query.promql.nodes import TRIMS, Binary
from workbench.schema import GAUGE
from workbench.store import Histograms


class Elements(NamedTuple):
    """What an operator gives where there are histograms: other histograms, or for `bool` a number where `there`.

    `matched`: where two sides met that the operator is defined for.
    """

    native: Grid | None
    numbers: np.ndarray
    there: np.ndarray
    matched: np.ndarray


def elements(context: Context, node: Binary, left: Vector, right: Vector) -> Elements:
    """Vectors of equal shape, cell by cell, wherever a histogram stands on either side."""
    shape = left.present.shape
    of_left = left.native or no_grid(shape)
    of_right = right.native or no_grid(shape)
    mine, theirs = of_left.present, of_right.present
    found = [
        with_number(context, node, of_left.where(right.present), right.values, left=True),
        with_number(context, node, of_right.where(left.present), left.values, left=False),
    ]
    compared = mine & theirs & (node.operator in ("==", "!="))
    both, holds = of_both(context, node, of_left, of_right, mine & theirs)
    if node.returns_bool:
        return Elements(None, holds.astype(np.float64), compared, compared)
    grids = [grid for grid in (*found, both) if grid is not None]
    native = overlaid(grids) if grids else None
    matched = compared if native is None else compared | native.present
    return Elements(native, np.zeros(shape), np.zeros(shape, bool), matched)


def with_scalar(context: Context, node: Binary, vector: Vector, numbers: np.ndarray, *, left: bool) -> Grid | None:
    """The histograms of a vector and a scalar, float64[k]; `left`: the vector stands on the left."""
    assert vector.native is not None
    return with_number(context, node, vector.native, np.broadcast_to(numbers, vector.present.shape), left=left)


def with_number(context: Context, node: Binary, grid: Grid, numbers: np.ndarray, *, left: bool) -> Grid | None:
    """Histograms and, at the same places, numbers (float64[n, k]): the resulting histograms, or None.

    `left`: the histograms stand on the left. What is not defined leaves nothing, which is said.
    """
    mask = grid.present
    held, factors = grid.held.take(grid.places), numbers[mask]
    if node.operator == "*":
        out = _marked(scaled(held, factors), factors < 0)
    elif node.operator == "/" and left:
        out = _marked(divided(held, factors), factors < 0)
    elif node.operator in TRIMS and left:
        from workbench.query.histograms.trim import trimmed

        out = trimmed(held, factors, above=node.operator == "</")
    else:
        sides = ("histogram", "float") if left else ("float", "histogram")
        say_incompatible(context, node, *sides, mask)
        return None
    return scattered(out, mask)


def _marked(held: Histograms, gauge: np.ndarray) -> Histograms:
    return held._replace(hints=np.where(gauge, GAUGE, held.hints).astype(np.int8))


def say_incompatible(context: Context, node: Binary, left: str, right: str, mask: np.ndarray) -> None:
    """Say that an operator has no meaning between two kinds of values, where a mask says that they met."""
    if mask.any():
        pair = f"{left} {node.operator} {right}"
        message = f'incompatible sample types encountered for binary operator "{node.operator}": {pair}'
        context.notes.info(message, node)


def of_both(
    context: Context, node: Binary, left: Grid, right: Grid, mask: np.ndarray
) -> tuple[Grid | None, np.ndarray]:
    """Histograms on both sides where the mask is: (the resulting ones, where a comparison holds)."""
    operator = node.operator
    if operator in ("==", "!="):
        same = np.zeros(mask.shape, bool)
        same[mask] = resets.equal(left.held.take(left.which[mask]), right.held.take(right.which[mask]))
        holds = mask & (same if operator == "==" else ~same)
        return left.where(holds), holds
    if operator not in ("+", "-"):
        say_incompatible(context, node, "histogram", "histogram", mask)
        return None, np.zeros(mask.shape, bool)
    both = joined(left, right, left.which.shape, right.which.shape)
    assert both is not None
    n = len(left.which)
    items = np.stack((both.which[:n][mask], both.which[n:][mask]), axis=1).ravel()
    weights = np.tile((1.0, -1.0 if operator == "-" else 1.0), len(items) // 2)
    out, bits = combine.combine(both.held, np.arange(0, len(items) + 1, 2), items, weights)
    if operator == "-":
        out = out._replace(hints=np.full(out.size, GAUGE, np.int8))
    word = "addition" if operator == "+" else "subtraction"
    wrong = bits & combine.INCOMPATIBLE != 0
    if wrong.any():
        context.notes.warn(f"incompatible bucket layout encountered for binary operator {operator}", node)
    if (bits & combine.COLLISION != 0).any():
        context.notes.warn(f"conflicting counter resets during histogram {word}", node)
    if (bits & combine.RECONCILED != 0).any():
        context.notes.info(f"mismatched custom buckets were reconciled during {word}", node)
    grid = scattered(out, mask)
    dropped = np.zeros(mask.shape, bool)
    dropped[mask] = wrong | (bits & combine.COLLISION != 0)
    return grid.where(~dropped), mask & ~dropped
