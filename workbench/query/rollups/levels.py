"""Which roll-up may answer which step: the decision alone, without reading anything.

A window that ends at a multiple of a bucket's width, and is a multiple of it long, is made of whole buckets: its answer
from the buckets is that from the samples. Where samples may have gone for their age, windows are moved to such bounds:
their ends down to the bucket that ended last, and what is shorter than a bucket becomes the bucket around its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.schema import ROLLUP_US
from workbench.store import RolledUp

_COARSEST_FIRST = tuple(reversed(ROLLUP_US.items()))

# Reading a bucket costs about as much as reading so many samples, which a minute seldom has many more of: minutes pay
# only where a window holds several, hours and days always.
_MINUTES_PAY_US = 15 * 60_000_000
# Opening the tables of roll-ups takes 10-20 ms, in which the index of the samples gives some four million of them.
# How dense they are is not known before: at one in 10 s that is so many us of series.
_SERIES_PAY_US = 4_000_000 * 10_000_000
_NEVER_US = -(2**62)  # before all samples, those before 1970 too


@dataclass(frozen=True)
class Part:
    """Some steps of a query, and what answers them.

    `steps` int64[k] are their places; `level` is the roll-up, "" where the samples answer; windows (ends_us - width_us,
    ends_us] are those to be taken. `moved` says that they are not quite those that were asked for, because samples may
    have gone; series that still have theirs are to be answered from these.
    """

    steps: np.ndarray
    level: str
    ends_us: np.ndarray
    width_us: int
    moved: bool = False


@dataclass(frozen=True)
class Levels:
    """What a view's roll-ups can stand for."""

    exact_us: int
    let_go_us: dict[str, int]

    @classmethod
    def of(cls, rolled: RolledUp) -> Levels:
        """From what a view says."""
        let_go_us = {name: rolled.let_go_us.get(name, _NEVER_US) for name in ("samples", *ROLLUP_US)}
        return cls(rolled.exact_us if rolled.exact_us > 0 else _NEVER_US, let_go_us)

    @property
    def gone_us(self) -> int:
        """Before this time samples may have gone, and roll-ups stand for them."""
        return self.let_go_us["samples"]

    def exact_until_us(self, level: str) -> int:
        """End of the newest bucket of a level that knows all that there is."""
        return self.exact_us // ROLLUP_US[level] * ROLLUP_US[level]

    def until_us(self, part: Part) -> int:
        """Up to where a part's buckets are to be read, and samples behind it.

        Where samples have gone, buckets are better even if something late is not in them yet.
        """
        exact_us = self.exact_until_us(part.level)
        return max(exact_us, self.gone_us // ROLLUP_US[part.level] * ROLLUP_US[part.level]) if part.moved else exact_us

    def parts(self, ends_us: np.ndarray, width_us: int, series: int) -> Iterator[Part]:
        """Split the steps of a window function of so many series by what answers them."""
        starts = ends_us - width_us
        gone = starts < self.gone_us
        if len(gone) and not gone.any():
            yield from self._exact(np.arange(len(ends_us)), ends_us, width_us, series)
            return
        finest = np.array([self._finest(start) if away else "" for start, away in zip(starts, gone, strict=True)])
        for level in np.unique(finest).tolist():
            steps = np.flatnonzero(finest == level)
            if not level:
                yield from self._exact(steps, ends_us[steps], width_us, series)
                continue
            ends, width = _moved(ends_us[steps], width_us, ROLLUP_US[level])
            yield Part(steps, self._coarsest(ends, width, int(ends.min()) - width) or level, ends, width, moved=True)

    def _exact(self, steps: np.ndarray, ends_us: np.ndarray, width_us: int, series: int) -> Iterator[Part]:
        """Steps of which all samples are there: from roll-ups where that is the same and pays."""
        span_us = int(ends_us.max() - ends_us.min()) + width_us
        if series * span_us < _SERIES_PAY_US:
            yield Part(steps, "", ends_us, width_us)
            return
        level = self._coarsest(ends_us, width_us, int(ends_us.min()) - width_us)
        if level == "rollup_1m" and width_us < _MINUTES_PAY_US:
            level = ""
        known = ends_us <= self.exact_until_us(level) if level else np.zeros(len(steps), bool)
        # A long window is worth it even if its last piece has to be read as samples.
        if level and width_us >= 8 * ROLLUP_US[level]:
            known |= ends_us - width_us // 2 <= self.exact_until_us(level)
        if known.any():
            yield Part(steps[known], level, ends_us[known], width_us)
        if not known.all():
            yield Part(steps[~known], "", ends_us[~known], width_us)

    def _coarsest(self, ends_us: np.ndarray, width_us: int, start_us: int) -> str:
        """The coarsest level whose buckets make up all windows, and which still has them; "" if there is none."""
        for level, bucket_us in _COARSEST_FIRST:
            fits = width_us % bucket_us == 0 and not (ends_us % bucket_us).any()
            if fits and self.let_go_us[level] <= start_us < max(self.exact_until_us(level), self.gone_us):
                return level
        return ""

    def _finest(self, start_us: int) -> str:
        for level in ROLLUP_US:
            if self.let_go_us[level] <= start_us:
                return level
        return "rollup_1d"


def gone_text(level: str) -> str:
    """What is said beside an answer where samples have gone."""
    return f"samples have gone for their age; answered from roll-ups at a resolution of {level.removeprefix('rollup_')}"


def _moved(ends_us: np.ndarray, width_us: int, bucket_us: int) -> tuple[np.ndarray, int]:
    if width_us < bucket_us:
        return -(-ends_us // bucket_us) * bucket_us, bucket_us
    return ends_us // bucket_us * bucket_us, round(width_us / bucket_us) * bucket_us
