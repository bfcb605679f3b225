"""Ask for series in PromQL and for tables in SQL, over log and lake; selections as arrays, catalogs of the tables."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.query.api import error_response, federate_response, prometheus_response, read_response
    from workbench.query.endpoints.cardinality import Cardinality, cardinality
    from workbench.query.endpoints.growth import Growth, growth, worst_labels
    from workbench.query.evaluate import instant, range_query
    from workbench.query.index import LabelIndex, label_index
    from workbench.query.labelled import labelled_samples, labelled_series, parse_selector
    from workbench.query.limited_view import limited, limits_of
    from workbench.query.matchers import Condition, Matchers, canonical, contains, matchers_text, parse_matchers
    from workbench.query.names import prometheus_labels
    from workbench.query.notebook.extension import load_extension
    from workbench.query.open import Workbench, open_workbench
    from workbench.query.policies import policy_of, read_policies
    from workbench.query.promql import Matcher, parse
    from workbench.query.relational.answers import encode_table, sql_response
    from workbench.query.relational.faults import pointed_at
    from workbench.query.relational.ibis_tables import Tables
    from workbench.query.relational.statement import sql
    from workbench.query.result import Result
    from workbench.query.selection import Selection, select
    from workbench.query.times import duration_us, moment_us

_HOMES = {
    "Growth": "endpoints.growth",
    "Cardinality": "endpoints.cardinality",
    "Condition": "matchers",
    "LabelIndex": "index",
    "Matcher": "promql",
    "Matchers": "matchers",
    "Result": "result",
    "Selection": "selection",
    "Tables": "relational.ibis_tables",
    "Workbench": "open",
    "canonical": "matchers",
    "cardinality": "endpoints.cardinality",
    "contains": "matchers",
    "duration_us": "times",
    "encode_table": "relational.answers",
    "error_response": "api",
    "federate_response": "api",
    "growth": "endpoints.growth",
    "instant": "evaluate",
    "label_index": "index",
    "labelled_samples": "labelled",
    "labelled_series": "labelled",
    "load_extension": "notebook.extension",
    "limited": "limited_view",
    "limits_of": "limited_view",
    "matchers_text": "matchers",
    "moment_us": "times",
    "open_workbench": "open",
    "parse": "promql",
    "parse_matchers": "matchers",
    "parse_selector": "labelled",
    "pointed_at": "relational.faults",
    "policy_of": "policies",
    "prometheus_labels": "names",
    "prometheus_response": "api",
    "range_query": "evaluate",
    "read_policies": "policies",
    "read_response": "api",
    "select": "selection",
    "sql": "relational.statement",
    "sql_response": "relational.answers",
    "worst_labels": "endpoints.growth",
}

__all__ = [
    "Cardinality",
    "Condition",
    "Growth",
    "LabelIndex",
    "Matcher",
    "Matchers",
    "Result",
    "Selection",
    "Tables",
    "Workbench",
    "canonical",
    "cardinality",
    "contains",
    "duration_us",
    "encode_table",
    "error_response",
    "federate_response",
    "growth",
    "instant",
    "label_index",
    "labelled_samples",
    "labelled_series",
    "limited",
    "limits_of",
    "load_extension",
    "matchers_text",
    "moment_us",
    "open_workbench",
    "parse",
    "parse_matchers",
    "parse_selector",
    "pointed_at",
    "policy_of",
    "prometheus_labels",
    "prometheus_response",
    "range_query",
    "read_policies",
    "read_response",
    "select",
    "sql",
    "sql_response",
    "worst_labels",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
