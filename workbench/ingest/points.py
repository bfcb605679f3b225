"""What every decoder of samples hands on: keys, times and a way to make rows, before anything is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from workbench.ingest.refusals import Refusal
from workbench.schema import KINDS, STALE_NAN_BITS, TIME
from workbench.store import Identity

MAX_KEY_BYTES = 4 * 2**20
"""Of the labels of one series: the most that `check_identity` lets through, and little enough to parse."""


class Member(NamedTuple):
    """A series as its sender describes it."""

    identity: Identity
    description: str
    scope: str


@dataclass
class Rows:
    """Rows of `samples` as columns; `bits` are those of the doubles, 0 in `starts_us` means none.

    `histograms` and `exemplars` map the number of a row to a value of the schema's struct; `alone` are the numbers of
    those that hold an exemplar and no measurement.
    """

    series: np.ndarray
    times_us: np.ndarray
    bits: np.ndarray
    starts_us: np.ndarray
    stale: np.ndarray
    histograms: dict[int, dict[str, Any] | None] = field(default_factory=dict)
    exemplars: dict[int, dict[str, Any]] = field(default_factory=dict)
    alone: list[int] = field(default_factory=list)

    def batch(self) -> pa.RecordBatch:
        """As a batch of `samples`."""
        schema = KINDS["samples"].schema
        n = len(self.series)
        types = np.zeros(n, np.int8)
        types[list(self.histograms)] = 1
        types[self.alone] = 2
        bits = np.where(self.stale, np.uint64(STALE_NAN_BITS), self.bits)
        columns = [
            pa.array(self.series, pa.int64()),
            pa.array(self.times_us, pa.int64()).view(TIME),
            pa.array(types),
            pa.array(bits.view(np.float64), mask=types != 0, from_pandas=False),
            pa.array(self.stale),
            pa.array(self.starts_us, pa.int64(), mask=self.starts_us == 0).view(TIME),
            _sparse(self.histograms, n, schema.field("histogram").type),
            _sparse(self.exemplars, n, schema.field("exemplar").type),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def _sparse(values: dict[int, Any], n: int, kind: pa.DataType) -> pa.Array:
    if not values:
        return pa.nulls(n, kind)
    return pa.array([values.get(i) for i in range(n)], kind)


class Told(NamedTuple):
    """What a sender tells of a metric apart from its samples; of a histogram or summary by the name its parts share."""

    name: str
    type: str
    unit: str
    help: str


class ExemplarOnly(Enum):
    """What stands for the value of a point that brings none."""

    EXEMPLAR_ONLY = "exemplar"


EXEMPLAR_ONLY = ExemplarOnly.EXEMPLAR_ONLY


@dataclass
class OddPoint:
    """A point of a rare kind, decoded one by one: its series with a double's bits, a histogram or EXEMPLAR_ONLY each.

    `group` is the number of the point in its request.
    """

    group: int
    members: list[Member] | Refusal
    values: list[np.uint64 | dict[str, Any] | ExemplarOnly | None]
    start_us: int = 0
    stale: bool = False
    exemplar: dict[str, Any] | None = None


@dataclass
class Decoded:
    """A request of n points.

    - `words`, `starts`: a key of `ByteTable` for each group of series.
    - `groups` (int64[n]): the group a point belongs to, -1 if it is one of `odd`; `times_us` (int64[n], 0 = none).
    - `refused`: reason -> mask (bool[n]) of the points that the decoder refuses already.
    - `members(group)` decodes who the series of a group are; `describe(point)` shows a point to a person.
    - `rows(points, first, members)`: rows of the accepted points, whose series begin at `first` in the array `members`.
    """

    words: np.ndarray
    starts: np.ndarray
    groups: np.ndarray
    times_us: np.ndarray
    refused: dict[str, np.ndarray]
    members: Callable[[int], list[Member] | Refusal]
    rows: Callable[[np.ndarray, np.ndarray, np.ndarray], Rows]
    describe: Callable[[int], str]
    odd: list[OddPoint] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


def join_rows(parts: list[Rows]) -> Rows:
    """Several blocks of rows as one."""
    if len(parts) == 1:
        return parts[0]
    joined = Rows(
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.times_us for part in parts]),
        np.concatenate([part.bits for part in parts]),
        np.concatenate([part.starts_us for part in parts]),
        np.concatenate([part.stale for part in parts]),
    )
    base = 0
    for part in parts:
        joined.histograms.update({base + i: v for i, v in part.histograms.items()})
        joined.exemplars.update({base + i: v for i, v in part.exemplars.items()})
        joined.alone += [base + i for i in part.alone]
        base += len(part.series)
    return joined
