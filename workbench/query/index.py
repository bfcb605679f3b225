"""Label matchers -> series: posting lists over the labels that PromQL sees, kept up with the registry."""

from __future__ import annotations

import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.query.names import Labels, label_set, prometheus_labels, target_info
from workbench.query.promql import Matcher

if TYPE_CHECKING:
    from workbench.store import Series, SeriesRegistry, View


@dataclass
class Row:
    """One label set and the series ids behind it (several where their translation is the same).

    `kind` is `float`, `histogram` (native, samples of type 1) or `info` (`target_info`: 1 wherever one of the ids
    has a sample).
    """

    labels: Labels
    ids: list[int]
    kind: str


# Dashboards ask for the same series again and again; at most 20 MB of row numbers.
_REMEMBERED = 256
_REMEMBERED_ROWS = 10_000

_METADATA_TYPES = {"updowncounter": "gauge", "exponential_histogram": "histogram", "native_histogram": "histogram"}


class LabelIndex:
    """Rows by label value. One per registry; `refresh` adds what was registered since. Thread-safe."""

    def __init__(self, registry: SeriesRegistry) -> None:
        self.rows: list[Row] = []
        # Weak, since `_indexes` lets go of an index only with its registry.
        self._registry = weakref.proxy(registry)
        self._generation = 0
        self._seen: set[int] = set()
        self._row_of: dict[tuple[str, Labels], int] = {}
        self._postings: dict[str, dict[str, list[int]]] = {}
        self._metadata: dict[str, tuple[str, str, str]] = {}
        self._selected: OrderedDict[tuple[Matcher, ...], np.ndarray] = OrderedDict()  # since the last series
        self._lock = threading.Lock()

    def refresh(self) -> LabelIndex:
        """Take in what the registry has learned; cheap when that is nothing."""
        generation = self._registry.generation
        if generation != self._generation:
            with self._lock:
                self._selected.clear()
                for series in self._registry.since(self._generation):
                    self._add(series)
                self._generation = max(self._generation, generation)
        return self

    def select(self, matchers: Iterable[Matcher]) -> np.ndarray:
        """Numbers of the rows that meet all matchers, ascending: int64[n], not to be written to."""
        wanted = tuple(matchers)
        with self._lock:
            found = self._selected.get(wanted)
            if found is None:
                found = self._meeting(wanted)
                found.setflags(write=False)
                if len(found) <= _REMEMBERED_ROWS:
                    self._selected[wanted] = found
                    if len(self._selected) > _REMEMBERED:
                        self._selected.popitem(last=False)
            else:
                self._selected.move_to_end(wanted)
            return found

    def names(self) -> list[str]:
        """All metric names, sorted."""
        return self.values("__name__")

    def labels(self) -> list[str]:
        """All label names, sorted."""
        with self._lock:
            return sorted(self._postings)

    def values(self, label: str, rows: np.ndarray | None = None) -> list[str]:
        """All values of a label, sorted; of these rows only where they are given."""
        with self._lock:
            if rows is None:
                return sorted(self._postings.get(label, {}))
            return sorted({dict(self.rows[row].labels).get(label, "") for row in rows} - {""})

    def counts(self) -> dict[str, dict[str, int]]:
        """Label -> value -> number of series."""
        with self._lock:
            return {
                label: {value: len(rows) for value, rows in values.items()} for label, values in self._postings.items()
            }

    def families(self) -> list[str]:
        """All metrics, sorted: a histogram or summary once, under the name that its parts share."""
        with self._lock:
            return sorted(self._metadata)

    def metadata(self, name: str) -> tuple[str, str, str]:
        """Type, unit and help text of a metric or a part of one. Raises KeyError for a name that is not there."""
        return self._metadata[name] if name in self._metadata else self._metadata[_family(name)]

    def _add(self, series: Series) -> None:
        if series.id in self._seen:
            return
        self._seen.add(series.id)
        identity = series.identity
        labels = label_set(prometheus_labels(series))
        kind = "histogram" if identity.type in ("exponential_histogram", "native_histogram") else "float"
        self._put(labels, series.id, kind)
        type_ = _METADATA_TYPES.get(identity.type, identity.type)
        name = dict(labels).get("__name__", "")
        if type_ in ("histogram", "summary"):
            name = _family(name)
        self._metadata.setdefault(name, (type_, identity.unit, series.description))
        if identity.convention == "otel" and kind == "float":
            info = target_info(identity.resource)
            if info:
                self._put(info, series.id, "info")
                self._metadata.setdefault("target_info", ("gauge", "", "Target metadata"))

    def _put(self, labels: Labels, series_id: int, kind: str) -> None:
        number = self._row_of.get((kind, labels))
        if number is not None:
            self.rows[number].ids.append(series_id)
            return
        number = self._row_of[(kind, labels)] = len(self.rows)
        self.rows.append(Row(labels, [series_id], kind))
        for name, value in labels:
            self._postings.setdefault(name, {}).setdefault(value, []).append(number)

    def _meeting(self, matchers: Sequence[Matcher]) -> np.ndarray:
        found: np.ndarray | None = None
        # Equalities first: they cut the most and cost the least.
        for matcher in sorted(matchers, key=lambda m: (m.operator != "=", m.negative)):
            rows = self._matching(matcher)
            found = rows if found is None else np.intersect1d(found, rows, assume_unique=True)
            if not len(found):
                break
        return np.arange(len(self.rows)) if found is None else found

    def _matching(self, matcher: Matcher) -> np.ndarray:
        values = self._postings.get(matcher.label, {})
        if not matcher.matches_empty():
            return _union(self._hits(values, matcher))
        # Rows without the label match: all but those whose value does not.
        misses = self._hits(values, matcher, wanted=False)
        return np.setdiff1d(np.arange(len(self.rows)), _union(misses), assume_unique=True)

    def _hits(self, values: dict[str, list[int]], matcher: Matcher, wanted: bool = True) -> list[list[int]]:
        exact = matcher.operator == ("=" if wanted else "!=")
        if exact:
            return [values[matcher.value]] if matcher.value in values else []
        names = list(values)
        return [values[names[number]] for number in np.flatnonzero(matcher.matches(names) == wanted)]


_indexes: weakref.WeakKeyDictionary[SeriesRegistry, LabelIndex] = weakref.WeakKeyDictionary()
_indexes_lock = threading.Lock()


def label_index(view: View) -> LabelIndex:
    """The index of a view's series, up to date."""
    with _indexes_lock:
        index = _indexes.get(view.registry)
        if index is None:
            index = _indexes[view.registry] = LabelIndex(view.registry)
    return index.refresh()


def _family(name: str) -> str:
    return re.sub("_(bucket|sum|count)$", "", name)


def _union(lists: Sequence[list[int]]) -> np.ndarray:
    if len(lists) == 1:
        return np.array(lists[0], np.int64)
    if not lists:
        return np.empty(0, np.int64)
    return np.sort(np.concatenate([np.array(rows, np.int64) for rows in lists]))
