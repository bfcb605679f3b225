"""Ask for series: PromQL over log and lake, selections as arrays, catalogs of the tables."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.query.evaluate import instant, range_query
    from workbench.query.index import LabelIndex, label_index
    from workbench.query.names import prometheus_labels
    from workbench.query.promql import parse
    from workbench.query.result import Result

_HOMES = {
    "LabelIndex": "index",
    "Result": "result",
    "instant": "evaluate",
    "label_index": "index",
    "parse": "promql",
    "prometheus_labels": "names",
    "range_query": "evaluate",
}

__all__ = ["LabelIndex", "Result", "instant", "label_index", "parse", "prometheus_labels", "range_query"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
