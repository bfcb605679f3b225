"""What the grammar alone does not say: types of operands, numbers of arguments. All raise QuerySyntaxError."""

from __future__ import annotations

import difflib

from workbench.errors import QuerySyntaxError
from workbench.query.promql import nodes
from workbench.query.promql.functions import FUNCTIONS
from workbench.query.promql.lexer import AGGREGATORS, Token
from workbench.query.promql.nodes import DOCUMENTED_TYPES, MATRIX, SCALAR, STRING, VECTOR, Matching, Node

PARAMETER_TYPES = {
    "topk": SCALAR, "bottomk": SCALAR, "quantile": SCALAR, "limitk": SCALAR, "limit_ratio": SCALAR,
    "count_values": STRING,
}  # fmt: skip
"""Aggregators that take a parameter, and its type."""


def call(name: Token, args: list[Node]) -> str:
    """The type that a call returns."""
    function = FUNCTIONS.get(name.text)
    if function is None:
        near = difflib.get_close_matches(name.text, [*FUNCTIONS, *AGGREGATORS], n=1)
        raise QuerySyntaxError(
            f"unknown function with name {name.text[:60]!r}",
            position=name.start,
            hint=f"Did you mean {near[0]!r}?" if near else "",
        )
    count = len(function.args)
    least = count - (1 if function.variadic else 0)
    most = count if function.variadic == 0 else least + function.variadic
    if len(args) < least or (function.variadic >= 0 and len(args) > most):
        wanted = str(count) if function.variadic == 0 else f"at {'least' if len(args) < least else 'most'} "
        wanted += "" if function.variadic == 0 else str(least if len(args) < least else most)
        raise QuerySyntaxError(
            f"expected {wanted} argument(s) in call to {name.text!r}, got {len(args)}", position=name.start
        )
    for number, arg in enumerate(args):
        expect(arg, function.args[min(number, count - 1)], f"call to function {name.text!r}")
    if name.text == "info" and len(args) > 1 and not _only_matchers(args[1]):
        raise QuerySyntaxError("expected label selectors only", position=args[1].span[0])
    return function.returns


def _only_matchers(node: Node) -> bool:
    """Whether it is a selector without a name before its braces."""
    if not isinstance(node, nodes.Selector):
        return False
    return all(matcher.label != "__name__" or matcher.span[0] > node.span[0] for matcher in node.matchers)


def aggregation(operator: Token, args: list[Node]) -> None:
    """The arguments of an aggregation."""
    kind = PARAMETER_TYPES.get(operator.kind)
    wanted = 2 if kind else 1
    if len(args) != wanted:
        raise QuerySyntaxError(
            f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}",
            position=operator.start,
        )
    expect(args[-1], VECTOR, "aggregation expression")
    if kind:
        expect(args[0], kind, "aggregation parameter")


def expect(node: Node, wanted: str, context: str) -> None:
    """The type of a node."""
    if node.type != wanted:
        raise QuerySyntaxError(
            f"expected type {DOCUMENTED_TYPES[wanted]} in {context}, got {DOCUMENTED_TYPES[node.type]}",
            position=node.span[0],
            hint="Give it a range, e.g. [5m]." if (wanted, node.type) == (MATRIX, VECTOR) else "",
        )


def binary(operator: Token, left: Node, right: Node, returns_bool: bool, matching: Matching) -> None:
    """The operands and modifiers of a binary operation."""
    sign, where = operator.kind, operator.start
    for side in (left, right):
        if side.type not in (SCALAR, VECTOR):
            raise QuerySyntaxError(
                "binary expression must contain only scalar and instant vector types", position=side.span[0]
            )
    if returns_bool and sign not in nodes.COMPARISONS:
        raise QuerySyntaxError("bool modifier can only be used on comparison operators", position=where)
    scalars = left.type == right.type == SCALAR
    if sign in nodes.COMPARISONS and scalars and not returns_bool:
        raise QuerySyntaxError("comparisons between scalars must use BOOL modifier", position=where)
    if SCALAR in (left.type, right.type):
        if sign in nodes.SET_OPERATORS:
            raise QuerySyntaxError(f"set operator {sign!r} not allowed in binary scalar expression", position=where)
        if sign in nodes.TRIMS and scalars:
            raise QuerySyntaxError(
                f"operator {sign!r} not allowed between scalars: it trims histograms", position=where
            )
        if matching.labels:
            raise QuerySyntaxError("vector matching only allowed between instant vectors", position=where)
        if matching.fill_left is not None or matching.fill_right is not None:
            raise QuerySyntaxError("filling in missing series only allowed between instant vectors", position=where)
        return
    if sign in nodes.SET_OPERATORS and matching.group:
        raise QuerySyntaxError(f"no grouping allowed for {sign!r} operation", position=where)
    if sign in nodes.SET_OPERATORS and (matching.fill_left is not None or matching.fill_right is not None):
        raise QuerySyntaxError("filling in missing series not allowed for set operators", position=where)
    twice = sorted(set(matching.labels) & set(matching.include)) if matching.on else []
    if twice:
        raise QuerySyntaxError(f"label {twice[0]!r} must not occur in ON and GROUP clause at once", position=where)
