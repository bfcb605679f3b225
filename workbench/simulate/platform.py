"""The simulated STREAM platform: every series at any moment, as a function of seed and time alone."""

from __future__ import annotations

import numpy as np

from workbench.simulate.catalogue import metrics
from workbench.simulate.flows import Flows, bucket_means
from workbench.simulate.gauges import Gauges
from workbench.simulate.grid import STEP_US, month_start_us
from workbench.simulate.metric import Metric, Series, parts


class Platform:
    """The platform of one seed. `metrics` and `series` never change their order; `values` has a row per series.

    Not thread-safe: days are kept between calls. Two of the same seed give the same values.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.metrics: tuple[Metric, ...] = metrics()
        self.series: list[Series] = [series for metric in self.metrics for series in parts(metric)]
        self._counted = [metric for metric in self.metrics if metric.type in {"counter", "histogram"}]
        gauged = [metric for metric in self.metrics if metric.type not in {"counter", "histogram"}]
        self._flows = Flows(seed, self._counted)
        self._gauges = Gauges(seed, gauged)
        self._means = {metric: bucket_means(metric) for metric in self._counted if metric.bounds}

    def values(self, times_us: np.ndarray) -> np.ndarray:
        """Values float64[series, time] at `times_us` (int64, UTC), which must lie on the 10 s grid.

        Histograms are in cumulative buckets (`le`), count and sum. Raises ValueError for a time off the grid.
        """
        times_us = np.asarray(times_us, np.int64)
        if (times_us % STEP_US).any():
            raise ValueError(f"the simulated platform is measured every {STEP_US // 1_000_000} s; a time lies between")
        counts = iter(zip(self._counted, self._flows.slices, strict=True))
        columns, levels = self._flows.at(times_us), iter(self._gauges.at(times_us))
        rows = []
        for metric in self.metrics:
            if metric.type not in {"counter", "histogram"}:
                rows.append(next(levels)[None, :])
                continue
            _, where = next(counts)
            found = columns[where]
            if metric.type == "counter":
                rows.append(found * metric.quantum)
                continue
            cumulated = np.cumsum(found, axis=0)
            # Summed one by one: how many times are asked for must not change the last bit.
            total = np.cumsum(self._means[metric][:, None] * found, axis=0)[-1:]
            rows += [cumulated, cumulated[-1:], total]
        return np.concatenate(rows)

    def start_us(self, time_us: int) -> int:
        """Since when the counters that are seen at `time_us` count."""
        # At the very moment of a release the old counters have ended and the new ones stand at 0.
        return month_start_us(time_us)
