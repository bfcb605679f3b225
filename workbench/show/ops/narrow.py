"""Picks of labels -> narrower PromQL: every selector gets the picks whose labels its series bear.

So one pick filters every chart that knows the label, and leaves the others as they are: a host has no content domain.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.query import LabelIndex, Matcher, label_index, parse
from workbench.show.ops.choice import FACETS, Picks
from workbench.show.sources import selectors

if TYPE_CHECKING:
    from workbench.store import View


@dataclass(frozen=True)
class _Known:
    """Of each selector (as text): the numbers of its rows int64[n]; int32[n, facets], the place of each row's value in
    `values`, -1 where it lacks the label. `index` tells of all other selectors.
    """

    generation: Any
    index: LabelIndex | None
    rows: Mapping[str, np.ndarray]
    codes: Mapping[str, np.ndarray]
    values: Mapping[str, list[str]]


class Facets:
    """Which values of the facet labels the series behind some expressions bear, and how many bear each. Thread-safe."""

    def __init__(self, exprs: list[str]) -> None:
        self._selectors = {str(found): found for expr in exprs for found in selectors(expr)}
        self._known = _Known(None, None, {}, {}, {label: [] for label in FACETS})
        self._guard = threading.Lock()

    def refresh(self, view: View) -> Facets:
        """Take in new series; cheap when there are none."""
        generation = (id(view.registry), view.registry.generation)
        with self._guard:
            if generation != self._known.generation:
                self._known = self._look(view, generation)
        return self

    def _look(self, view: View, generation: Any) -> _Known:
        index = label_index(view)
        places: dict[str, dict[str, int]] = {label: {} for label in FACETS}
        rows_of: dict[str, np.ndarray] = {}
        codes_of: dict[str, np.ndarray] = {}
        for text, selector in self._selectors.items():
            rows = index.select(selector.matchers)
            codes = np.full((len(rows), len(FACETS)), -1, np.int32)
            for number, row in enumerate(rows):
                labels = dict(index.rows[row].labels)
                for column, label in enumerate(FACETS):
                    if labels.get(label):
                        codes[number, column] = places[label].setdefault(labels[label], len(places[label]))
            rows_of[text], codes_of[text] = rows, codes
        values = {label: list(found) for label, found in places.items()}
        return _Known(generation, index, rows_of, codes_of, values)

    def counts(self, picks: Picks) -> dict[str, list[tuple[str, int]]]:
        """Per label the values and their numbers of series given the picks of the *other* labels; most series first."""
        known = self._known
        found: dict[str, list[tuple[str, int]]] = {}
        for column, label in enumerate(FACETS):
            seen: dict[int, int] = {}
            for text in known.rows:
                kept = _kept(known, text, picks, but=column) & (known.codes[text][:, column] >= 0)
                seen.update(zip(known.rows[text][kept].tolist(), known.codes[text][kept, column].tolist(), strict=True))
            values = known.values[label]
            counts = np.bincount(np.fromiter(seen.values(), np.int64, len(seen)), minlength=len(values))
            pairs = list(zip(values, counts.tolist(), strict=True))
            missing = [(value, 0) for value in dict(picks).get(label, ()) if value not in values]
            found[label] = sorted([*pairs, *missing], key=lambda pair: (-pair[1], pair[0]))
        return found

    def narrowed(self, expr: str, picks: Picks) -> tuple[str, list[str]]:
        """The expression with the picks in it, and the labels of picks that none of its series bear."""
        if not picks:
            return expr, []
        used: set[str] = set()
        node = _rewritten(parse(expr), self, picks, used)
        return str(node), [label for label, _ in picks if label not in used]

    def metrics(self) -> tuple[str, ...]:
        """The names that a query of one's own can ask for."""
        return tuple(self._known.index.names()) if self._known.index is not None else ()

    def simulated(self, expr: str) -> bool:
        """Whether any series behind an expression is simulated."""
        return any(
            labels.get("deployment_environment_name") == "simulated"
            for selector in selectors(expr)
            for labels in self._labels(selector)
        )

    def bears(self, selector: Any, label: str) -> bool:
        """Whether any series of a selector has the label."""
        codes = self._known.codes.get(str(selector))
        if codes is None:
            return any(label in labels for labels in self._labels(selector))
        return bool((codes[:, list(FACETS).index(label)] >= 0).any())

    def _labels(self, selector: Any) -> Iterator[dict[str, str]]:
        index = self._known.index
        if index is not None:
            for row in index.select(selector.matchers):
                yield dict(index.rows[row].labels)


def _kept(known: _Known, text: str, picks: Picks, *, but: int) -> np.ndarray:
    """Which rows of a selector meet the picks of all labels but one; a label that none of them bears asks nothing."""
    codes = known.codes[text]
    kept = np.ones(len(codes), bool)
    for column, label in enumerate(FACETS):
        wanted = dict(picks).get(label)
        if wanted and column != but and (codes[:, column] >= 0).any():
            places = [place for place, value in enumerate(known.values[label]) if value in wanted]
            kept &= np.isin(codes[:, column], places)
    return kept


def pick_matcher(label: str, values: tuple[str, ...]) -> Matcher:
    """One value is matched as it is, several as an alternation in which each is escaped."""
    if len(values) == 1:
        return Matcher(label, "=", values[0])
    return Matcher(label, "=~", "|".join(re.escape(value) for value in values))


def _rewritten(node: Any, facets: Facets, picks: Picks, used: set[str]) -> Any:
    if hasattr(node, "matchers"):
        added = [(label, values) for label, values in picks if facets.bears(dataclasses.replace(node), label)]
        used.update(label for label, _ in added)
        return dataclasses.replace(node, matchers=(*node.matchers, *(pick_matcher(*pick) for pick in added)))
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        changes = dict(_changes(node, facets, picks, used))
        return dataclasses.replace(node, **changes) if changes else node
    if isinstance(node, tuple):
        return tuple(_rewritten(item, facets, picks, used) for item in node)
    return node


def _changes(node: Any, facets: Facets, picks: Picks, used: set[str]) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(node):
        old = getattr(node, field.name)
        new = _rewritten(old, facets, picks, used)
        if new is not old and field.init and field.name != "span":
            yield field.name, new
