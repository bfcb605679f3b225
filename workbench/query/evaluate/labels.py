"""Functions that look at labels: `label_replace`, `label_join`, the sorts, and what `absent` can tell of a selector."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.context import Context
from workbench.query.evaluate.values import METADATA_LABELS, Vector, unique
from workbench.query.names import Labels
from workbench.query.promql.nodes import Call, Node, Paren, Range, Selector
from workbench.query.promql.text import format_general


def absent(node: Node, present: np.ndarray) -> Vector:
    """1 at the steps at which nothing is there, under the labels that the selector's equalities give."""
    while isinstance(node, Paren):
        node = node.expr
    selector = node.selector if isinstance(node, Range) else node
    labels: dict[str, str] = {}
    if isinstance(selector, Selector):
        names = [matcher.label for matcher in selector.matchers]
        labels = {
            matcher.label: matcher.value
            for matcher in selector.matchers
            if matcher.operator == "=" and matcher.label not in METADATA_LABELS and names.count(matcher.label) == 1
        }
    missing = ~np.any(present, axis=0, keepdims=True)
    return Vector([tuple(sorted(labels.items()))], np.ones(missing.shape), missing)


def ordered(context: Context, node: Call, vector: Vector, names: Sequence[str]) -> Vector:
    """`sort` and `sort_by_label` with their descending kin. A range query is ordered by labels whatever is asked."""
    if context.edges_us[0] != context.edges_us[1]:
        context.notes.warn("sort is ineffective for range queries since results are always ordered by labels", node)
    if vector.present.shape[1] != 1:
        return vector
    descending = node.function.endswith("_desc")
    if node.function in ("sort", "sort_desc"):
        vector = vector.with_values(vector.values).take(np.flatnonzero(vector.present[:, 0]))
        column = vector.values[:, 0]
        return vector.take(np.lexsort((-column if descending else column, np.isnan(column))))
    given = [dict(labels) for labels in vector.labels]

    def compare(left: int, right: int) -> int:
        for name in names:
            a, b = given[left].get(name, ""), given[right].get(name, "")
            if a != b:
                return -1 if _naturally_before(a, b) else 1
        return (vector.labels[left] > vector.labels[right]) - (vector.labels[left] < vector.labels[right])

    rows = sorted(range(len(given)), key=functools.cmp_to_key(compare), reverse=descending)
    return vector.take(np.array(rows, np.int64))


def _naturally_before(a: str, b: str) -> bool:
    """Natural order: runs of digits are compared as numbers, all else as text, piece by piece."""
    left, right = re.findall(r"[0-9]+|[^0-9]+", a), re.findall(r"[0-9]+|[^0-9]+", b)
    for one, other in zip(left, right, strict=False):
        if one.isdigit() and other.isdigit():
            if int(one) != int(other):
                return int(one) < int(other)
        elif one != other:
            return one < other
    return len(left) <= len(right)


def label_replace(vector: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    """Set a label from the groups of a pattern over another, where that matches. Raises QueryError."""
    if not target:
        raise QueryError("invalid destination label name in label_replace(): it is empty")
    values = [dict(labels).get(source, "") for labels in vector.labels]
    distinct = sorted(set(values))
    replaced = dict(zip(distinct, _expand(distinct, pattern, replacement), strict=True))
    labels = [
        found if replaced[value] is None else _with_label(found, target, replaced[value] or "")
        for found, value in zip(vector.labels, values, strict=True)
    ]
    changed = np.array([replaced[value] is not None for value in values], bool)
    return unique(_relabelled(vector, labels, target, changed))


def _relabelled(vector: Vector, labels: Sequence[Labels], target: str, changed: np.ndarray) -> Vector:
    """Under other labels; a name that was set anew stays."""
    unnamed = vector.unnamed
    if target == "__name__" and unnamed is not None:
        unnamed = unnamed & ~changed
    return replace(vector, labels=labels, unnamed=unnamed)


def _expand(values: list[str], pattern: str, replacement: str) -> list[str | None]:
    """What the replacement (`$1`, `${name}`) becomes for each value; None where the pattern does not match."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Arrow's RE2 writes groups as \1; names are turned to numbers by their order of opening.
    names = {name: number for number, name in _group_names(pattern)}

    def reference(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        if match.group() == "\\":
            return "\\\\"
        group = match.group(1) or match.group(2)
        number = group if group.isdigit() else str(names.get(group, ""))
        return f"\\{number}" if number and int(number) <= min(9, _groups(pattern)) else ""

    rewritten = re.sub(r"\$\$|\\|\$\{(\w+)\}|\$(\w+)", reference, replacement)
    anchored = f"^(?s:{pattern})$"
    array = pa.array(values, pa.string())
    try:
        hits = pc.match_substring_regex(array, anchored).to_pylist()
        texts = pc.replace_substring_regex(array, anchored, rewritten, max_replacements=1).to_pylist()
    except pa.ArrowInvalid as error:
        raise QueryError(f"invalid regular expression in label_replace(): {pattern!r}", hint=str(error)) from None
    return [text if hit else None for hit, text in zip(hits, texts, strict=True)]


def _group_names(pattern: str) -> list[tuple[int, str]]:
    opened = re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?)|\(\?P?<(\w+)>", pattern)
    groups = [match for match in opened if match.group().startswith("(")]
    return [(number, match.group(1) or "") for number, match in enumerate(groups, 1)]


def _groups(pattern: str) -> int:
    return len(_group_names(pattern))


def label_join(vector: Vector, target: str, separator: str, *sources: str) -> Vector:
    """Set a label to others joined. Raises QueryError."""
    for kind, name in [("source", one) for one in sources] + [("destination", target)]:
        if not name:
            raise QueryError(f"invalid {kind} label name in label_join(): it is empty")
    labels = []
    for found in vector.labels:
        given = dict(found)
        labels.append(_with_label(found, target, separator.join(given.get(source, "") for source in sources)))
    return unique(_relabelled(vector, labels, target, np.ones(len(labels), bool)))


def spread(parts: Sequence[tuple[np.ndarray, Vector]], label: str) -> Vector:
    """Vectors under one another, told apart by a label that names the number (float64[k]) each was made for."""
    labels: list[Labels] = []
    values, present = [], []
    for numbers, vector in parts:
        for number in np.unique(numbers):
            steps = (numbers == number) | (np.isnan(numbers) & np.isnan(number))
            labels += [_with_label(one, label, _decimal(float(number))) for one in vector.labels]
            values.append(vector.values)
            present.append(vector.present & steps)
    return unique(Vector(labels, np.concatenate(values), np.concatenate(present)).without_name())


def _decimal(number: float) -> str:
    """A float as OpenMetrics writes it: never without a point or an exponent."""
    text = format_general(number)
    return text if set(text) & set(".eNI") else f"{text}.0"


def _with_label(labels: Labels, name: str, value: str) -> Labels:
    kept = [pair for pair in labels if pair[0] != name]
    return tuple(sorted([*kept, (name, value)] if value else kept))
