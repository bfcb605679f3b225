"""What counts: counters and the buckets of histograms, as cumulative counts at any step of the grid.

Within a cell of five minutes a source brings Gamma(rate / d) d events: mean `rate`, variance d times the mean, which is
how over-dispersed real request counts are. The cells of a day are drawn together; the steps inside a cell divide what
the cell brings, so history at the ends of cells and live data inside them agree to the last event. What an incident
does is applied step by step: a step before it is what it would have been without. Counts start at the first of the
month, so the longest way to a value is 31 days of cells, and each day's end is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.simulate import shapes
from workbench.simulate.columns import Columns
from workbench.simulate.faults.schedule import Schedule
from workbench.simulate.grid import CELL_US, CELLS, FLOW_CELL, FLOW_DAY, STEP_US, STEPS, generator, month_start_us
from workbench.simulate.metric import Metric
from workbench.simulate.shapes import DAY_US

BURST = 0.08
"""Log-sd of what all sources that follow the traffic have in common within a cell."""
WOBBLE = 0.06
"""Log-sd by which the typical duration of a cell differs from the next; of a normal one, in three tenths of its sd."""
DAYS_KEPT = 3

Given = Callable[[int], Mapping[str, np.ndarray]]
"""Counts per cell (int[288]) of a day by the `given` of a source."""


@dataclass(frozen=True)
class _Day:
    rates: np.ndarray  # [source, cell] expected events
    events: np.ndarray  # [source, cell] events as they were without incidents
    centres: np.ndarray  # [metric, cell] where values lie, wobble included, on the scale that the bounds are on
    increments: np.ndarray  # [column, cell] events, real numbers
    totals: np.ndarray  # [column, cell + 1] events since the day began
    uneven: np.ndarray  # [cell] whether it has to be counted step by step


class Flows:
    """All counters and histograms of a list of metrics; a column is a counter or one bucket of a histogram."""

    def __init__(self, seed: int, metrics: Sequence[Metric], schedule: Schedule, given: Given) -> None:
        self._seed = seed
        self._schedule = schedule
        self._given = given
        self._columns = Columns(metrics)
        self.slices = self._columns.slices
        self._days: dict[int, _Day] = {}
        self._bases: dict[int, np.ndarray] = {}

    def reschedule(self, schedule: Schedule, since_us: int) -> None:
        """From `since_us` on other incidents happen; what was before stays."""
        self._schedule = schedule
        first = since_us // DAY_US
        self._days = {number: day for number, day in self._days.items() if number < first}
        self._bases = {number: base for number, base in self._bases.items() if number <= first}

    def at(self, times_us: np.ndarray) -> np.ndarray:
        """Counts float64[column, time] (whole numbers) at steps of the grid."""
        counts = np.empty((self._columns.count, len(times_us)))
        for number in np.unique(times_us // DAY_US):
            here = np.flatnonzero(times_us // DAY_US == number)
            counts[:, here] = self._at_day(int(number), times_us[here])
        return np.floor(counts)

    def ends(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts float64[column] (whole numbers) at the start and the end of a cell, whose number is since 1970.

        At the end of a month the latter still belongs to it.
        """
        number, cell = divmod(place, CELLS)
        base, totals = self._base(number), self._day(number).totals
        return np.floor(base + totals[:, cell]), np.floor(base + totals[:, cell + 1])

    def day_sum(self, number: int) -> np.ndarray:
        """Events float64[column], real numbers, of a whole day."""
        return self._day(number).totals[:, -1]

    def _at_day(self, number: int, times_us: np.ndarray) -> np.ndarray:
        day, base = self._day(number), self._base(number)
        cells = times_us % DAY_US // CELL_US
        steps = times_us % CELL_US // STEP_US
        within = day.totals[:, cells].copy()
        for cell in np.unique(cells[steps > 0]):
            here = np.flatnonzero((cells == cell) & (steps > 0))
            # Never above the next cell's total: the last step brings all, and rounding is monotonic.
            within[:, here] += self._steps(number, day, int(cell))[:, steps[here] - 1]
        return base[:, None] + within

    def _base(self, number: int) -> np.ndarray:
        """Counts at the start of a day: all days since the first of the month."""
        if number * DAY_US == month_start_us(number * DAY_US):
            return np.zeros(self._columns.count)
        if number not in self._bases:
            self._bases[number] = self._base(number - 1) + self._day(number - 1).totals[:, -1]
        return self._bases[number]

    def _day(self, number: int) -> _Day:
        if number not in self._days:
            if len(self._days) >= DAYS_KEPT:
                self._days.clear()
            self._days[number] = self._draw_day(number)
        return self._days[number]

    def _draw_day(self, number: int) -> _Day:
        random = generator(self._seed, FLOW_DAY, number)
        columns = self._columns
        middles_us = number * DAY_US + np.arange(CELLS) * CELL_US + CELL_US // 2
        burst = np.exp(BURST * random.standard_normal(CELLS) - BURST**2 / 2)
        wobble = random.standard_normal((len(columns.metrics), CELLS))
        drives = shapes.drives(middles_us)
        drives["traffic"] = drives["traffic"] * burst
        rates = np.stack(
            [one.rate * CELL_US / shapes.SECOND_US * drives[one.drive] ** one.elasticity for one in columns.sources]
        )
        dispersion = columns.dispersion[:, None]
        events = random.standard_gamma(rates / dispersion) * dispersion
        counted = self._given(number)
        for row, source in enumerate(columns.sources):
            if source.given:
                events[row] = counted.get(source.given, 0)
        centres = columns.middles[:, None] + np.where(
            columns.normal[:, None], 0.3 * wobble * columns.spread[:, None], WOBBLE * wobble
        )
        strengths = self._schedule.strengths(middles_us)
        increments = columns.counted(events, centres, strengths)
        increments[columns.priced] = columns.prices(increments, strengths)
        uneven = self._uneven(number)
        day = _Day(rates, events, centres, increments, np.zeros((columns.count, CELLS + 1)), uneven)
        for cell in np.flatnonzero(uneven):
            increments[:, cell] = self._steps(number, day, int(cell))[:, -1]
        np.cumsum(increments, axis=1, out=day.totals[:, 1:])
        return day

    def _uneven(self, number: int) -> np.ndarray:
        """Cells of a day within which an incident's strength changes; in the others the whole cell reacts alike."""
        steps_us = number * DAY_US + np.arange(CELLS * STEPS) * STEP_US + STEP_US // 2
        uneven = np.zeros(CELLS, bool)
        for name, strength in self._schedule.strengths(steps_us).items():
            if name in self._columns.signals:
                uneven |= np.ptp(strength.reshape(CELLS, STEPS), axis=1) > 0
        return uneven

    def _steps(self, number: int, day: _Day, cell: int) -> np.ndarray:
        """Events [column, step] of a cell that have happened by the end of each step; the last is the cell's all."""
        columns = self._columns
        place = number * CELLS + cell
        expected = np.repeat(day.rates[:, [cell]] / STEPS / columns.dispersion[:, None], STEPS, axis=1)
        weights = generator(self._seed, FLOW_CELL, place).standard_gamma(expected)
        weights[weights.sum(axis=1) <= 0] = 1.0
        spread = np.cumsum(weights, axis=1)
        spread /= spread[:, [-1]]
        if not day.uneven[cell]:
            return np.asarray(day.increments[:, [cell]] * spread[columns.source_of[columns.owner]])
        middles_us = place * CELL_US + np.arange(STEPS) * STEP_US + STEP_US // 2
        strengths = self._schedule.strengths(middles_us)
        events = day.events[:, [cell]] * np.diff(spread, axis=1, prepend=0.0)
        increments = columns.counted(events, day.centres[:, [cell]], strengths)
        increments[columns.priced] = columns.prices(increments, strengths)
        return np.asarray(np.cumsum(increments, axis=1))
