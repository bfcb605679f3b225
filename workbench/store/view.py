"""The read side: log and lake as one, the same in the writing process and in every other."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench import log as logs
from workbench.config import Settings
from workbench.errors import LogCorrupt, StoreError
from workbench.schema import KINDS
from workbench.store import exemplars as bearing
from workbench.store.batches import complete, decode_present
from workbench.store.head import Head
from workbench.store.histograms import HistogramSamples, from_rows
from workbench.store.index.read import IndexedLake
from workbench.store.lake import Lake
from workbench.store.layout import segment_path
from workbench.store.published import pack_sequence
from workbench.store.registry import SeriesRegistry, series_rows
from workbench.store.samples import (
    NO_LIMIT_US,
    Samples,
    compile_kernels,
    float_rows,
    merge_runs,
    numbers,
    sort_run,
)
from workbench.store.wal import DOCTOR, read_record

log = logs.get(__name__)

_ATTEMPTS = 3
_SLICES = 16  # of the head's span, when it is filled: bounds the memory that takes
_ALL_ROWS = (1 << 40) - 1
_SAMPLE_COLUMNS = ("series", "time", "type", "value", "segment", "row")
_HISTOGRAM_COLUMNS = ("series", "time", "type", "stale", "start_time", "histogram", "segment", "row")


class RolledUp(NamedTuple):
    """What roll-ups can say; times are microseconds UTC.

    Up to `exact_us` they know every sample that there is. Before `let_go_us[table]` rows of that table, `samples`
    among them, may have been let go for their age.
    """

    exact_us: int
    let_go_us: Mapping[str, int]


class LogRows(NamedTuple):
    """Where rows of one kind lie in the log, the number of the first of them within its segment, the oldest sample."""

    segment: int
    offset: int
    first_row: int
    oldest_us: int = NO_LIMIT_US


class View:
    """A consistent view of log and lake. Thread-safe.

    Fed with the log's records in their order by `accept`, and told by `lake_moved` that a segment was sealed. With
    `version` only what that manifest names is read. `clock_us` is the wall clock.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        version: str | None = None,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._registry = SeriesRegistry()
        self._settings = settings
        self._version = version
        self._clock_us = clock_us
        self._lake = Lake(settings)
        self._cold = IndexedLake(settings, self._lake)
        self._guard = threading.Lock()  # guards the four below
        self._unsealed: dict[str, list[LogRows]] = {}
        self._unsealed_histograms: list[pa.Table] = []
        self._unsealed_exemplars: list[pa.Table] = []
        self._rows: dict[str, int] = {}
        self._segment = 0
        self._head = Head()
        self._warmer: threading.Thread | None = None
        self.reload()

    @property
    def registry(self) -> SeriesRegistry:
        """The series that can be read."""
        return self._registry

    @property
    def latest_us(self) -> int:
        """Time of the newest sample seen, 0 if there is none."""
        return self._head.latest_us or self._lake.latest_us(version=self._version)

    @property
    def lake_version(self) -> str:
        """Id of the manifest that is read: the pinned one, else the newest; "" before the first seal."""
        return self._version or self._lake.lake_version

    @property
    def version_time_us(self) -> int:
        """When the manifest that is read was written, in microseconds UTC; 0 before the first seal."""
        manifest = self._lake.manifest(self._version)
        return manifest.time_us if manifest else 0

    def version_at(self, time_us: int) -> str:
        """Id of the manifest that was the newest at a time (microseconds UTC). Raises VersionGone."""
        return self._lake.manifests.at(time_us).id

    @property
    def sealed_segment(self) -> int:
        """Highest log segment that the lake holds, as far as this view knows."""
        return self._lake.sealed_segment(self._version)

    def reload(self) -> None:
        """Start again from the newest lake, and an empty head. The log after it is to follow."""
        self._lake.refresh()
        while not self._load_series(self.sealed_segment):
            pass
        if self._warmer is not None:
            self.warm()

    def _load_series(self, sealed: int) -> bool:
        """Load the series that the lake holds up to segment `sealed`; False if the lake moved on meanwhile."""
        self._registry.add(series_rows(_newest(self._lake.table("series", version=self._version), ("series",))))
        if self.sealed_segment != sealed:
            return False
        with self._guard:
            self._unsealed = {}
            self._unsealed_histograms = []
            self._unsealed_exemplars = []
            self._rows = {}
            self._segment = sealed
            self._head = Head()
        return True

    def warm(self) -> None:
        """Begin to load the lake's recent samples into the head, the newest first, in a thread of its own.

        Until it comes to them, queries read them from the lake: the answers are the same, only later.
        """
        self._warmer = threading.Thread(target=self._fill, args=(self._head,), name="head-warmer")
        self._warmer.start()

    def close(self) -> None:
        """Stop filling the head."""
        self._head = Head()
        if self._warmer is not None:
            self._warmer.join()

    def _fill(self, head: Head) -> None:
        try:
            compile_kernels()
            self._read_recent(head)
        except Exception:  # the lake answers in its place
            log.exception("head_not_filled")

    def _read_recent(self, head: Head) -> None:
        span_us = self._settings.query.head_seconds * 1_000_000
        oldest_us = self._clock_us() - span_us
        start_us, end_us = oldest_us + span_us, None
        # A process that ends, or a view that is closed or starts again, is not kept waiting.
        while start_us > oldest_us and head is self._head and threading.main_thread().is_alive():
            if head.rows >= self._settings.query.head_samples:
                break
            start_us = max(start_us - span_us // _SLICES - 1, oldest_us)
            rows = self._lake.table("samples", start_us=start_us, end_us=end_us, columns=_SAMPLE_COLUMNS)
            head.add(*float_rows(rows))
            head.now_complete_from(start_us)
            end_us = start_us - 1

    def accept(
        self, segment: int, offset: int, batches: Mapping[str, pa.RecordBatch], *, registered: bool = False
    ) -> None:
        """Take the next durable record of the log; columns that hold nulls alone may be missing from its batches.

        `registered`: its series are in the registry already.
        """
        with self._guard:
            if segment != self._segment:
                self._segment = segment
                self._rows = {}
            firsts = {kind: self._rows.get(kind, 0) for kind in batches}
            for kind, batch in batches.items():
                self._rows[kind] = firsts[kind] + batch.num_rows
                place = LogRows(segment, offset, firsts[kind], _oldest_us(batch) if kind == "samples" else NO_LIMIT_US)
                self._unsealed.setdefault(kind, []).append(place)
            if "samples" in batches:
                self._keep_odd(batches["samples"], segment, firsts["samples"])
            head = self._head
        if "series" in batches and not registered:
            self._registry.add(series_rows(batches["series"]))
        if "samples" in batches:
            head.add(*float_rows(batches["samples"], pack_sequence(segment, firsts["samples"])))

    def _keep_odd(self, batch: pa.RecordBatch, segment: int, first_row: int) -> None:
        """Keep what of new samples the head does not: native histograms, and exemplars."""
        histograms = bool((numbers(batch.column("type")) == 1).any())
        exemplars = "exemplar" in batch.schema.names and batch.column("exemplar").null_count < batch.num_rows
        if histograms or exemplars:
            fresh = with_rows("samples", batch, segment, first_row)
            if histograms:
                self._unsealed_histograms.append(_histograms_of(fresh))
            if exemplars:
                self._unsealed_exemplars.append(bearing.exemplars_of(fresh))

    def lake_moved(self) -> bool:
        """Look for a newer manifest; what it holds is read from the lake from now on. True if there was one.

        The head lets go of what is sealed and too old for it.
        """
        if self._version is not None or not self._lake.refresh():
            return False
        sealed = self._lake.sealed_segment()
        with self._guard:
            for kind, places in self._unsealed.items():
                self._unsealed[kind] = [place for place in places if place.segment > sealed]
            self._unsealed_histograms = _after(self._unsealed_histograms, sealed)
            self._unsealed_exemplars = _after(self._unsealed_exemplars, sealed)
        bound_us = self._clock_us() - self._settings.query.head_seconds * 1_000_000
        self._head.prune(bound_us, pack_sequence(self.sealed_segment, _ALL_ROWS), self._settings.query.head_samples)
        return True

    def samples(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> Samples:
        """Float samples of series with start <= time <= end (microseconds since 1970 UTC), newest row of each time.

        With `version` only what that manifest names. Raises VersionGone.
        """
        wanted = np.unique(np.asarray(ids, np.int64))
        version = version or self._version
        if version is not None:
            run = self._cold.samples(wanted, start_us, end_us, version)
        else:
            # The head first: what it lets go of in the meantime is in the lake that is read after it.
            head = self._head.snapshot()
            recent_us = self._clock_us() - self._settings.query.head_seconds * 1_000_000
            complete_us = max(head.complete_from_us, recent_us)
            run = head.samples(wanted, start_us, end_us)
            if start_us < complete_us:
                cold = self._cold.samples(wanted, start_us, min(end_us, complete_us - 1), None, sequences=run.rows > 0)
                run = merge_runs(cold, run) if run.rows else cold
        return Samples(run.ids, run.offsets, run.times, run.values)

    def histograms(
        self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None
    ) -> HistogramSamples:
        """Native histograms of series with start <= time <= end (microseconds since 1970 UTC), newest row of each time.

        With `version` only what that manifest names. Raises VersionGone.
        """
        wanted = np.unique(np.asarray(ids, np.int64))
        version = version or self._version
        # The log first: what is sealed in the meantime is in the lake that is read after it.
        with self._guard:
            fresh = [] if version is not None else list(self._unsealed_histograms)
        rows = self._lake.samples(wanted, start_us, end_us, version=version, columns=_HISTOGRAM_COLUMNS)
        found = [_histograms_of(rows), *(_in_time("samples", part, start_us, end_us) for part in fresh)]
        rows = pa.concat_tables(found)
        rows = rows.filter(pc.is_in(rows["series"], value_set=pa.array(wanted)))
        return from_rows(_newest(rows, KINDS["samples"].key), wanted)

    def rolled(self) -> RolledUp:
        """How far the roll-ups can stand for the samples."""
        manifest = self._lake.manifest(self._version)
        if manifest is None:
            return RolledUp(0, {})
        with self._guard:
            places = [] if self._version is not None else self._unsealed.get("samples", ())
            fresh_us = min((place.oldest_us for place in places), default=NO_LIMIT_US)
        return RolledUp(min(manifest.rolled.exact_us, fresh_us - 1), manifest.let_go_us)

    def rollups(self, name: str, ids: np.ndarray, start_us: int, end_us: int, columns: Sequence[str]) -> pa.Table:
        """Buckets of series with start <= end of the bucket <= end (microseconds UTC), by series and time.

        `name` is one of `schema.ROLLUPS`; `series` and `time` come along with `columns`. Raises VersionGone.
        """
        return self._lake.rollups(name, ids, start_us, end_us, columns, version=self._version)

    def exemplars(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> pa.Table:
        """Exemplars that samples of series with start <= time <= end bear: series, time of the sample, exemplar.

        In no order. With `version` only what that manifest names. Raises VersionGone.
        """
        wanted = np.unique(np.asarray(ids, np.int64))
        version = version or self._version
        with self._guard:
            fresh = [] if version is not None else list(self._unsealed_exemplars)
        rows = self._lake.samples(wanted, start_us, end_us, version=version, columns=bearing.COLUMNS)
        found = [bearing.exemplars_of(rows), *(_in_time("samples", part, start_us, end_us) for part in fresh)]
        rows = pa.concat_tables(found)
        rows = rows.filter(pc.is_in(rows["series"], value_set=pa.array(wanted)))
        return _newest(rows, KINDS["samples"].key).select(bearing.SHOWN.names)

    def table(
        self,
        kind: str,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        columns: Sequence[str] | None = None,
        version: str | None = None,
    ) -> pa.Table:
        """Rows of a kind from log and lake, one per key, the newest; both times are inclusive.

        `columns` may name `segment` and `row` too; by default it is the columns of `KINDS[kind].schema`. Raises
        StoreError for an unknown kind or column, VersionGone.
        """
        if kind not in KINDS:
            raise StoreError(f"no kind {kind!r}", hint=f"Kinds: {', '.join(KINDS)}.")
        names = list(columns) if columns is not None else KINDS[kind].schema.names
        known = [*KINDS[kind].schema.names, "segment", "row"]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise StoreError(f"{kind} has no column {unknown[0]!r}", hint=f"Columns: {', '.join(known)}.")
        version = version or self._version
        for attempt in range(_ATTEMPTS):
            with self._guard:
                places = [] if version is not None else list(self._unsealed.get(kind, ()))
            lake = self._lake.table(kind, start_us=start_us, end_us=end_us, columns=names, version=version)
            try:
                fresh = _in_time(kind, self._log_rows(kind, places), start_us, end_us)
                break
            except FileNotFoundError as error:
                # The segment was sealed and deleted since; the lake has its rows.
                if attempt + 1 == _ATTEMPTS:
                    message = "a log segment is missing, and the lake does not have it"
                    raise LogCorrupt(message, where=str(error.filename), hint=DOCTOR) from error
                self._catch_up()
        rows = pa.concat_tables([lake, fresh.select(lake.schema.names).cast(lake.schema)]) if fresh.num_rows else lake
        return _newest(rows, KINDS[kind].key).select(names)

    def files(self, kind: str, *, version: str | None = None) -> list[str]:
        """Parquet files of a kind at a manifest, the newest by default; what is only in the log is not among them."""
        return self._lake.files(kind, version=version or self._version)

    def days(self, kind: str, *, version: str | None = None) -> list[int]:
        """Days since 1970, ascending, of which the lake has rows of a kind; none where its rows have no time."""
        return self._lake.days(kind, version=version or self._version)

    def _catch_up(self) -> None:
        self.lake_moved()

    def _log_rows(self, kind: str, places: Sequence[LogRows]) -> pa.Table:
        """Rows of the kind at some places of the log, with segment and row. Raises FileNotFoundError."""
        parts = []
        open_segment, fd = 0, -1
        try:
            for place in places:
                if place.segment != open_segment:
                    if fd >= 0:
                        os.close(fd)
                    fd = -1
                    fd = os.open(segment_path(self._settings, place.segment), os.O_RDONLY | os.O_CLOEXEC)
                    open_segment = place.segment
                for _, batch in decode_present(read_record(fd, place.offset), only=kind):
                    parts.append(with_rows(kind, batch, place.segment, place.first_row))
        finally:
            if fd >= 0:
                os.close(fd)
        return pa.concat_tables(parts) if parts else row_schema(kind).empty_table()


def row_schema(kind: str) -> pa.Schema:
    """Schema of a kind with `segment` and `row`."""
    return pa.schema([*KINDS[kind].schema, pa.field("segment", pa.int64(), False), pa.field("row", pa.int64(), False)])


def with_rows(kind: str, batch: pa.RecordBatch, segment: int, first_row: int) -> pa.Table:
    """A batch as rows of a segment, numbered from `first_row` on."""
    whole = complete(kind, batch)
    rows = np.arange(first_row, first_row + batch.num_rows)
    return pa.Table.from_arrays(
        [*whole.columns, pa.array(np.full(batch.num_rows, segment)), pa.array(rows)], schema=row_schema(kind)
    )


def _after(tables: list[pa.Table], segment: int) -> list[pa.Table]:
    """The tables, each of rows of one segment, of the segments after one."""
    return [rows for rows in tables if rows["segment"][0].as_py() > segment]


def _histograms_of(rows: pa.Table) -> pa.Table:
    """The native histograms among rows of `samples`, with the columns that matter."""
    schema = row_schema("samples")
    found = rows.filter(pc.equal(rows["type"], 1)).select(_HISTOGRAM_COLUMNS)
    return found.cast(pa.schema([schema.field(name) for name in _HISTOGRAM_COLUMNS]))


def _oldest_us(batch: pa.RecordBatch) -> int:
    times = numbers(batch.column("time").cast(pa.int64()))
    return int(times.min()) if len(times) else NO_LIMIT_US


def _in_time(kind: str, rows: pa.Table, start_us: int | None, end_us: int | None) -> pa.Table:
    column = KINDS[kind].time
    if not column or not rows.num_rows or (start_us is None and end_us is None):
        return rows
    times = numbers(rows.column(column).cast(pa.int64()))
    keep = np.ones(len(times), bool)
    if start_us is not None:
        keep &= times >= start_us
    if end_us is not None:
        keep &= times <= end_us
    return rows.filter(pa.array(keep))


def _newest(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """One row per key, the one with the highest (segment, row), in no order of rows that anybody may rely on."""
    if not rows.num_rows:
        return rows
    sequences = numbers(rows.column("segment")) << 40 | numbers(rows.column("row"))
    places = (
        _newest_samples(rows, sequences) if "time" in key and "series" in key else _newest_places(rows, key, sequences)
    )
    return rows if len(places) == rows.num_rows else rows.take(pa.array(places))


def _newest_places(rows: pa.Table, key: Sequence[str], sequences: np.ndarray) -> np.ndarray:
    order = np.argsort(sequences, kind="stable")
    keys = rows.select(list(key)).take(pa.array(order)).append_column("_place", pa.array(np.arange(len(order))))
    last = keys.group_by(list(key), use_threads=False).aggregate([("_place", "max")]).column("_place_max")
    return order[np.sort(last.to_numpy())]


def _newest_samples(rows: pa.Table, sequences: np.ndarray) -> np.ndarray:
    """The same for samples; some thirty times as fast as grouping by the three columns of their key."""
    series, times = numbers(rows.column("series")), numbers(rows.column("time").cast(pa.int64()))
    types = numbers(rows.column("type"))
    places = [np.flatnonzero(types == each) for each in np.unique(types)]
    runs = [sort_run(series[at], times[at], at.astype(np.float64), sequences[at]) for at in places]
    return np.concatenate([run.values for run in runs]).astype(np.int64)
