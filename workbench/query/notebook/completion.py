"""What can stand at the cursor: metrics with type and unit, labels, their values, functions; tables and columns.

Pure functions of text and names, so that they are tested without a notebook.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.query.evaluate.functions import VECTOR_FUNCTIONS
from workbench.query.evaluate.overtime import RANGE_FUNCTIONS
from workbench.query.index import LabelIndex
from workbench.query.promql import Matcher
from workbench.query.relational.tables import MEASUREMENTS, METRICS
from workbench.schema import KINDS

AGGREGATIONS = ("avg", "bottomk", "count", "max", "min", "quantile", "stddev", "sum", "topk")
KEYWORDS = ("SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "INTERVAL", "JOIN", "DESCRIBE", "SHOW TABLES")

_WORD = re.compile(r"[\w:]*$")
_VALUE = re.compile(r"""([\w.]+)\s*(?:=~|!~|!=|=)\s*["']([^"'\n]*)$""")
_BRACES = re.compile(r"([\w:]*)\s*\{([^{}]*)$")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*$")


class Name(NamedTuple):
    """Something that can stand there; `kind` says what it is, for a metric its type and unit."""

    text: str
    kind: str


def promql_names(index: LabelIndex, before: str) -> tuple[str, list[Name]]:
    """The begun word before the cursor in a PromQL expression, and what it may become."""
    braces = _BRACES.search(before)
    value = _VALUE.search(before)
    if value and braces:
        begun = value[2]
        rows = _rows_of(index, braces[1])
        return begun, _names(index.values(value[1], rows), begun, "value")
    begun = _word(before)
    if braces or _GROUPING.search(before):
        rows = _rows_of(index, braces[1] if braces else "")
        return begun, _names(_labels(index, rows), begun, "label")
    metrics = [Name(name, kind_of(index, name)) for name in index.names() if name.startswith(begun)]
    called = [
        *_names(AGGREGATIONS, begun, "aggregation"),
        *_names(sorted({*VECTOR_FUNCTIONS, *RANGE_FUNCTIONS}), begun, "function"),
    ]
    return begun, [*metrics, *called]


def sql_names(index: LabelIndex, statement: str, before: str) -> tuple[str, list[Name]]:
    """The begun word before the cursor in a statement, and what it may become."""
    value = _VALUE.search(before)
    if value and value[1].rpartition(".")[2] in ("metric", "job", "instance"):
        label = {"metric": "__name__"}.get(value[1].rpartition(".")[2], value[1].rpartition(".")[2])
        if label == "__name__":
            return value[2], [Name(n, kind_of(index, n)) for n in index.names() if n.startswith(value[2])]
        return value[2], _names(index.values(label), value[2], "value")
    begun = _word(before)
    key = re.search(r"labels\s*\[\s*'([^']*)$", before)
    if key:
        return key[1], _names(index.labels(), key[1], "label")
    known = {**{name: kind.schema for name, kind in KINDS.items()}, "measurements": MEASUREMENTS, "metrics": METRICS}
    columns = [
        Name(field.name, f"{field.type} in {table}")
        for table, schema in known.items()
        if re.search(rf"\b{table}\b", statement)
        for field in schema
        if field.name.startswith(begun)
    ]
    words = [Name(word, "keyword") for word in KEYWORDS if word.lower().startswith(begun.lower())]
    return begun, [*columns, *_names(sorted(known), begun, "table"), *words]


def kind_of(index: LabelIndex, metric: str) -> str:
    """Type and unit of a metric, as `counter, s`."""
    type_, unit, _ = index.metadata(metric)
    return f"{type_}, {unit}" if unit else type_


def meaning(index: LabelIndex, metric: str) -> str:
    """A line on a metric: type, unit, number of series, help; "" where there is none of that name."""
    if metric not in index.names():
        return ""
    rows = index.select([Matcher("__name__", "=", metric)])
    help_text = index.metadata(metric)[2]
    return f"{metric}: {kind_of(index, metric)}; {len(rows):,} series" + (f". {help_text}" if help_text else "")


def _word(before: str) -> str:
    found = _WORD.search(before)
    return found[0] if found else ""


def _names(texts: Sequence[str], begun: str, kind: str) -> list[Name]:
    return [Name(text, kind) for text in texts if text.startswith(begun)]


def _rows_of(index: LabelIndex, metric: str) -> np.ndarray | None:
    return index.select([Matcher("__name__", "=", metric)]) if metric else None


def _labels(index: LabelIndex, rows: np.ndarray | None) -> list[str]:
    if rows is None:
        return [name for name in index.labels() if name != "__name__"]
    return sorted({name for row in rows for name, _ in index.rows[row].labels} - {"__name__"})
