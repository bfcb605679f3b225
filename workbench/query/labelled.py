"""Samples of a view by labels, as the protocol of time-series stores has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench import config
from workbench.errors import InputError
from workbench.query.index import Row, label_index
from workbench.query.promql import Matcher, nodes, parse
from workbench.query.samples import Budget, read

if TYPE_CHECKING:
    from workbench.query.names import Labels
    from workbench.store import LabelledSamples, LabelMatcher, View

_DEFAULT = config.Query()


def parse_selector(text: str) -> list[LabelMatcher]:
    """The matchers of a selector: `up`, `requests_total{job="api"}`. Raises QuerySyntaxError, InputError."""
    from workbench.store import LabelMatcher

    node = parse(text)
    if not isinstance(node, nodes.Selector) or node.when != nodes.NOW or node.extension:
        raise InputError("a name with matchers is wanted", where=text[:80], hint='E.g. requests_total{job="api"}.')
    return [LabelMatcher(one.label, one.operator, one.value) for one in node.matchers]


def labelled_series(view: View, matchers: Sequence[LabelMatcher]) -> tuple[list[Labels], int]:
    """The label sets that meet the matchers, sorted, and how many native histograms do, which are not among them."""
    rows = _rows(view, matchers)
    floats = sorted(row.labels for row in rows if row.kind != "histogram")
    return floats, len(rows) - len(floats)


def labelled_samples(
    view: View, matchers: Sequence[LabelMatcher], start_us: int, end_us: int, *, limits: config.Query = _DEFAULT
) -> LabelledSamples:
    """Float samples of the series that meet the matchers, both ends included. Raises QueryLimit, StoreError."""
    from workbench.store import LabelledSamples

    rows = [row for row in _rows(view, matchers) if row.kind != "histogram"]
    found = read(view, rows, start_us, end_us, Budget(limits.max_samples))
    return LabelledSamples(found.labels, found.offsets, found.times_us, found.values)


def _rows(view: View, matchers: Sequence[LabelMatcher]) -> list[Row]:
    index = label_index(view)
    return [index.rows[number] for number in index.select([Matcher(*one) for one in matchers])]
