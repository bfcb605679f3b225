"""Where samples and rows come from, and where they go: the lake and the back ends behind the same few methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from workbench.config import Ingest, Query
from workbench.errors import InputError
from workbench.ingest.copy.plan import Plan
from workbench.ingest.identity_rules import check_identity
from workbench.ingest.points import Rows
from workbench.query import labelled_samples, labelled_series
from workbench.schema import KINDS, STALE_NAN_BITS
from workbench.store import (
    Identity,
    LabelledSamples,
    LabelMatcher,
    RemoteWriter,
    TimeSeriesStore,
    View,
    Warehouse,
    Writer,
)  # fmt: skip

_DAY_US = 86_400_000_000

Labels = tuple[tuple[str, str], ...]


class SampleSource(Protocol):
    """What samples are read from; a `TimeSeriesStore` is one."""

    def span_us(self) -> tuple[int, int]:
        """First and last time of which there may be samples."""

    def series(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> list[Labels]:
        """The series that meet the matchers."""

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """Type, unit and help text of each metric."""

    def read(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> LabelledSamples:
        """Their samples, both ends included."""


class LakeSamples:
    """Log and lake as a source of samples, under the names that PromQL sees."""

    def __init__(self, view: View, limits: Query) -> None:
        self._view = view
        self._limits = limits
        self.histograms = 0

    def span_us(self) -> tuple[int, int]:
        """From the first day of the lake on."""
        last_us = self._view.latest_us
        if not last_us:
            return (0, 0)
        days = self._view.days("samples")
        # What is only in the log is a day old at most: the doors take nothing older.
        return min(days[0] * _DAY_US if days else last_us, last_us - 2 * _DAY_US), last_us

    def series(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> list[Labels]:
        """All that meet the matchers; native histograms are counted and left out."""
        found, self.histograms = labelled_series(self._view, matchers)
        return found

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """None: no back end takes it by samples."""
        return {}

    def read(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> LabelledSamples:
        """From log and lake as one."""
        return labelled_samples(self._view, matchers, start_us, end_us, limits=self._limits)


class StoreTarget:
    """A time-series store as a target: what a run that was cut short had written already is not written again."""

    def __init__(self, store: TimeSeriesStore) -> None:
        self._store = store

    def write(self, plan: Plan, samples: LabelledSamples, *, resumed: bool) -> int:
        """Write a piece; how many samples of it were new."""
        if resumed and len(samples.times_us):
            samples = self._missing(samples)
        if len(samples.times_us):
            self._store.write(samples)
        return len(samples.times_us)

    def _missing(self, samples: LabelledSamples) -> LabelledSamples:
        """Without what the store has of these series; some refuse what is older than the newest that they have."""
        names = sorted({dict(labels).get("__name__", "") for labels in samples.labels})
        first_us, last_us = int(samples.times_us.min()), int(samples.times_us.max())
        step_us = self._store.resolution_us
        known: dict[Labels, np.ndarray] = {}
        for name in names:
            there = self._store.read([LabelMatcher("__name__", "=", name)], first_us // step_us * step_us, last_us)
            for at, labels in enumerate(there.labels):
                known[labels] = there.times_us[there.offsets[at] : there.offsets[at + 1]]
        keep = np.ones(len(samples.times_us), bool)
        for at, labels in enumerate(samples.labels):
            if labels in known:
                part = slice(samples.offsets[at], samples.offsets[at + 1])
                keep[part] = ~np.isin(samples.times_us[part] // step_us * step_us, known[labels])
        return samples.chosen(np.arange(len(samples.labels)), keep)


class LakeTarget:
    """The lake as a target: numbered steps of a load, each exactly once."""

    def __init__(
        self, writer: Writer | RemoteWriter, limits: Ingest, source: str, told: Mapping[str, tuple[str, str, str]]
    ) -> None:
        self._writer = writer
        self._limits = limits
        self._source = source
        self._told = told
        self._ids: dict[Labels, int] = {}

    def write(self, plan: Plan, samples: LabelledSamples, *, resumed: bool) -> int:
        """Load a piece; how many samples of it were new."""
        del resumed  # the number of the step tells
        if not len(samples.times_us):
            return 0
        ids = np.repeat(self._registered(samples.labels), np.diff(samples.offsets))
        bits = np.ascontiguousarray(samples.values).view(np.uint64)
        stale = bits == np.uint64(STALE_NAN_BITS)
        batch = Rows(ids, samples.times_us, bits, np.zeros(len(ids), np.int64), stale).batch()
        return len(ids) if load(self._writer, plan, "samples", batch) else 0

    def _registered(self, labels: Sequence[Labels]) -> np.ndarray:
        fresh = [one for one in labels if one not in self._ids]
        if fresh:
            made = [self._identity(one) for one in fresh]
            given = self._writer.register(made, self._source)
            self._ids.update(zip(fresh, given, strict=True))
        return np.array([self._ids[one] for one in labels], np.int64)

    def _identity(self, labels: Labels) -> tuple[Identity, str, str]:
        named = dict(labels)
        name = named.pop("__name__", "")
        type_, unit, text = self._told.get(name, ("unknown", "", ""))
        identity = Identity("prometheus", name, type_, unit, "", (), tuple(sorted(named.items())))
        refusal = check_identity(identity, self._limits, anonymous=False)
        if refusal is not None:
            raise InputError(
                f"a series cannot be registered: {refusal.reason}", where=str(dict(labels))[:200],
                hint="Leave it out with --match.",
            )  # fmt: skip
        return identity, text, ""


def load(writer: Writer | RemoteWriter, plan: Plan, kind: str, batch: pa.RecordBatch) -> bool:
    """The next numbered step of the plan's load; False if an earlier run did it."""
    done = writer.load(plan.id, plan.loads + 1, {kind: batch})
    plan.loads += 1
    return done


def rows_into_lake(writer: Writer | RemoteWriter, plan: Plan, kind: str, rows: pa.Table) -> int:
    """Load rows of a table; how many of them were new."""
    if not rows.num_rows:
        return 0
    batch = rows.select(KINDS[kind].schema.names).combine_chunks().to_batches()[0]
    return batch.num_rows if load(writer, plan, kind, batch) else 0


def rows_into_warehouse(warehouse: Warehouse, kind: str, rows: pa.Table) -> int:
    """Write rows of a table; one that is there already keeps its place."""
    if rows.num_rows:
        warehouse.write(kind, rows)
    return rows.num_rows
