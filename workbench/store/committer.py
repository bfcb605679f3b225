"""The writing end of the log: one thread, one sync for all that came in meanwhile.

A record is answered after its `fdatasync` returned. When a write or a sync fails, nobody knows what reached the disk,
and a second sync would claim success for pages that the kernel dropped. So the segment is abandoned at its last durable
byte: it is cut there, the header of the next segment says so, and only then its unanswered records fail.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from prometheus_client import Counter

from workbench import log as logs
from workbench.config import Settings
from workbench.errors import Busy, DiskFull, LogSyncError, StoreError
from workbench.store.layout import segment_path, sync_folder
from workbench.store.published import Published
from workbench.store.wal import HEADER_BYTES, Header, Position, pack_record

GROUP_BYTES = 16 * 2**20
FREE_SPACE_CHECK_SECONDS = 1.0
RETRY_SECONDS = 1.0

SYNCS = Counter("workbench_store_log_syncs_total", "Group syncs of the log that returned.")
ABANDONED = Counter("workbench_store_log_abandoned_total", "Log segments abandoned after a failed write or sync.")
RECORDS = Counter("workbench_store_log_records_total", "Records made durable.")

log = logs.get(__name__)


def full_sync(fd: int) -> None:
    """Return when the file's bytes are on the disk itself."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


@dataclass
class Record:
    """One atomic write: its bytes, and what they mean. `registration` rows are written again where others fail."""

    payload: bytes
    batches: Mapping[str, pa.RecordBatch]
    registration: bool = False
    future: Future[Position] = field(default_factory=Future)

    def __post_init__(self) -> None:
        # Once queued it will be written: a caller that gives up must not cancel the answer under the log's thread.
        self.future.set_running_or_notify_cancel()

    @property
    def rows(self) -> int:
        """Rows of all kinds together."""
        return sum(batch.num_rows for batch in self.batches.values())


@dataclass
class Wish:
    """Something to do after all that was queued before: close the segment (`rotate`), or only tell.

    The future gives the number of the newest closed segment, 0 if none is.
    """

    rotate: bool
    future: Future[int] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.future.set_running_or_notify_cancel()


