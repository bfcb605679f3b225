"""`/parse_query`: an expression's syntax tree in the JSON that Prometheus' own pages draw.

Shape: Prometheus 3, `web/api/v1` (the tree view of its query page). Durations are milliseconds, and so are times;
durations with arithmetic are not drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.query.promql import FUNCTIONS, Matcher, Node, nodes
from workbench.query.promql.nodes import Duration, Literal, When
from workbench.query.promql.text import format_plain, label_name

_CARDINALITIES = {"left": "many-to-one", "right": "one-to-many", "": "one-to-one"}


def syntax_tree(node: Node | None) -> dict[str, Any] | None:
    """A node and all below it as plain data; None for none."""
    match node:
        case None:
            return None
        case nodes.Aggregation():
            return {
                "type": "aggregation",
                "op": node.operator,
                "expr": syntax_tree(node.expr),
                "param": syntax_tree(node.parameter),
                "grouping": list(node.labels),
                "without": node.without,
            }
        case nodes.Binary():
            return _binary(node)
        case nodes.Call():
            return _call(node)
        case nodes.Range():
            found = _selector(node.selector, "matrixSelector")
            return {**found, "range": _milliseconds(node.duration), "rangeExpr": None}
        case nodes.Selector():
            return _selector(node, "vectorSelector")
        case nodes.Subquery():
            return {
                "type": "subquery",
                "expr": syntax_tree(node.expr),
                "range": _milliseconds(node.duration),
                "rangeExpr": None,
                "step": _milliseconds(node.step),
                "stepExpr": None,
                **_when(node.when),
            }
        case nodes.Number():
            return {"type": "numberLiteral", "val": format_plain(node.value)}
        case nodes.Text():
            return {"type": "stringLiteral", "val": node.value}
        case nodes.Unary():
            return {"type": "unaryExpr", "op": node.operator, "expr": syntax_tree(node.expr)}
    return {"type": "parenExpr", "expr": syntax_tree(node.expr)}


def _binary(node: nodes.Binary) -> dict[str, Any]:
    found = node.matching
    matching = None
    if found is not None:
        many = node.operator in nodes.SET_OPERATORS
        matching = {
            "card": "many-to-many" if many else _CARDINALITIES[found.group],
            "labels": list(found.labels),
            "on": found.on,
            "include": list(found.include),
            "fillValues": {"lhs": found.fill_left, "rhs": found.fill_right},
        }
    return {
        "type": "binaryExpr",
        "op": node.operator,
        "lhs": syntax_tree(node.left),
        "rhs": syntax_tree(node.right),
        "matching": matching,
        "bool": node.returns_bool,
    }


def _call(node: nodes.Call) -> dict[str, Any]:
    function = FUNCTIONS[node.function]
    return {
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": list(function.args),
            "variadic": function.variadic,
            "returnType": function.returns,
        },
        "args": [syntax_tree(arg) for arg in node.args],
    }


def _selector(node: nodes.Selector, kind: str) -> dict[str, Any]:
    name = label_name(node.name, colons=True)
    named = [one for one in node.matchers if one.label == "__name__" and one.operator == "=" and one.value == name]
    # Of a name before the braces Prometheus makes the last matcher.
    rest = [one for one in node.matchers if one not in named]
    return {
        "type": kind,
        "name": name,
        "matchers": _matchers([*rest, *named]),
        "anchored": node.extension == "anchored",
        "smoothed": node.extension == "smoothed",
        **_when(node.when),
    }


def _matchers(matchers: Sequence[Matcher]) -> list[dict[str, str]]:
    return [{"name": one.label, "value": one.value, "type": one.operator} for one in matchers]


def _when(when: When) -> dict[str, Any]:
    return {
        "offset": _milliseconds(when.offset),
        "offsetExpr": None,
        "timestamp": None if when.at_us is None else when.at_us // 1000,
        "startOrEnd": when.at_edge or None,
    }


def _milliseconds(duration: Duration | None) -> int:
    """0 for none, and for one that is known at evaluation only."""
    return duration.us // 1000 if isinstance(duration, Literal) else 0
