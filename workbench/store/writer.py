"""The one writer of a home: log, lake, registry and head, behind `append`, `register`, `seal` and `load`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pyarrow as pa

from workbench import log as logs
from workbench.config import Settings
from workbench.errors import Busy, InputError
from workbench.store.batches import check_batch, encode_batches
from workbench.store.committer import Committer, Record
from workbench.store.follow import replay
from workbench.store.lake import Lake
from workbench.store.layout import create_layout, full_disk_named, published_path
from workbench.store.lock import FileLock, writer_lock
from workbench.store.published import Published
from workbench.store.recovery import recover
from workbench.store.registry import ANONYMOUS, Identity, plan_registration, series_batch
from workbench.store.sealer import Sealer
from workbench.store.view import View, with_rows
from workbench.store.wal import Position

LOAD_ROWS_FROM = 1 << 39
"""Rows of a load count from here in the newest closed segment: newer than its records, older than the active one's.

So what readers hold of the active segment is never overtaken by a load, in memory as in the lake.
"""

_CLOCK_MARGIN_SECONDS = 60

log = logs.get(__name__)


@dataclass(frozen=True)
class Appended:
    """What a listener is told: one durable record of the log, and the position where it ends."""

    position: Position
    batches: Mapping[str, pa.RecordBatch]


class Writer:
    """Writes a home; made by `open_writer`. Thread-safe. A context manager that closes."""

    def __init__(self, settings: Settings, lock: FileLock, **disk: Callable[..., Any]) -> None:
        self._settings = settings
        self._lock = lock
        self._listeners: list[Callable[[Appended], None]] = []
        self._registering = threading.Lock()
        self._writing_lake = threading.Lock()  # guards the commits of _lake, and the two below
        self._load_segment = self._load_rows = -1
        self._lake = Lake(settings)
        self._lake.create()
        recovered = recover(settings, self._lake)
        self._published = Published(published_path(settings), write=True)
        self.view = View(settings)
        self._sealer = Sealer(
            settings,
            self._lake,
            recovered.first.log_uuid,
            sealed=self.view.sealed_segment,
            guard=self._writing_lake,
            on_sealed=self._lake_moved,
        )
        for number, end in recovered.closed.items():
            if number > self.view.sealed_segment:
                replay(settings, number, end, self.view.accept)
                self._sealer.add(number)
            else:
                self._sealer.retire(number)
        self._committer = Committer(
            settings,
            self._published,
            recovered.first,
            on_durable=self._durable,
            on_closed=self._sealer.add,
            **disk,
        )
        self._sealer.start()
        self.view.warm()

    def register(self, new: Sequence[tuple[Identity, str, str]], source: str) -> list[int]:
        """Ids of (identity, description, scope) triples, in their order; unknown ones are registered as the source's.

        Their rows are in the log before anything that is appended later. A series that only anonymous callers sent
        becomes that of the first source with a name. Raises Busy over `ingest.max_series` (or, for the source
        "anonymous", `ingest.max_anonymous_series`), and then registers none of them; DiskFull.
        """
        with self._registering:
            registry = self.view.registry
            ids, fresh = plan_registration(registry, new, source, time.time_ns() // 1000)
            if not fresh:
                return ids
            added = sum(series.id > registry.highest_id for series in fresh)
            limits = self._settings.ingest
            if added and len(registry) + added > limits.max_series:
                raise Busy(f"over {limits.max_series} series", where="ingest.max_series", retry_after_seconds=60)
            if added and source == ANONYMOUS and registry.anonymous + added > limits.max_anonymous_series:
                raise Busy(
                    f"over {limits.max_anonymous_series} series without a token",
                    where="ingest.max_anonymous_series",
                    retry_after_seconds=60,
                )
            self._committer.check_space()
            batch = series_batch(fresh)
            batches = {"series": batch}
            self._committer.append(Record(encode_batches(batches), batches, registration=True))
            registry.add(fresh)
            return ids

    def append(self, batches: Mapping[str, pa.RecordBatch]) -> Future[Position]:
        """Write batches of `KINDS[kind].schema` as one record, all or nothing; resolves once it is durable.

        Raises InputError for a batch that does not fit or a series that is not registered, Busy where the queue is
        full, DiskFull; the future fails with LogSyncError or DiskFull.
        """
        payload = encode_batches(batches)
        self._check_series(batches)
        record = Record(payload, batches)
        self._committer.append(record)
        return record.future

    def flush(self) -> None:
        """Return when all registrations so far are durable, and all appends answered. Raises LogSyncError."""
        self._committer.flush().result()

    def add_listener(self, fn: Callable[[Appended], None]) -> None:
        """Call `fn` with every durable record, in the order of the log, on the committer's thread: it must be quick."""
        self._listeners.append(fn)

    def seal(self) -> str:
        """Return the lake version that holds everything appended before the call. Raises StoreError."""
        self._sealer.wait(self._committer.rotate().result())
        return self.view.lake_version

    def load(self, load_id: str, number: int, batches: Mapping[str, pa.RecordBatch]) -> bool:
        """Commit a numbered step of a bulk load straight to the lake; False if that number was done already.

        Numbers grow by one from 1; a number that was cut short must be repeated with the same rows. Series must be
        registered. Recent samples go through the log as well, because every
        reader holds those in memory and does not look for them in the lake.
        """
        for kind, batch in batches.items():
            check_batch(kind, batch)
        self._check_series(batches)
        app = f"load:{load_id}"
        with self._writing_lake:
            if not self._lake.missing(app, number):
                return False
        self.flush()
        recent = self._recent(batches.get("samples"))
        if recent is not None:
            self.append({"samples": recent}).result()
        with self._writing_lake, full_disk_named(self._lake.folder, "Free some space and load this step again."):
            self._lake.commit(app, number, self._load_tables(batches))
        self._lake_moved()
        return True

    def close(self) -> None:
        """Make everything durable, stop, give the lock back. Nothing is sealed: the next start does that."""
        self._committer.close()
        self._sealer.stop()
        self.view.close()
        self._lock.release()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_series(self, batches: Mapping[str, pa.RecordBatch]) -> None:
        if "series" in batches:
            raise InputError("series are registered, not appended", where="series", hint="Use `register`.")
        if "samples" in batches and batches["samples"].num_rows:
            ids = batches["samples"].column("series").to_numpy()
            if ids.min() < 1 or ids.max() > self.view.registry.highest_id:
                raise InputError("a series is not registered", where="samples.series", hint="Use `register` first.")

    def _durable(self, start: int, end: Position, record: Record) -> None:
        self.view.accept(end.segment, start, record.batches, registered=record.registration)
        told = Appended(end, record.batches)
        for listener in self._listeners:
            try:
                listener(told)
            except Exception:  # the write is durable whatever a listener makes of it
                log.exception("listener_failed", position=end)

    def _lake_moved(self) -> None:
        self.view.lake_moved()
        with self._writing_lake:
            self._published.lake_moved()

    def _recent(self, samples: pa.RecordBatch | None) -> pa.RecordBatch | None:
        """The samples that readers may hold in memory, or soon will by their clock."""
        if samples is None:
            return None
        bound_us = time.time_ns() // 1000 - (self._settings.query.head_seconds + _CLOCK_MARGIN_SECONDS) * 1_000_000
        keep = samples.column("time").cast(pa.int64()).to_numpy() >= bound_us
        return samples.filter(pa.array(keep)) if keep.any() else None

    def _load_tables(self, batches: Mapping[str, pa.RecordBatch]) -> dict[str, pa.Table]:
        """Rows with the place that a load has now; a step that is repeated after a crash may get another one."""
        segment = self._committer.segment - 1
        if segment != self._load_segment:
            self._load_segment, self._load_rows = segment, LOAD_ROWS_FROM
        tables = {}
        for kind, batch in batches.items():
            tables[kind] = with_rows(kind, batch, segment, self._load_rows)
            self._load_rows += batch.num_rows
        return tables


def open_writer(settings: Settings, *, wait_seconds: float = 0.0, **disk: Callable[..., Any]) -> Writer:
    """Take the writer's lock of a home and recover it; what a crash left unsealed is sealed in the background.

    `wait_seconds`: how long to wait for another writer to end. `disk` may replace the disk: `sync(fd)`,
    `free_bytes(path)`. Raises LakeLocked, LayoutUnknown, LogCorrupt, DiskFull.
    """
    with full_disk_named(settings.home, "Free some space and start again; nothing that was acknowledged is lost."):
        lock = writer_lock(settings)
        lock.acquire(wait_seconds=wait_seconds)
        try:
            create_layout(settings)
            return Writer(settings, lock, **disk)
        except BaseException:
            lock.release()
            raise
