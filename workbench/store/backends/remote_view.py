"""A view whose samples lie in a time-series store, or whose tables lie in a warehouse: asked like every other view.

Series get ids that depend on their labels alone, so that all processes agree without telling each other.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from workbench.errors import Forbidden, StoreError
from workbench.schema import KINDS, STALE_NAN_BITS
from workbench.store.backends.protocols import LabelledSamples, LabelMatcher, Labels, TimeSeriesStore, Warehouse, joined
from workbench.store.exemplars import SHOWN
from workbench.store.follow import Follower
from workbench.store.registry import Identity, Series, SeriesRegistry, series_batch
from workbench.store.samples import Samples
from workbench.store.view import RolledUp, View

_DAY_US = 86_400_000_000
_NARROWING = 50  # values of a label that a matcher lists at most
_NAMES_PER_REQUEST = 50
_LIST_SECONDS = 1.0
_LIST_SHARE = 20  # listing all series may take this part of the time
_AHEAD_US = 600_000_000  # a clock of a sender may be ahead

_OUR_SAMPLES = ("series", "samples")


class RemoteView(View):
    """What `store.timeseries` and `store.warehouse` name, and the local log and lake for the rest. Thread-safe."""

    def __init__(self, local: Follower, timeseries: TimeSeriesStore | None, warehouse: Warehouse | None) -> None:
        # Not View.__init__: samples are held by the store behind, tables by the warehouse.
        self.local = local
        self.timeseries = timeseries
        self.warehouse = warehouse
        self._known = SeriesRegistry()
        self._names: dict[str, list[int]] = {}
        self._labels: dict[int, Labels] = {}
        self._ids: dict[Labels, int] = {}
        self._span_us = (0, 0)
        self._listing = threading.Lock()
        self._list_after = 0.0
        self._asked = timeseries is None

    @property
    def registry(self) -> SeriesRegistry:
        """The series that there were at the last `refresh`."""
        self._ask_once()
        return self._known if self.timeseries else self.local.registry

    @property
    def latest_us(self) -> int:
        """Time of the newest sample, 0 if there is none."""
        self._ask_once()
        return self._span_us[1] if self.timeseries else self.local.latest_us

    @property
    def lake_version(self) -> str:
        """Id of the newest manifest of the local lake."""
        return self.local.lake_version

    @property
    def version_time_us(self) -> int:
        """When that manifest was written."""
        return self.local.version_time_us

    def version_at(self, time_us: int) -> str:
        """Id of the manifest of the local lake that was the newest at a time. Raises VersionGone."""
        return self.local.version_at(time_us)

    @property
    def sealed_segment(self) -> int:
        """Highest log segment that the local lake holds."""
        return self.local.sealed_segment

    def refresh(self) -> bool:
        """Follow the local log, and learn which series the store has; True if anything was new."""
        moved = self.local.refresh()
        if self.timeseries is None or time.monotonic() < self._list_after:
            return moved
        with self._listing:
            started, before = time.monotonic(), (self._known.generation, self._span_us)
            self._span_us = self.timeseries.span_us()
            if self._span_us != (0, 0):
                first_us, last_us = self._span_us[0], self._span_us[1] + _AHEAD_US
                self._take(self.timeseries.series([], first_us, last_us))
            self._asked = True
            took = time.monotonic() - started
            self._list_after = time.monotonic() + max(_LIST_SECONDS, took * _LIST_SHARE)
            return moved or before != (self._known.generation, self._span_us)

    def _ask_once(self) -> None:
        """Before the first answer. Not when the view is made: a process starts while the store is down, too."""
        if not self._asked:
            self.refresh()

    def _take(self, found: Iterable[Labels]) -> None:
        fresh = [labels for labels in found if labels not in self._ids]
        if not fresh or self.timeseries is None:
            return
        told = self.timeseries.metadata()
        made = []
        for labels in fresh:
            id_ = series_id(labels)
            if self._labels.setdefault(id_, labels) != labels:
                raise StoreError(f"two series have the same id: {dict(labels)} and {dict(self._labels[id_])}")
            named = dict(labels)
            name = named.pop("__name__", "")
            type_, unit, text = told.get(name, ("unknown", "", ""))
            identity = Identity("prometheus", name, type_, unit, "", (), tuple(sorted(named.items())))
            made.append(Series(id_, identity, text, "", self.timeseries.url, 0))
            self._names.setdefault(name, []).append(id_)
        self._ids.update((self._labels[one.id], one.id) for one in made)
        self._known.add(made)

    def rolled(self) -> RolledUp:
        """How far the local roll-ups stand for local samples; those of a store behind have none here."""
        return RolledUp(0, {}) if self.timeseries else self.local.rolled()

    def rollups(self, name: str, ids: np.ndarray, start_us: int, end_us: int, columns: Sequence[str]) -> pa.Table:
        """As the local view."""
        return self.local.rollups(name, ids, start_us, end_us, columns)

    def samples(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> Samples:
        """As any view; with `version` what the local lake has of it. Raises StoreError where the store fails."""
        if self.timeseries is None or version is not None:
            return self.local.samples(ids, start_us, end_us, version=version)
        self._ask_once()
        wanted = np.unique(np.asarray(ids, np.int64))
        first_us, last_us = max(start_us, self._span_us[0]), min(end_us, self._span_us[1] + _AHEAD_US)
        if first_us > last_us or not len(wanted):
            return Samples(wanted, np.zeros(len(wanted) + 1, np.int64), np.empty(0, np.int64), np.empty(0))
        found = joined([self.timeseries.read(one, first_us, last_us) for one in self._selectors(wanted)])
        return self._by_id(found, wanted)

    def _by_id(self, found: LabelledSamples, wanted: np.ndarray) -> Samples:
        """The wanted of the series that were found, in the order of their ids."""
        ids = np.array([self._ids.get(labels, -1) for labels in found.labels], np.int64)
        places = np.flatnonzero(np.isin(ids, wanted))
        places = places[np.argsort(ids[places], kind="stable")]
        counts = np.zeros(len(wanted), np.int64)
        sizes = np.diff(found.offsets)[places]
        counts[np.searchsorted(wanted, ids[places])] = sizes
        before = np.cumsum(sizes) - sizes
        rows = np.repeat(found.offsets[:-1][places] - before, sizes) + np.arange(sizes.sum())
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return Samples(wanted, offsets, found.times_us[rows], found.values[rows])

    def _selectors(self, wanted: np.ndarray) -> list[list[LabelMatcher]]:
        """Matchers that name the wanted series, and not many more: whole metrics together, of others a part."""
        groups: dict[str, list[int]] = defaultdict(list)
        for id_ in wanted.tolist():
            if id_ in self._labels:
                groups[self._known.get(id_).identity.name].append(id_)
        whole = [name for name, ids in groups.items() if len(ids) == len(self._names[name])]
        found = [
            [_one_of("__name__", whole[at : at + _NAMES_PER_REQUEST])]
            for at in range(0, len(whole), _NAMES_PER_REQUEST)
        ]
        for name, ids in groups.items():
            if len(ids) < len(self._names[name]):
                found.append([LabelMatcher("__name__", "=", name), *self._narrowed([self._labels[i] for i in ids])])
        return found

    @staticmethod
    def _narrowed(labels: Sequence[Labels]) -> list[LabelMatcher]:
        values: dict[str, set[str]] = defaultdict(set)
        counts: dict[str, int] = defaultdict(int)
        for one in labels:
            for name, value in one:
                counts[name] += 1
                if len(values[name]) <= _NARROWING:
                    values[name].add(value)
        return [
            _one_of(name, sorted(known))
            for name, known in values.items()
            if name != "__name__" and counts[name] == len(labels) and len(known) <= _NARROWING
        ]

    def exemplars(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> pa.Table:
        """As any view, where the samples are local; a time-series store is not asked for any."""
        if self.timeseries is None or version is not None:
            return self.local.exemplars(ids, start_us, end_us, version=version)
        return SHOWN.empty_table()

    def table(
        self,
        kind: str,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        columns: Sequence[str] | None = None,
        version: str | None = None,
    ) -> pa.Table:
        """As any view: series and samples as the time-series store has them, other kinds from the warehouse."""
        if version is None and kind in KINDS:
            if kind in _OUR_SAMPLES and self.timeseries is not None:
                rows = self._series_rows() if kind == "series" else self._sample_rows(start_us, end_us)
                return rows.select(list(columns) if columns is not None else KINDS[kind].schema.names)
            if kind not in _OUR_SAMPLES and self.warehouse is not None:
                return self.warehouse.table(kind, start_us=start_us, end_us=end_us, columns=columns)
        return self.local.table(kind, start_us=start_us, end_us=end_us, columns=columns, version=version)

    def _series_rows(self) -> pa.Table:
        return _with_places(pa.Table.from_batches([series_batch(self.registry.since(0))]))

    def _sample_rows(self, start_us: int | None, end_us: int | None) -> pa.Table:
        self._ask_once()
        ids = np.array(sorted(self._labels), np.int64)
        first_us, last_us = (self._span_us[0], self._span_us[1] + _AHEAD_US)
        found = self.samples(ids, first_us if start_us is None else start_us, last_us if end_us is None else end_us)
        stale = np.ascontiguousarray(found.values).view(np.uint64) == np.uint64(STALE_NAN_BITS)
        given = {
            "series": pa.array(np.repeat(found.ids, np.diff(found.offsets))),
            "time": pa.array(found.times_us),
            "type": pa.array(np.zeros(len(found.times_us), np.int8)),
            "value": pa.array(found.values, from_pandas=False),
            "stale": pa.array(stale),
        }
        schema = KINDS["samples"].schema
        columns = [
            given[field.name].cast(field.type) if field.name in given else pa.nulls(len(stale), field.type)
            for field in schema
        ]
        return _with_places(pa.Table.from_arrays(columns, schema=schema))

    def days(self, kind: str, *, version: str | None = None) -> list[int]:
        """As any view: days since 1970 of which there may be rows."""
        if version is None and kind == "samples" and self.timeseries is not None:
            self._ask_once()
            first_us, last_us = self._span_us
            return list(range(first_us // _DAY_US, last_us // _DAY_US + 1)) if last_us else []
        if version is None and kind not in _OUR_SAMPLES and self.warehouse is not None:
            return self.warehouse.days(kind)
        return self.local.days(kind, version=version)

    def files(self, kind: str, *, version: str | None = None) -> list[str]:
        """Files of the local lake; refused for what lies in a store. Raises Forbidden."""
        ours = self.timeseries is None if kind in _OUR_SAMPLES else self.warehouse is None
        if version is None and not ours:
            raise Forbidden("the rows lie in a store beside the lake", where=kind, hint="Ask for the table.")
        return self.local.files(kind, version=version)

    def close(self) -> None:
        """Close the local view."""
        self.local.close()

    def warm(self) -> None:
        """Nothing: the local view warms itself where it is asked."""

    def reload(self) -> None:
        """Start again from the newest local lake."""
        self.local.reload()

    def lake_moved(self) -> bool:
        """Look for a newer manifest of the local lake."""
        return self.local.lake_moved()


def series_id(labels: Labels) -> int:
    """The id of a series of a back end: 63 bits of a hash of its labels."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in labels:
        for text in (name.encode(), value.encode()):
            digest.update(len(text).to_bytes(4, "little") + text)
    return int.from_bytes(digest.digest(), "little") >> 1 or 1


def _one_of(label: str, values: Sequence[str]) -> LabelMatcher:
    if len(values) == 1:
        return LabelMatcher(label, "=", values[0])
    return LabelMatcher(label, "=~", "|".join(map(_literal, values)))


def _literal(text: str) -> str:
    """A text as a regular expression of RE2 that it alone meets; Python's `escape` knows escapes that RE2 does not."""
    return "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$" else c for c in text)


def _with_places(rows: pa.Table) -> pa.Table:
    """With `segment` and `row`, which order rows of the log: a store has one row per key already."""
    return rows.append_column("segment", pa.array(np.zeros(rows.num_rows, np.int64))).append_column(
        "row", pa.array(np.arange(rows.num_rows))
    )
