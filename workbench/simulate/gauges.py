"""What is gauged: levels that follow the traffic and wander about it, at any step of the grid.

Three layers of noise: nodes at the hours and at the cells, joined by straight lines, and steps inside a cell that
vanish at its ends. So a value depends on its time alone, and history meets live data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.simulate import shapes
from workbench.simulate.columns import SURGE, SURGE_GAIN
from workbench.simulate.faults.schedule import Schedule
from workbench.simulate.grid import CELL_US, CELLS, GAUGE_CELL, GAUGE_DAY, STEP_US, STEPS, generator
from workbench.simulate.metric import Metric
from workbench.simulate.shapes import DAY_US

_HOUR_US = DAY_US // 24


class Gauges:
    """All gauges and up-down counters of a list of metrics."""

    def __init__(self, seed: int, metrics: Sequence[Metric], schedule: Schedule) -> None:
        self._seed = seed
        self.schedule = schedule
        self._metrics = metrics
        self._nodes: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def at(self, times_us: np.ndarray) -> np.ndarray:
        """Values float64[metric, time] in the metrics' units, at steps of the grid."""
        drives = shapes.drives(times_us)
        strengths = self.schedule.strengths(times_us)
        surge = 1 + SURGE_GAIN * strengths[SURGE] if SURGE in strengths else np.ones(len(times_us))
        drives["traffic"] = drives["traffic"] * surge
        noise = self._noise(times_us)
        values = np.empty((len(self._metrics), len(times_us)))
        for row, metric in enumerate(self._metrics):
            level = metric.level * drives[metric.drive] ** metric.elasticity
            moved = metric.spread * noise[row]
            value = level + moved if metric.normal else level * np.exp(moved)
            for one in metric.reacts:
                if one.signal in strengths:
                    change = one.gain * strengths[one.signal]
                    value = value + change if one.on == "value" else value * (1 + change)
            value = np.clip(value, metric.low, metric.high)
            values[row] = np.round(value / metric.quantum) * metric.quantum if metric.quantum else value
        return values

    def _noise(self, times_us: np.ndarray) -> np.ndarray:
        noise = np.empty((len(self._metrics), len(times_us)))
        for number in np.unique(times_us // DAY_US):
            here = np.flatnonzero(times_us // DAY_US == number)
            hours, cells = self._day(int(number))
            noise[:, here] = 0.7 * _between(hours, times_us[here] % DAY_US / _HOUR_US)
            noise[:, here] += 0.6 * _between(cells, times_us[here] % DAY_US / CELL_US)
        inside = np.flatnonzero(times_us % CELL_US)
        for place in np.unique(times_us[inside] // CELL_US):
            here = inside[times_us[inside] // CELL_US == place]
            steps = times_us[here] % CELL_US // STEP_US
            fine = generator(self._seed, GAUGE_CELL, int(place)).standard_normal((len(self._metrics), STEPS))
            noise[:, here] += 0.4 * fine[:, steps] * np.sin(np.pi * steps / STEPS)
        return noise

    def _day(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Noise at the hours and at the cells of a day, both ends included."""
        if number not in self._nodes:
            if len(self._nodes) > 2:
                self._nodes.clear()
            (hours, cells), (next_hours, next_cells) = self._draw(number), self._draw(number + 1)
            self._nodes[number] = (
                np.column_stack([hours, next_hours[:, :1]]),
                np.column_stack([cells, next_cells[:, :1]]),
            )
        return self._nodes[number]

    def _draw(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        random = generator(self._seed, GAUGE_DAY, number)
        count = len(self._metrics)
        return random.standard_normal((count, 24)), random.standard_normal((count, CELLS))


def _between(nodes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values [row, place] on straight lines between nodes [row, node]."""
    left = np.minimum(places.astype(np.int64), nodes.shape[1] - 2)
    share = places - left
    return nodes[:, left] * (1 - share) + nodes[:, left + 1] * share
