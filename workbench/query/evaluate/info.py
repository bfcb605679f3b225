"""`info(v, {…})`: series with labels added from info metrics (`target_info`) of the same `job` and `instance`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.selectors import timestamps
from workbench.query.evaluate.values import METADATA_LABELS, Vector, show, unique
from workbench.query.names import Labels
from workbench.query.promql import Matcher, Node
from workbench.query.promql.nodes import (
    MATRIX,
    NOW,
    VECTOR,
    Aggregation,
    Binary,
    Call,
    Literal,
    Paren,
    Range,
    Selector,
    Subquery,
    Unary,
    When,
)  # fmt: skip

IDENTIFYING = ("instance", "job")
_DEFAULT = Matcher("__name__", "=", "target_info")
_ANY_INFO = Matcher("__name__", "=~", ".+_info")

Signature = tuple[str, str, str]
"""Name of an info metric, `instance` and `job`."""


def info(context: Context, node: Call) -> Vector:
    """Evaluate a call of `info`. Raises QueryError where two info series of one time contradict each other."""
    base = context.evaluate(context, node.args[0])
    assert isinstance(base, Vector)
    matchers: Sequence[Matcher] = ()
    if len(node.args) > 1:
        selector = node.args[1]
        assert isinstance(selector, Selector)
        matchers = selector.matchers
    data = [matcher for matcher in matchers if matcher.label != "__name__"]
    names = _name_matchers([matcher for matcher in matchers if matcher.label == "__name__"])
    itself = np.array([_meets(names, labels) for labels in base.labels], bool)
    found = _info_series(context, [*names, *data], _reference(context, node.args[0]))
    newest = _newest(found, {_signature("", labels)[1:] for labels in base.labels})
    rows = [row for number, labels in enumerate(base.labels) for row in (
        [(number, labels, base.present[number])] if itself[number]
        else _enriched(number, labels, base.present[number], newest, data)
    )]  # fmt: skip
    taken = base.take(np.array([row for row, _, _ in rows], np.int64))
    present = np.array([here for _, _, here in rows]).reshape(len(rows), base.present.shape[1])
    return unique(taken.with_labels([labels for _, labels, _ in rows]).with_values(taken.values, present))


def _name_matchers(given: list[Matcher]) -> list[Matcher]:
    if not given:
        return [_DEFAULT]
    return given if any(not matcher.negative for matcher in given) else [_ANY_INFO, *given]


def _meets(matchers: Sequence[Matcher], labels: Labels) -> bool:
    name = dict(labels).get("__name__", "")
    return all(matcher.matches((name,))[0] for matcher in matchers)


def _signature(name: str, labels: Labels) -> Signature:
    given = dict(labels)
    return name, given.get("instance", ""), given.get("job", "")


def _info_series(context: Context, matchers: Sequence[Matcher], when: When) -> Vector:
    """Info series with the times of their samples as values."""
    rows = [context.index.rows[number] for number in context.index.select(matchers)]
    if any(row.kind == "histogram" for row in rows):
        raise QueryError("info sample should be float")
    return timestamps(context, Selector(tuple(matchers), when))


def _newest(series: Vector, wanted: set[tuple[str, str]]) -> dict[Signature, tuple[list[Labels], np.ndarray]]:
    """Per signature its info series, and which of them holds at every step: int64[k], -1 where none does."""
    groups: dict[Signature, list[int]] = {}
    for row, labels in enumerate(series.labels):
        signature = _signature(dict(labels).get("__name__", ""), labels)
        if signature[1:] in wanted and any(signature[1:]):
            groups.setdefault(signature, []).append(row)
    found = {}
    for signature, rows in groups.items():
        times = np.where(series.present[rows], series.values[rows], -np.inf)
        best = times.argmax(axis=0)
        there = series.present[rows].any(axis=0)
        tied = there & ((times == times.max(axis=0)).sum(axis=0) > 1)
        labels_of = [series.labels[row] for row in rows]
        if tied.any():
            step = int(np.flatnonzero(tied)[0])
            first, second = np.flatnonzero(times[:, step] == times[:, step].max())[:2].tolist()
            at = int(times[first, step] * 1000)
            raise QueryError(
                f"found duplicate series for info metric: existing {show(labels_of[first])} @ {at}, "
                f"new {show(labels_of[second])} @ {at}"
            )
        found[signature] = (labels_of, np.where(there, best, -1))
    return found


def _enriched(
    number: int,
    labels: Labels,
    present: np.ndarray,
    newest: dict[Signature, tuple[list[Labels], np.ndarray]],
    data: Sequence[Matcher],
) -> Iterator[tuple[int, Labels, np.ndarray]]:
    """A base series once for every set of labels that it gets, with the steps at which it gets those."""
    own = _signature("", labels)[1:]
    sources = [found for signature, found in sorted(newest.items()) if signature[1:] == own]
    optional = all(matcher.matches_empty() for matcher in data)
    if not sources:
        if optional:
            yield number, labels, present
        return
    patterns, which = np.unique(np.array([best for _, best in sources]), axis=1, return_inverse=True)
    for place in range(patterns.shape[1]):
        here = present & (which.ravel() == place)
        chosen = [
            labels_of[best] for (labels_of, _), best in zip(sources, patterns[:, place].tolist(), strict=True)
            if best >= 0
        ]  # fmt: skip
        if here.any() and (chosen or optional):
            yield number, _joined(labels, chosen, {matcher.label for matcher in data}), here


def _joined(labels: Labels, infos: Sequence[Labels], wanted: set[str]) -> Labels:
    """Labels with those of info series; of all where none are named, never in place of one that is there."""
    own, added = dict(labels), dict[str, str]()
    for one in infos:
        for name, value in one:
            if name in METADATA_LABELS or (wanted and name not in wanted):
                continue
            if added.get(name, value) != value:
                raise QueryError(f"conflicting label: {name}")
            if name not in own:
                added[name] = value
    return tuple(sorted({**added, **own}.items()))


def _reference(context: Context, node: Node) -> When:
    """The time at which info series are looked up: that of the selectors, where all agree; else that of the step."""
    found: set[tuple[int | None, int]] = set()
    alone = _gather(context, node, (), found)
    if not alone or len(found) != 1:
        return NOW
    at_us, offset_us = found.pop()
    return When(Literal(offset_us) if offset_us else None, at_us)


def _gather(context: Context, node: Node, subqueries: tuple[Subquery, ...], found: set[tuple[int | None, int]]) -> bool:
    """Collect the times to which the selectors below look. False where a vector is made without any selector."""
    if node.type not in (VECTOR, MATRIX):
        return True
    if isinstance(node, Range):
        return _gather(context, node.selector, subqueries, found)
    if isinstance(node, Selector):
        at_us, offset_us = _at(context, node.when), _offset(context, node.when)
        for outer in reversed(subqueries):
            if at_us is None:
                at_us, offset_us = _at(context, outer.when), offset_us + _offset(context, outer.when)
        found.add((None, offset_us) if at_us is None else (at_us - offset_us, 0))
        return True
    if isinstance(node, Subquery):
        return _gather(context, node.expr, (*subqueries, node), found)
    children = _children(node)
    vectors = [child for child in children if child.type in (VECTOR, MATRIX)]
    results = [_gather(context, child, subqueries, found) for child in vectors]
    return bool(vectors) and all(results)


def _children(node: Node) -> Sequence[Node]:
    match node:
        case Call():
            return node.args[:1] if node.function == "info" else node.args
        case Binary():
            return node.left, node.right
        case Aggregation() | Unary() | Paren():
            return (node.expr,)
    raise not_evaluated(f"a {node.type} here", node)


def _at(context: Context, when: When) -> int | None:
    return context.edges_us[when.at_edge == "end"] if when.at_edge else when.at_us


def _offset(context: Context, when: When) -> int:
    return 0 if when.offset is None else context.duration_us(when.offset)
