"""What a back end can do: the two protocols, and the plain data that goes through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

Labels = tuple[tuple[str, str], ...]
"""A label set as PromQL sees it, `__name__` included: pairs sorted by name, without empty values."""


class LabelMatcher(NamedTuple):
    """A condition on a label: `operator` is `=`, `!=`, `=~` or `!~`; expressions are RE2's, anchored at both ends."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True)
class LabelledSamples:
    """Float samples of n series: those of `labels[i]` are `[offsets[i]:offsets[i + 1]]` of times and values.

    offsets: int64[n + 1]; times_us: int64[m], microseconds since 1970 UTC, ascending within a series; values:
    float64[m]. A staleness marker has the bits `schema.STALE_NAN_BITS`.
    """

    labels: Sequence[Labels]
    offsets: np.ndarray
    times_us: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, series: np.ndarray, keep: np.ndarray) -> LabelledSamples:
        """Only the series numbered in `series` (ascending), and of theirs the samples where `keep` (bool[m]) is set."""
        ends = np.concatenate(([0], np.cumsum(keep)))
        counts = ends[self.offsets[1:]] - ends[self.offsets[:-1]]
        owner = np.repeat(np.arange(len(self.labels)), np.diff(self.offsets))
        wanted = keep & np.isin(owner, series)
        offsets = np.concatenate(([0], np.cumsum(counts[series]))).astype(np.int64)
        return LabelledSamples([self.labels[at] for at in series], offsets, self.times_us[wanted], self.values[wanted])


def joined(parts: Sequence[LabelledSamples]) -> LabelledSamples:
    """The series of several parts, one after the other."""
    counts = [np.diff(part.offsets) for part in parts]
    return LabelledSamples(
        [labels for part in parts for labels in part.labels],
        np.concatenate(([0], np.cumsum(np.concatenate([*counts, np.empty(0, np.int64)])))).astype(np.int64),
        np.concatenate([*(part.times_us for part in parts), np.empty(0, np.int64)]),
        np.concatenate([*(part.values for part in parts), np.empty(0)]),
    )


class TimeSeriesStore(Protocol):
    """Samples by labels. Times are microseconds since 1970 UTC, both ends included. Thread-safe.

    Every method raises StoreError where the store does not answer or refuses, with its words.
    """

    url: str
    """Where it is, without credentials."""
    resolution_us: int
    """The step in which the store keeps time: what is finer is cut off."""

    def span_us(self) -> tuple[int, int]:
        """The first and the last time of which it may have samples; (0, 0) where it is empty."""

    def series(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> list[Labels]:
        """The series that meet all matchers (none: all) and may have samples in that time, sorted."""

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """Type, unit and help text of each metric that it knows of."""

    def read(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> LabelledSamples:
        """Raw samples of all series that meet the matchers, staleness markers included where the store keeps them."""

    def write(self, samples: LabelledSamples) -> None:
        """Write samples; on return they are stored. What is there already, with its value, counts for nothing."""


class Warehouse(Protocol):
    """Tables of the kinds of `schema.KINDS`. Times are microseconds since 1970 UTC, both ends included. Thread-safe.

    Every method raises StoreError where the warehouse does not answer or refuses, with its words.
    """

    url: str
    """Where it is, without credentials."""
    dialect: str
    """What Ibis calls its SQL."""

    def days(self, kind: str) -> list[int]:
        """Days since 1970, ascending, of which it has rows of a kind; none where its rows have no time."""

    def table(
        self, kind: str, *, start_us: int | None = None, end_us: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Rows with the columns of `KINDS[kind].schema`, one per key, the highest (`segment`, `row`) of each.

        `columns` may name `segment` and `row` too.
        """

    def write(self, kind: str, rows: pa.Table) -> None:
        """Write rows of `KINDS[kind].schema` with `segment` and `row`; on return they are stored.

        A row whose key is there already takes its place if its (`segment`, `row`) is not lower.
        """

    def schema(self, kind: str) -> pa.Schema:
        """The columns of a kind as its SQL sees them, `segment` and `row` left out."""

    def sql(self, text: str, *, timeout_seconds: int) -> pa.Table:
        """Answer a SELECT in its own `dialect`; its tables are the kinds, one row per key. Raises QueryError too."""
