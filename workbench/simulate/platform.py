"""The simulated STREAM platform: every series at any moment, a function of seed, started incidents and time alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.simulate.catalogue import metrics
from workbench.simulate.columns import bucket_means
from workbench.simulate.faults.schedule import Incident, Schedule
from workbench.simulate.flows import Flows
from workbench.simulate.gauges import Gauges
from workbench.simulate.grid import STEP_US, month_start_us
from workbench.simulate.metric import Metric, Pairs, Series, parts
from workbench.simulate.people import People
from workbench.simulate.shapes import DAY_US


class Platform:
    """The platform of one seed. `metrics` and `series` never change their order; `values` has a row per series.

    `started` are incidents that were started by hand. Not thread-safe: days are kept between calls. Two of the same
    seed and the same started incidents give the same values.
    """

    def __init__(self, seed: int, started: Sequence[Incident] = ()) -> None:
        self.seed = seed
        self.schedule = Schedule(seed, tuple(started))
        self.people = People(seed, self.schedule)
        self.metrics: tuple[Metric, ...] = metrics()
        self.series: list[Series] = [series for metric in self.metrics for series in parts(metric)]
        self.counted = [metric for metric in self.metrics if metric.flows]
        self.flows = Flows(seed, self.counted, self.schedule, self.people.counts)
        self.places = {
            (metric.name, metric.attributes): place for place, metric in enumerate(self.counted) if not metric.instance
        }
        self._gauges = Gauges(seed, [metric for metric in self.metrics if not metric.flows], self.schedule)
        self._means = {metric: bucket_means(metric) for metric in self.counted if metric.bounds}

    def start(self, incident: Incident) -> None:
        """From its start on the platform has one more incident; what was before it stays as it was."""
        self.schedule = Schedule(self.seed, (*self.schedule.started, incident))
        self.people.schedule = self._gauges.schedule = self.schedule
        self.people.forget(incident.start_us // DAY_US)
        self.flows.reschedule(self.schedule, incident.start_us)

    def values(self, times_us: np.ndarray) -> np.ndarray:
        """Values float64[series, time] at `times_us` (int64, UTC), which must lie on the 10 s grid.

        Histograms are in cumulative buckets (`le`), count and sum. Raises ValueError for a time off the grid.
        """
        times_us = np.asarray(times_us, np.int64)
        if (times_us % STEP_US).any():
            raise ValueError(f"the simulated platform is measured every {STEP_US // 1_000_000} s; a time lies between")
        counts = iter(self.flows.slices)
        columns, levels = self.flows.at(times_us), iter(self._gauges.at(times_us))
        rows = []
        for metric in self.metrics:
            if not metric.flows:
                rows.append(next(levels)[None, :])
                continue
            found = columns[next(counts)]
            if metric.type == "counter":
                rows.append(found * metric.quantum)
                continue
            cumulated = np.cumsum(found, axis=0)
            # Summed one by one: how many times are asked for must not change the last bit.
            total = np.cumsum(self._means[metric][:, None] * found, axis=0)[-1:]
            rows += [cumulated, cumulated[-1:], total]
        return np.concatenate(rows)

    def day_sum(self, number: int, name: str, attributes: Pairs) -> float:
        """What a counter or the sum of a histogram grows by on a day (its number since 1970), in its unit."""
        place = self.places[name, attributes]
        metric, events = self.counted[place], self.flows.day_sum(number)[self.flows.slices[place]]
        return float((self._means[metric] * events).sum() if metric.bounds else events.sum() * metric.quantum)

    def start_us(self, time_us: int) -> int:
        """Since when the counters that are seen at `time_us` count."""
        # At the very moment of a release the old counters have ended and the new ones stand at 0.
        return month_start_us(time_us)
