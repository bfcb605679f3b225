"""`/query_exemplars`: single measurements that stand for a series, most of them with the trace they were made in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from workbench.query.endpoints.asked import Asked
from workbench.query.index import label_index
from workbench.query.names import label_name
from workbench.query.promql import Node, nodes, parse
from workbench.query.promql.text import format_float
from workbench.query.samples import Budget

if TYPE_CHECKING:
    from workbench.store import View

_CARRIED_US = 600_000_000
"""A sample carries exemplars that were measured before it, since the last export; its time may be so much later."""


def query_exemplars(view: View, asked: Asked, budget: Budget) -> list[dict[str, Any]]:
    """Series that a selector of `query` names, each with its exemplars between `start` and `end`, in order of time.

    Raises QuerySyntaxError, InputError, QueryLimit.
    """
    start_us, end_us = asked.span_us() or (0, asked.now_us)
    index = label_index(view)
    chosen = [index.select(selector.matchers) for selector in selectors(parse(asked.expression()))]
    if not chosen:
        return []
    rows = [index.rows[row] for row in np.unique(np.concatenate(chosen)) if index.rows[row].kind != "info"]
    owner = {number: row for row in rows for number in row.ids}
    found = view.exemplars(np.array(sorted(owner), np.int64), start_us, min(end_us, 2**62) + _CARRIED_US)
    budget.spend(found.num_rows)
    by_labels: dict[tuple[tuple[str, str], ...], dict[Any, dict[str, Any]]] = {}
    times = found["time"].cast(pa.int64()).to_pylist()
    for number, time_us, one in zip(found["series"].to_pylist(), times, _structs(found), strict=True):
        measured_us = time_us if one["time"] is None else one["time"]
        if start_us <= measured_us <= end_us:
            labels = _labels(one)
            shown = {"labels": labels, "value": format_float(one["value"]), "timestamp": measured_us / 1e6}
            # Cumulative senders repeat an exemplar with every export until there is a newer one.
            key = (measured_us, shown["value"], tuple(labels.items()))
            by_labels.setdefault(owner[number].labels, {})[key] = shown
    return [
        {"seriesLabels": dict(labels), "exemplars": [points[key] for key in sorted(points)]}
        for labels, points in sorted(by_labels.items())
    ]


def selectors(node: Node) -> Iterator[nodes.Selector]:
    """All selectors of an expression, in their order."""
    if isinstance(node, nodes.Selector):
        yield node
        return
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(part) and hasattr(part, "type"):
                yield from selectors(part)  # type: ignore[arg-type]


def _structs(found: pa.Table) -> list[dict[str, Any]]:
    """Exemplars as plain data, times in microseconds."""
    column = found["exemplar"].combine_chunks()
    times = column.field("time").cast(pa.int64()).to_pylist() if len(column) else []
    return [{**one, "time": time_us} for one, time_us in zip(column.to_pylist(), times, strict=True)]


def _labels(exemplar: dict[str, Any]) -> dict[str, str]:
    named = {label_name(name): text for name, text in exemplar["attributes"] or ()}
    named |= {"trace_id": exemplar["trace_id"], "span_id": exemplar["span_id"]}
    return {name: text for name, text in sorted(named.items()) if text}