class Committer:
    """Owns the log's active segment.

    `on_durable(start, end, record)` is called in log order after the sync and before the future resolves; `start` is
    the offset in the segment of `end`;
    `on_closed(segment)` once a segment will grow no more. Both run on the committer's thread and must be quick.
    `sync` and `free_bytes` are the disk, as arguments.
    """

    def __init__(
        self,
        settings: Settings,
        published: Published,
        first: Header,
        *,
        on_durable: Callable[[int, Position, Record], None],
        on_closed: Callable[[int], None],
        sync: Callable[[int], None] = full_sync,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._settings = settings
        self._published = published
        self._on_durable = on_durable
        self._on_closed = on_closed
        self._sync = sync
        self._free_bytes = free_bytes
        self._wake = threading.Condition()
        self._queue: deque[Record | Wish] = deque()  # guarded by _wake, as the three below
        self._queued_bytes = 0
        self._closing = False
        self._free = 0
        self._space_checked = float("-inf")
        self._again: list[Record] = []  # registrations of a failed group, for the start of the next segment
        self._log_uuid = first.log_uuid
        self._fd = -1
        self._end = self._rows = 0
        self._open(first)
        self._thread = threading.Thread(target=self._run, name="log-committer", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        """Queue a record. Raises Busy, DiskFull, or StoreError after `close`. Registrations always find room."""
        size = len(record.payload)
        with self._wake:
            if self._closing:
                raise StoreError("the log is closed", where="log")
            if not record.registration:
                self.check_space()
                if self._queued_bytes and self._queued_bytes + size > self._settings.ingest.queue_bytes:
                    raise Busy("the log's queue is full", where="log")
            self._queued_bytes += size
            self._queue.append(record)
            self._wake.notify()

    @property
    def segment(self) -> int:
        """Number of the active segment."""
        return self._number

    def rotate(self) -> Future[int]:
        """Close the segment after all that is queued now; the number of the newest closed segment, 0 if none is.

        The future fails with LogSyncError where no new segment can be opened.
        """
        return self._wish(Wish(rotate=True))

    def flush(self) -> Future[int]:
        """Resolves when all that is queued now was tried; fails with LogSyncError if a registration is not durable."""
        return self._wish(Wish(rotate=False))

    def _wish(self, wish: Wish) -> Future[int]:
        with self._wake:
            if self._closing:
                raise StoreError("the log is closed", where="log")
            self._queue.append(wish)
            self._wake.notify()
        return wish.future

    def check_space(self) -> None:
        """Raise DiskFull below `lake.min_free_bytes`; looks at the disk once a second at most."""
        now = time.monotonic()
        if now - self._space_checked >= FREE_SPACE_CHECK_SECONDS:
            self._free = self._free_bytes(self._settings.log_dir)
            self._space_checked = now
        if self._free < self._settings.lake.min_free_bytes:
            raise DiskFull(
                f"{self._free >> 20} MiB are free, {self._settings.lake.min_free_bytes >> 20} MiB are needed",
                where=str(self._settings.log_dir),
                hint="Free some space; the doors open again by themselves.",
            )

    def close(self) -> None:
        """Write what is queued and stop. The segment stays open for recovery to close."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._published.flush()

    def _run(self) -> None:
        while True:
            group, wish = self._take()
            if group or self._again:
                self._commit(group)
            if wish is not None:
                self._grant(wish)
            elif self._fd >= 0 and self._due():
                self._rotate()
            if self._closing and not self._queue:
                return

    def _take(self) -> tuple[list[Record], Wish | None]:
        """Records of one group, and the wish that came after them. Waits for either, or for rotation by age."""
        group: list[Record] = []
        size = 0
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._closing, timeout=self._seconds_left())
            while self._queue and size < GROUP_BYTES:
                item = self._queue.popleft()
                if isinstance(item, Wish):
                    return group, item
                group.append(item)
                size += len(item.payload)
        return group, None

    def _seconds_left(self) -> float | None:
        if self._fd < 0:
            return RETRY_SECONDS if self._again else None
        if self._end == HEADER_BYTES:
            return None
        return max(self._opened + self._settings.log.segment_seconds - time.monotonic(), 0.0)

    def _due(self) -> bool:
        old = time.monotonic() - self._opened >= self._settings.log.segment_seconds
        return self._end > HEADER_BYTES and (old or self._rows >= self._settings.log.segment_rows)

    def _commit(self, group: list[Record]) -> None:
        records = [*self._again, *group]
        try:
            if self._fd < 0:
                self._open_next()
            ends = self._write(records)
            self._sync(self._fd)
        except (
            Exception
        ) as error:  # a bug must not take the log's thread with it: its records fail like after a bad disk
            self._fail(records, error)
            return
        finally:
            with self._wake:
                self._queued_bytes -= sum(len(record.payload) for record in group)
        SYNCS.inc()
        RECORDS.inc(len(records))
        self._again = []
        starts = [self._end, *ends[:-1]]
        self._end = ends[-1]
        self._rows += sum(record.rows for record in records)
        self._published.publish(Position(self._number, self._end))
        for record, start, end in zip(records, starts, ends, strict=True):
            position = Position(self._number, end)
            try:
                self._on_durable(start, position, record)
            except Exception:  # it is durable all the same, and must be answered
                log.exception("view_failed", position=position)
            record.future.set_result(position)

    def _write(self, records: list[Record]) -> list[int]:
        """Write behind the durable end; the ends of the records."""
        parts: list[bytes] = []
        ends = []
        end = self._end
        for record in records:
            packed = pack_record(record.payload, self._seed)
            end += sum(map(len, packed))
            ends.append(end)
            parts += packed
        rest = memoryview(b"".join(parts))
        at = self._end
        while rest:
            done = os.pwrite(self._fd, rest, at)
            at += done
            rest = rest[done:]
        return ends

    def _fail(self, records: list[Record], error: Exception) -> None:
        log.error("log_write_failed", segment=self._number, durable=self._end, error=repr(error))
        self._again = [record for record in records if record.registration]
        self._abandon()
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = DiskFull if full else LogSyncError
        for record in records:
            if not record.registration:
                made = kind(f"the write could not be made durable: {error}", where="log", hint="Send it again.")
                record.future.set_exception(made)

    def _abandon(self) -> None:
        """Cut the segment at its durable end and open the next; where that fails, the next group tries again."""
        if self._fd < 0:
            return
        ABANDONED.inc()
        # The next header decides. The cut, and the page where even that fails, are for a crash before it is durable.
        self._published.abandon(Position(self._number, self._end))
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as error:
            log.error("log_cut_failed", segment=self._number, error=repr(error))
        os.close(self._fd)
        self._fd = -1
        try:
            self._open_next()
        except OSError as error:
            log.error("log_segment_failed", segment=self._number + 1, error=repr(error))

    def _grant(self, wish: Wish) -> None:
        if wish.rotate and self._fd >= 0 and self._end > HEADER_BYTES:
            self._rotate()
        if self._again or self._fd < 0 or (wish.rotate and self._end > HEADER_BYTES):
            wish.future.set_exception(LogSyncError("no new segment can be written", where="log", hint="Try again."))
        else:
            wish.future.set_result(self._number - 1)

    def _rotate(self) -> None:
        try:
            self._open_next()
        except OSError as error:
            self._opened = time.monotonic()  # try again when the segment is due next
            log.error("log_segment_failed", segment=self._number + 1, error=repr(error))

    def _open_next(self) -> None:
        """Close the active segment at its durable end by opening the next one."""
        closed = self._number
        self._open(Header(self._log_uuid, closed + 1, self._end, time.time_ns() // 1000))
        self._on_closed(closed)

    def _open(self, header: Header) -> None:
        """Start a segment and close the one before. Raises OSError: the one before goes on, or is closed for good."""
        path = segment_path(self._settings, header.number)
        temporary = path.with_suffix(".new")
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, header.pack(), 0)
            self._sync(fd)
            if self._fd >= 0:
                # From here on the new header may be found after a crash, and what it says of the length must stay true.
                os.close(self._fd)
                self._fd = -1
            os.replace(temporary, path)
            sync_folder(path.parent)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        self._number = header.number
        self._end = HEADER_BYTES
        self._rows = 0
        self._seed = header.seed
        self._opened = time.monotonic()
        self._published.publish(Position(self._number, self._end))
