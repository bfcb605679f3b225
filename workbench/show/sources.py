"""What lies behind a tile: how fresh its newest sample is, and whether the series are simulated."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from workbench.store import View

SIMULATED = ("deployment.environment.name", "simulated")
SIMULATED_PROMETHEUS = ("deployment_environment_name", "simulated")
# How far back the newest sample is looked for: first where live data is, then as far as a query looks back.
_LOOKBACKS_US = (5_000_000, 300_000_000, 3_600_000_000)
_FRESH_FOR_US = 2_000_000
_KNOWN_MAX = 2_000
# Of very many series the youngest tell the age: those that ended are among the old.
_AGE_SERIES_MAX = 500


@dataclass
class _Behind:
    generation: int
    ids: np.ndarray
    simulated: bool
    newest_us: int | None = None
    looked_us: int = 0


class Sources:
    """Ages and marks of expressions; remembers which series an expression selects until a new series appears."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: dict[str, _Behind] = {}

    def behind(self, exprs: Iterable[str], now_us: int) -> tuple[int | None, bool]:
        """(age of the newest sample in microseconds, whether any series is simulated) over all the expressions."""
        found = [self._look(expr, now_us) for expr in exprs]
        newest = [entry.newest_us for entry in found if entry.newest_us is not None]
        return (max(now_us - max(newest), 0) if newest else None), any(entry.simulated for entry in found)

    def _look(self, expr: str, now_us: int) -> _Behind:
        generation = self._view.registry.generation
        entry = self._known.get(expr)
        if entry is None or entry.generation != generation:
            entry = self._select(expr, generation)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[expr] = entry
        if now_us - entry.looked_us >= _FRESH_FOR_US:
            entry.newest_us, entry.looked_us = self._newest(entry.ids, now_us), now_us
        return entry

    def _select(self, expr: str, generation: int) -> _Behind:
        from workbench.query import label_index

        index = label_index(self._view)
        rows = {int(row) for selector in selectors(expr) for row in index.select(selector.matchers)}
        ids = np.array(sorted({number for row in rows for number in index.rows[row].ids}), np.int64)
        return _Behind(generation, ids, any(self._is_simulated(number) for number in ids.tolist()))

    def _is_simulated(self, number: int) -> bool:
        identity = self._view.registry.get(number).identity
        return SIMULATED in identity.resource or SIMULATED_PROMETHEUS in identity.attributes

    def _newest(self, ids: np.ndarray, now_us: int) -> int | None:
        if not len(ids):
            return None
        for lookback_us in _LOOKBACKS_US:
            times = self._view.samples(ids[-_AGE_SERIES_MAX:], now_us - lookback_us, now_us).times_us
            if len(times):
                return int(times.max())
        return None


@lru_cache(maxsize=512)
def selectors(expr: str) -> tuple[Any, ...]:
    """The vector selectors in an expression; none where it does not parse."""
    from workbench.errors import QueryError
    from workbench.query import parse

    try:
        return tuple(_walk(parse(expr)))
    except QueryError:
        return ()


def _walk(node: Any) -> Iterator[Any]:
    if hasattr(node, "matchers"):
        yield node
    elif dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            yield from _walk(getattr(node, field.name))
    elif isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
