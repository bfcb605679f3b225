"""How much the metrics count in a cell, by name and attributes: what rows are made of."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from workbench.simulate.catalogue.component import pairs
from workbench.simulate.grid import CELL_US, generator
from workbench.simulate.metric import Metric
from workbench.simulate.platform import Platform

MARGIN_US = 20_000
"""What follows a moment at once still lies in its cell."""


class Cell:
    """One cell of a platform: its counts at both ends, and its moments."""

    def __init__(self, platform: Platform, place: int) -> None:
        self.platform = platform
        self.place = place
        self.start_us = place * CELL_US
        self.end_us = self.start_us + CELL_US

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        return self.platform.flows.ends(self.place)

    def random(self, stream: int) -> np.random.Generator:
        """The cell's own chance, of one stream."""
        return generator(self.platform.seed, stream, self.place)

    def times(self, random: np.random.Generator, count: int) -> np.ndarray:
        """So many moments within the cell, sorted."""
        return np.asarray(np.sort(self.start_us + random.integers(0, CELL_US - MARGIN_US, count)))

    def metric(self, name: str, **attributes: str) -> Metric:
        """The counted metric of that name with just these attributes; `__` in a keyword stands for a dot."""
        return self.platform.counted[self.platform.places[name, _pairs(attributes)]]

    def number(self, name: str, **attributes: str) -> int:
        """How many events a counter or a histogram adds."""
        return int(self.buckets(name, **attributes).sum())

    def buckets(self, name: str, **attributes: str) -> np.ndarray:
        """How many events each bucket of a histogram adds, int64[bucket]; of a counter its one column."""
        where = self._where(name, attributes)
        return np.asarray((self._ends[1][where] - self._ends[0][where]).astype(np.int64))

    def total(self, name: str, **attributes: str) -> tuple[int, int]:
        """The count of a counter since the first of the month, at the cell's start and end."""
        where = self._where(name, attributes)
        return int(self._ends[0][where].sum()), int(self._ends[1][where].sum())

    def _where(self, name: str, attributes: dict[str, str]) -> slice:
        return self.platform.flows.slices[self.platform.places[name, _pairs(attributes)]]


def _pairs(attributes: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return pairs({key.replace("__", "."): value for key, value in attributes.items()})
