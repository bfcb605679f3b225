"""What counts: counters and the buckets of histograms, as cumulative integer counts at any step of the grid.

Within a cell of five minutes a flow brings Gamma(rate / d) d events: mean `rate`, variance d times the mean, which is
how over-dispersed real request counts are. The cells of a day are drawn together; the steps inside a cell divide what
the cell brings, so history at the ends of cells and live data inside them agree to the last event. Counts start at
the first of the month, so the longest way to a value is 31 days of cells (half a second), and each day is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.simulate import schedule, shapes
from workbench.simulate.grid import CELL_US, CELLS, FLOW_CELL, FLOW_DAY, STEP_US, STEPS, generator, month_start_us
from workbench.simulate.metric import Metric
from workbench.simulate.shapes import DAY_US

BURST = 0.08
"""Log-sd of what all flows that follow the traffic have in common within a cell."""
WOBBLE = 0.06
"""Log-sd by which the typical duration of a cell differs from the next; of a normal one, in three tenths of its sd."""


@dataclass(frozen=True)
class _Day:
    rates: np.ndarray  # [flow, cell] expected events
    centres: np.ndarray  # [flow, cell] where values lie, wobble included, on the scale that the bounds are on
    increments: np.ndarray  # [column, cell] events, real numbers
    totals: np.ndarray  # [column, cell + 1] events since the day began


class Flows:
    """All counters and histograms of a list of metrics; a column is a counter or one bucket of a histogram."""

    def __init__(self, seed: int, metrics: Sequence[Metric]) -> None:
        self._seed = seed
        self._metrics = metrics
        widths = [len(metric.bounds) + 1 for metric in metrics]
        self._owner = np.repeat(np.arange(len(metrics)), widths)
        self.slices = [slice(end - width, end) for end, width in zip(np.cumsum(widths), widths, strict=True)]
        self._dispersion = np.array([metric.dispersion for metric in metrics])
        self._normal = np.array([metric.normal for metric in metrics])
        self._spread = np.array([metric.spread for metric in metrics])
        scaled = [np.array(m.bounds) if m.normal else np.log(m.bounds) if m.bounds else np.array([]) for m in metrics]
        self._lower = np.concatenate([[-np.inf, *bounds] for bounds in scaled])
        self._upper = np.concatenate([[*bounds, np.inf] for bounds in scaled])
        self._split = np.flatnonzero(np.isfinite(self._lower) | np.isfinite(self._upper))
        self._days: dict[int, _Day] = {}
        self._bases: dict[int, np.ndarray] = {}

    def at(self, times_us: np.ndarray) -> np.ndarray:
        """Counts float64[column, time] (whole numbers) at steps of the grid."""
        counts = np.empty((len(self._owner), len(times_us)))
        for number in np.unique(times_us // DAY_US):
            here = np.flatnonzero(times_us // DAY_US == number)
            counts[:, here] = self._at_day(int(number), times_us[here])
        return np.floor(counts)

    def _at_day(self, number: int, times_us: np.ndarray) -> np.ndarray:
        day, base = self._day(number), self._base(number)
        cells = times_us % DAY_US // CELL_US
        steps = times_us % CELL_US // STEP_US
        within = day.totals[:, cells].copy()
        for cell in np.unique(cells[steps > 0]):
            here = np.flatnonzero((cells == cell) & (steps > 0))
            shares = self._shares(number, day, int(cell))
            # Never above the next cell's total: a share is at most 1, and rounding is monotonic.
            within[:, here] += day.increments[:, [cell]] * shares[:, steps[here] - 1]
        return base[:, None] + within

    def _base(self, number: int) -> np.ndarray:
        """Counts at the start of a day: all days since the first of the month."""
        if number * DAY_US == month_start_us(number * DAY_US):
            return np.zeros(len(self._owner))
        if number not in self._bases:
            self._bases[number] = self._base(number - 1) + self._day(number - 1).totals[:, -1]
        return self._bases[number]

    def _day(self, number: int) -> _Day:
        if number not in self._days:
            if len(self._days) > 2:
                self._days.clear()
            self._days[number] = self._draw_day(number)
        return self._days[number]

    def _draw_day(self, number: int) -> _Day:
        random = generator(self._seed, FLOW_DAY, number)
        middles_us = number * DAY_US + np.arange(CELLS) * CELL_US + CELL_US // 2
        burst = np.exp(BURST * random.standard_normal(CELLS) - BURST**2 / 2)
        wobble = random.standard_normal((len(self._metrics), CELLS))
        drives = shapes.drives(middles_us)
        drives["traffic"] = drives["traffic"] * burst
        per_cell = CELL_US / shapes.SECOND_US
        rates = np.stack([m.level * per_cell * drives[m.drive] ** m.elasticity for m in self._metrics])
        events = random.standard_gamma(rates / self._dispersion[:, None]) * self._dispersion[:, None]
        offsets = np.where(self._normal[:, None], 0.3 * wobble * self._spread[:, None], WOBBLE * wobble)
        middle = [m.centre if m.normal else np.log(m.centre) for m in self._metrics]
        centres = np.array(middle)[:, None] + offsets
        increments = events[self._owner] * self._fractions(centres, middles_us)
        totals = np.zeros((len(self._owner), CELLS + 1))
        np.cumsum(increments, axis=1, out=totals[:, 1:])
        return _Day(rates, centres, increments, totals)

    def _shares(self, number: int, day: _Day, cell: int) -> np.ndarray:
        """Share [column, step] of a cell's events that have happened by the end of each step; the last is 1."""
        place = number * CELLS + cell
        expected = np.repeat(day.rates[:, [cell]] / STEPS / self._dispersion[:, None], STEPS, axis=1)
        weights = generator(self._seed, FLOW_CELL, place).standard_gamma(expected)
        weights[weights.sum(axis=1) <= 0] = 1.0
        middles_us = place * CELL_US + np.arange(STEPS) * STEP_US + STEP_US // 2
        fractions = self._fractions(np.repeat(day.centres[:, [cell]], STEPS, axis=1), middles_us)
        spread = np.cumsum(weights[self._owner] * fractions, axis=1)
        empty = spread[:, -1] <= 0
        spread[empty] = np.cumsum(weights[self._owner[empty]], axis=1)
        return spread / spread[:, [-1]]

    def _fractions(self, centres: np.ndarray, times_us: np.ndarray) -> np.ndarray:
        """Share [column, time] of a flow's events that fall into each column; incidents shift the values."""
        strengths = schedule.signals(self._seed, times_us)
        centres = centres.copy()
        for row, metric in enumerate(self._metrics):
            if metric.reacts in strengths:
                centres[row] += np.log1p(metric.gain * strengths[metric.reacts])
        fractions = np.ones((len(self._owner), centres.shape[1]))
        owner = self._owner[self._split]
        scale = self._spread[owner][:, None]
        upper = _normal_cdf((self._upper[self._split][:, None] - centres[owner]) / scale)
        lower = _normal_cdf((self._lower[self._split][:, None] - centres[owner]) / scale)
        fractions[self._split] = np.maximum(upper - lower, 0.0)
        return fractions


def bucket_means(metric: Metric) -> np.ndarray:
    """Mean value inside each bucket of a histogram, so that its sum follows from its counts."""
    edges = np.array([-np.inf, *(metric.bounds if metric.normal else np.log(metric.bounds)), np.inf])
    fine = np.linspace(-5, 5, 4001) * metric.spread + (metric.centre if metric.normal else np.log(metric.centre))
    weights = np.exp(-0.5 * np.linspace(-5, 5, 4001) ** 2)
    values = np.clip(fine, 0, 1) if metric.normal else np.exp(fine)
    number = np.searchsorted(edges, fine, side="left") - 1
    mass = np.bincount(number, weights, len(edges) - 1)
    total = np.bincount(number, weights * values, len(edges) - 1)
    # A bucket that lies outside of the distribution is met only in an incident: there the bound nearest to it holds.
    nearest = np.array([metric.bounds[0], *metric.bounds[1:], metric.bounds[-1]])
    return np.where(mass > 0, total / np.maximum(mass, 1e-300), nearest)


def _normal_cdf(z: np.ndarray) -> np.ndarray:
    """Standard normal distribution function by Page's approximation (1977), within 2e-4: nobody can see the rest."""
    z = np.clip(z, -8, 8)
    return 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
