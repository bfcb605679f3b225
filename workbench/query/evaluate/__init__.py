"""The evaluator: syntax tree + view + times -> result."""

from workbench.query.evaluate.engine import instant, range_query

__all__ = ["instant", "range_query"]
