"""Sealing: closed log segments become commits of the lake, in order, while appends go on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import pyarrow as pa
from prometheus_client import Counter

from workbench import log as logs
from workbench.config import Settings
from workbench.errors import DiskFull, LogCorrupt, StoreError
from workbench.store.delta import Receipt
from workbench.store.follow import replay
from workbench.store.lake import Lake
from workbench.store.layout import full_disk_named, segment_path, sync_folder
from workbench.store.view import with_rows
from workbench.store.wal import read_header

RETRY_SECONDS = 5.0
RETRY_MAX_SECONDS = 300.0

SEALED = Counter("workbench_store_sealed_segments_total", "Log segments committed to the lake.")
SEALED_ROWS = Counter("workbench_store_sealed_rows_total", "Rows committed to the lake from the log.")
FAILED = Counter("workbench_store_seal_failures_total", "Seals that failed and will be tried again.")

log = logs.get(__name__)


def segment_tables(settings: Settings, number: int) -> dict[str, pa.Table]:
    """All rows of a closed segment by kind, with segment and row. The same segment gives the same rows every time.

    Raises LogCorrupt where a record before the segment's end, which the next header names, is not valid.
    """
    parts: dict[str, list[pa.Table]] = {}
    rows: dict[str, int] = {}

    def take(segment: int, offset: int, batches: Mapping[str, pa.RecordBatch]) -> None:
        for kind, batch in batches.items():
            first = rows.get(kind, 0)
            parts.setdefault(kind, []).append(with_rows(kind, batch, segment, first))
            rows[kind] = first + batch.num_rows

    replay(settings, number, read_header(segment_path(settings, number + 1)).previous_bytes, take)
    return {kind: pa.concat_tables(tables) for kind, tables in parts.items()}


class Sealer:
    """A thread that seals segments as they are closed, and deletes them after the readers' grace.

    `sealed` is the highest segment in the lake already; `on_sealed` is called after each commit; `guard` is held while
    the lake is written.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        log_uuid: str,
        *,
        sealed: int,
        guard: threading.Lock,
        on_sealed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._lake = lake
        self._guard = guard
        self._app = f"log:{log_uuid}"
        self._on_sealed = on_sealed
        self._changed = threading.Condition()
        self._closed: deque[int] = deque()  # guarded by _changed, as the three below
        self._sealed = sealed
        self._failure: Exception | None = None  # of the last try, until the next one ends
        self._stopping = False
        self._deletions: deque[tuple[float, int, Mapping[str, Receipt] | None]] = deque()
        self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)

    def start(self) -> None:
        """Begin to seal."""
        self._thread.start()

    def add(self, number: int) -> None:
        """A segment was closed."""
        with self._changed:
            self._closed.append(number)
            self._changed.notify_all()

    def retire(self, number: int, receipts: Mapping[str, Receipt] | None = None) -> None:
        """Delete a sealed segment once no reader that opened the lake before it was sealed can still need it.

        Without `receipts`, what the lake has to hold of it is read from the segment when it is time.
        """
        self._deletions.append((time.monotonic() + self._settings.log.reader_grace_seconds, number, receipts))

    def wait(self, number: int) -> None:
        """Return when that segment is in the lake. Raises StoreError where a try failed (DiskFull where that was why);
        there will be another.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._sealed >= number or self._failure or self._stopping)
            if self._sealed >= number:
                return
            if isinstance(self._failure, DiskFull):
                raise DiskFull(self._failure.message, where=self._failure.where, hint=self._failure.hint)
            if self._failure is not None:
                message = f"sealing failed: {self._failure}"
                raise StoreError(message, where="lake", hint="It is tried again.") from self._failure
            raise StoreError("the writer was closed before it had sealed", where="lake")

    def seal(self, number: int) -> None:
        """Commit one closed segment; tables that have it already are left alone."""
        started = time.monotonic()
        tables = segment_tables(self._settings, number)
        receipts = self._lake.receipts(tables)
        with self._guard, full_disk_named(self._lake.folder, "Free some space; sealing is tried again by itself."):
            version = self._lake.commit(self._app, number, tables, receipts)
        self._on_sealed()
        rows = sum(table.num_rows for table in tables.values())
        SEALED.inc()
        SEALED_ROWS.inc(rows)
        log.info(
            "sealed", segment=number, rows=rows, lake_version=version, seconds=round(time.monotonic() - started, 3)
        )
        with self._changed:
            self._sealed = max(self._sealed, number)
            self._failure = None
            self._changed.notify_all()
        self.retire(number, receipts)

    def stop(self) -> None:
        """End after the segment at hand; what is not sealed is the next writer's."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                if pause:
                    self._changed.wait_for(lambda: self._stopping, pause)
                else:
                    self._changed.wait_for(lambda: self._closed or self._stopping, self._seconds_to_deletion())
                if self._stopping:
                    return
                number = self._closed[0] if self._closed else None
            try:
                self._delete_due()
                if number is not None:
                    self.seal(number)
                    with self._changed:
                        self._closed.popleft()
                pause = 0.0
            except Exception as error:  # whatever it is, the rows are safe in the log, and the next try may succeed
                pause = min(max(2 * pause, RETRY_SECONDS), RETRY_MAX_SECONDS)
                FAILED.inc()
                log.exception("seal_failed", segment=number)
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()

    def _seconds_to_deletion(self) -> float | None:
        return max(self._deletions[0][0] - time.monotonic(), 0.0) if self._deletions else None

    def _delete_due(self) -> None:
        while self._deletions and self._deletions[0][0] <= time.monotonic():
            _, number, receipts = self._deletions.popleft()
            try:
                receipts = receipts or self._lake.receipts(segment_tables(self._settings, number))
                with self._guard:
                    disagreeing = self._lake.disagreeing(self._app, number, receipts)
            except LogCorrupt as error:
                log.error("segment_kept", segment=number, error=str(error))
                continue
            if disagreeing:
                log.error("segment_kept", segment=number, tables=disagreeing)
                continue
            segment_path(self._settings, number).unlink(missing_ok=True)
            sync_folder(self._settings.log_dir)
