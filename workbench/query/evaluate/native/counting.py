"""Which selectors of an expression give histograms of which nothing but count and sum is asked.

For these Prometheus finds resets while it reads and marks them, which shows in what it says about sums of such.
"""

from __future__ import annotations

from workbench.query.promql import Node, nodes
from workbench.query.promql.nodes import TRIMS, Aggregation, Binary, Call, Paren, Range, Selector, Span, Subquery, Unary

_COUNTING = ("histogram_count", "histogram_sum", "histogram_avg", "timestamp", "start_timestamp", "absent")
_WHOLE = (
    "histogram_quantile", "histogram_quantiles", "histogram_fraction", "histogram_stddev", "histogram_stdvar",
    "changes",
)  # fmt: skip


def counting_selectors(node: Node, *, counting: bool = False) -> frozenset[Span]:
    """The places of the selectors that only counts are wanted of; `counting`: of the expression around."""
    match node:
        case Selector():
            return frozenset((node.span,)) if counting else frozenset()
        case Range():
            return counting_selectors(node.selector, counting=counting)
        case Call() if node.function in _WHOLE:
            return frozenset()
        case Call():
            inner = counting or node.function in _COUNTING
            return frozenset().union(*(counting_selectors(arg, counting=inner) for arg in node.args))
        case Aggregation() if node.operator != "count_values":
            return counting_selectors(node.expr, counting=counting)
        case Binary() if node.operator not in (*TRIMS, "==", "!="):
            sides = (node.left, node.right)
            return frozenset().union(*(counting_selectors(side, counting=counting) for side in sides))
        case Paren() | Unary():
            return counting_selectors(node.expr, counting=counting)
        case Subquery() | nodes.Number() | nodes.Text() | Aggregation() | Binary():
            return frozenset()
