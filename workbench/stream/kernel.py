"""What every stream kernel takes and answers with.

A kernel is a module with three pure functions; `tests/stream/test_kernels.py` finds every one and holds it to a list:

- `initial(bounds) -> state`
- `step(state, batch) -> (state, counts)`: no clock, disk or network; neither argument is written to, and a state may
  be stepped again (arrays are shared between states, never changed). Splitting a batch changes nothing, nor does
  another order of arrival within the lateness bound.
- `observe(state) -> table`: what the kernel knows, for comparison.

Times are int64 microseconds since 1970 UTC.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bounds:
    """How late and how early a sample may be, and how much a kernel may hold.

    `pane_samples` bounds the samples that wait in one pane, over all series, so that a sender whose clock is ahead
    cannot take the room of the others; `open_samples` those in all panes together (24 bytes each). The first to come
    are kept. `series` bounds the series of one pane, of which those with the lowest ids, registered first, are kept.
    """

    lateness_us: int = 60_000_000
    future_us: int = 600_000_000
    pane_samples: int = 1_000_000
    open_samples: int = 10_000_000
    series: int = 100_000


@dataclass(frozen=True)
class Batch:
    """Samples in order of arrival, and the watermark: the time that the sender of the batch knows it to be.

    `series` and `times_us` int64[n], `values` float64[n]. The watermark counts before the samples do.
    """

    series: np.ndarray
    times_us: np.ndarray
    values: np.ndarray
    watermark_us: int

    def __len__(self) -> int:
        return len(self.series)

    def take(self, rows: np.ndarray | slice) -> Batch:
        """Some of the samples, under the same watermark."""
        return Batch(self.series[rows], self.times_us[rows], self.values[rows], self.watermark_us)


@dataclass(frozen=True)
class Counts:
    """What became of samples. All but `taken` and `repeated` were ignored when they came.

    `repeated` is known once a pane closes: samples that were taken but had the series and time of an earlier one.
    """

    taken: int = 0
    too_late: int = 0
    too_early: int = 0
    not_finite: int = 0
    over_bound: int = 0
    repeated: int = 0

    def __add__(self, other: Counts) -> Counts:
        names = [field.name for field in dataclasses.fields(self)]
        return Counts(*(getattr(self, name) + getattr(other, name) for name in names))
