"""The language: text -> tokens -> syntax tree, and back."""

from workbench.query.promql.functions import FUNCTIONS
from workbench.query.promql.matcher import Matcher
from workbench.query.promql.nodes import Node
from workbench.query.promql.parser import MAX_DEPTH, MAX_LENGTH, parse

__all__ = ["FUNCTIONS", "MAX_DEPTH", "MAX_LENGTH", "Matcher", "Node", "parse"]
