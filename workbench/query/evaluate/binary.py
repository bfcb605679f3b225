"""Binary operators: arithmetic, comparison and sets, between scalars and vectors, at every step at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.context import Context
from workbench.query.evaluate.values import Scalar, Vector, drop_name, dropping, empty, keeping, show, stacked, unique
from workbench.query.histograms.grid import Grid
from workbench.query.names import Labels
from workbench.query.promql.nodes import COMPARISONS, TRIMS, Binary, Matching

_OPERATORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power, "atan2": np.arctan2,
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


def binary(context: Context, node: Binary, left: Scalar | Vector, right: Scalar | Vector) -> Scalar | Vector:
    """Apply a binary operator. Raises QueryError where vectors do not match one to one, or as the modifiers say."""
    if isinstance(left, Vector) and isinstance(right, Vector):
        matching = node.matching or Matching()
        if node.operator in ("and", "or", "unless"):
            return _set(node.operator, left, right, matching)
        return _matched(context, node, left, right, matching)
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return Scalar(_apply(node.operator, left.values, right.values).astype(np.float64))
    return _with_scalar(context, node, left, right)


def _apply(operator: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return _OPERATORS[operator](left, right)


def _with_scalar(context: Context, node: Binary, left: Scalar | Vector, right: Scalar | Vector) -> Vector:
    vector = left if isinstance(left, Vector) else right
    assert isinstance(vector, Vector)
    native: Grid | None = None
    if vector.native is not None:
        from workbench.query.evaluate.native.binary import with_scalar

        numbers = right.values if vector is left else left.values
        native = with_scalar(context, node, vector, numbers, left=vector is left)
    if node.operator in TRIMS:
        _say_floats(context, node, vector.present)
        return vector.only(np.zeros_like(vector.present)).with_native(native)
    out = _apply(node.operator, left.values, right.values)
    if node.operator not in COMPARISONS:
        return vector.with_values(out).with_native(native).without_name()
    if node.returns_bool:
        return vector.with_values(out.astype(np.float64)).without_name()
    return vector.with_values(vector.values, vector.present & out)


def _say_floats(context: Context, node: Binary, met: np.ndarray) -> None:
    if met.any():
        from workbench.query.evaluate.native.binary import say_incompatible

        say_incompatible(context, node, "float", "float", met)


def _signature(matching: Matching) -> Callable[[Labels], Labels]:
    return keeping(matching.labels) if matching.on else dropping(matching.labels)


def _set(operator: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    key = _signature(matching)
    rows: dict[Labels, int] = {}
    of_left = np.array([rows.setdefault(key(labels), len(rows)) for labels in left.labels], np.int64)
    of_right = np.array([rows.setdefault(key(labels), len(rows)) for labels in right.labels], np.int64)
    shape = (len(rows), left.present.shape[1])
    there = np.zeros(shape, bool)
    mask, groups = (right.there, of_right) if operator != "or" else (left.there, of_left)
    np.logical_or.at(there, groups, mask)
    if operator == "and":
        return left.only(there[of_left])
    if operator == "unless":
        return left.only(~there[of_left])
    return unique(stacked(left, right.only(~there[of_right])))


def _matched(context: Context, node: Binary, left: Vector, right: Vector, matching: Matching) -> Vector:
    many, one = (right, left) if matching.group == "right" else (left, right)
    fill_many, fill_one = matching.fill_left, matching.fill_right
    if matching.group == "right":
        fill_many, fill_one = fill_one, fill_many
    filled = fill_many is not None or fill_one is not None
    if not filled and (not len(many.labels) or not len(one.labels)):
        return empty(many.present.shape[1])
    # A step at which one side has nothing has no match, hence no duplicates either; unless it can be filled.
    both = np.any(many.there, axis=0), np.any(one.there, axis=0)
    active = both[0] | both[1] if filled else both[0] & both[1]
    key = _signature(matching)
    # Where several series share a signature at different steps, each pair is there at its own steps.
    partners = _once(one, key, "left" if matching.group == "right" else "right", active)
    if filled:
        many, one = _filled(many, one, key, fill_many), _filled(one, many, key, fill_one)
        partners = {}
        for row, labels in enumerate(one.labels):
            partners.setdefault(key(labels), []).append(row)
    keys = [key(labels) for labels in many.labels]
    context.count(sum(len(partners.get(found, ())) for found in keys) * len(active))
    pairs = [(row, partner) for row, found in enumerate(keys) for partner in partners.get(found, ())]
    if not pairs:
        return empty(many.present.shape[1])
    rows, others = np.array(pairs).T
    many, one = many.take(rows), one.take(others)
    return _combined(context, node, matching, many, one, [keys[row] for row in rows.tolist()])


def _filled(vector: Vector, other: Vector, key: Callable[[Labels], Labels], value: float | None) -> Vector:
    """With a series of that value for every signature of the other side, where this side has none and that has one."""
    if value is None:
        return vector
    groups: dict[Labels, int] = {}
    for labels in other.labels:
        groups.setdefault(key(labels), len(groups))
    here, there = (np.zeros((len(groups), vector.present.shape[1]), bool) for _ in range(2))
    for side, present in ((other, there), (vector, here)):
        shown = side.there
        for row, labels in enumerate(side.labels):
            place = groups.get(key(labels))
            if place is not None:
                present[place] |= shown[row]
    missing = there & ~here
    return stacked(vector, Vector(list(groups), np.full(missing.shape, value), missing))


def _combined(
    context: Context, node: Binary, matching: Matching, many: Vector, one: Vector, signatures: Sequence[Labels]
) -> Vector:
    """The operator applied to series that stand side by side. Raises QueryError where matches are not unique."""
    present = many.present & one.present
    sides = (one, many) if matching.group == "right" else (many, one)
    if node.operator in TRIMS:
        _say_floats(context, node, present)
        present, out = np.zeros_like(present), np.zeros(present.shape)
    else:
        out = _apply(node.operator, sides[0].values, sides[1].values)
    matched = present
    if node.operator in COMPARISONS and not node.returns_bool:
        values, present = sides[0].values, present & out
    else:
        values = out.astype(np.float64)
    native: Grid | None = None
    if many.native is not None or one.native is not None:
        from workbench.query.evaluate.native.binary import elements

        found = elements(context, node, *sides)
        native, matched = found.native, matched | found.matched
        values, present = np.where(found.there, found.numbers, values), present | found.there
    results = [_result_labels(node, matching, m, o) for m, o in zip(many.labels, one.labels, strict=True)]
    if matching.group:
        pairs = list(zip(signatures, results, strict=True))
        _no_duplicates(pairs, matched, "multiple matches for labels: grouping labels must ensure unique matches")
    else:
        _no_duplicates(
            signatures,
            matched,
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        )
    unnamed = np.ones(len(results), bool) if node.returns_bool else many.unnamed
    return unique(Vector(results, values, present, unnamed, native))


def _once(vector: Vector, key: Callable[[Labels], Labels], side: str, active: np.ndarray) -> dict[Labels, list[int]]:
    """Rows by signature, of the side on which a signature may stand once per step. Raises QueryError."""
    found: dict[Labels, list[int]] = {}
    there = vector.there
    for row, labels in enumerate(vector.labels):
        rows = found.setdefault(key(labels), [])
        for other in rows:
            if (there[other] & there[row] & active).any():
                pair = sorted((show(labels), show(vector.labels[other])))
                raise QueryError(
                    f"found duplicate series for the match group {show(key(labels))} on the {side} hand-side "
                    f"of the operation: [{pair[0]}, {pair[1]}];"
                    "many-to-many matching not allowed: matching labels must be unique on one side"
                )
        rows.append(row)
    return found


def _no_duplicates(keys: Sequence[object], present: np.ndarray, message: str) -> None:
    seen: dict[object, np.ndarray] = {}
    for key, here in zip(keys, present, strict=True):
        if key not in seen:
            seen[key] = here
        elif (seen[key] & here).any():
            raise QueryError(message)
        else:
            seen[key] = seen[key] | here


def _result_labels(node: Binary, matching: Matching, many: Labels, one: Labels) -> Labels:
    labels = dict(many if node.operator in (*COMPARISONS, *TRIMS) else drop_name(many))
    if not matching.group:
        if matching.on:
            labels = {name: value for name, value in labels.items() if name in matching.labels}
        else:
            labels = {name: value for name, value in labels.items() if name not in matching.labels}
    if matching.include:
        given = dict(one)
        for name in matching.include:
            labels.pop(name, None)
            if given.get(name):
                labels[name] = given[name]
    return tuple(sorted(labels.items()))
