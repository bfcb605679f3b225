"""Following the log from another process: as far as the writer published it, without locks, running or stopped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from workbench.config import Settings
from workbench.errors import LogCorrupt
from workbench.store.batches import decode_present
from workbench.store.layout import check_layout, published_path, segment_path
from workbench.store.published import Published
from workbench.store.view import View
from workbench.store.wal import DOCTOR, HEADER_BYTES, Header, Position, TornRecord, read_header, read_records

FILL_AFTER_SECONDS = 2.0
"""A process that still follows after this long will ask often enough for a full head to pay."""

_ATTEMPTS = 5

Accept = Callable[[int, int, Mapping[str, pa.RecordBatch]], None]


def replay(settings: Settings, number: int, end: int, accept: Accept) -> None:
    """Hand over all records of a closed segment whose valid bytes are known. Raises LogCorrupt."""
    reader = SegmentReader(segment_path(settings, number))
    try:
        reader.read(end, accept)
    except TornRecord as torn:
        raise LogCorrupt(
            f"no valid record at byte {torn.offset}, before its end", where=str(reader.path), hint=DOCTOR
        ) from torn
    finally:
        reader.close()


class SegmentReader:
    """Reads one segment from its first record on, a stretch at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = HEADER_BYTES
        self.header: Header = read_header(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, end: int, accept: Accept) -> None:
        """Hand over the records up to the byte `end`, which must be a record's end. Raises TornRecord."""
        for offset, stop, payload in read_records(self._fd, self.header.seed, self.at, end):
            accept(self.header.number, offset, dict(decode_present(payload)))
            self.at = stop

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Follower(View):
    """A view that follows what another process writes. `refresh` picks up what is new."""

    def __init__(self, settings: Settings, *, version: str | None = None) -> None:
        check_layout(settings)
        self._refreshing = threading.RLock()
        self._published: Published | None = None
        self._seen = (-1, -1)
        self._opened = time.monotonic()
        self._reader: SegmentReader | None = None
        self._next = 0
        super().__init__(settings, version=version)
        if version is None:
            self._refresh()

    def refresh(self) -> bool:
        """Follow the log up to its published durable end, and the lake; True if anything was new.

        Costs a look at one memory-mapped page when nothing is. A pinned view never changes. Raises LogCorrupt.
        """
        if self._version is not None:
            return False
        if self._warmer is None and time.monotonic() - self._opened >= FILL_AFTER_SECONDS:
            self.warm()
        page = self._published
        if page is not None and page.words == self._seen:
            return False
        return self._refresh()

    def _refresh(self) -> bool:
        with self._refreshing:
            if self._published is None:
                try:
                    self._published = Published(published_path(self._settings))
                except FileNotFoundError:
                    return self.lake_moved()
            words = self._published.words
            if words == self._seen:
                return False
            self._follow()
            if words[1] != self._seen[1]:
                self.lake_moved()
            self._seen = words
            return True

    def close(self) -> None:
        """Close the files, and stop filling the head."""
        super().close()
        with self._refreshing:
            self._close_reader()
            if self._published is not None:
                self._published.close()
                self._published = None
                self._seen = (-1, -1)

    def reload(self) -> None:
        """Start again from the newest lake, and with the segment after it."""
        with self._refreshing:
            super().reload()
            self._close_reader()
            self._next = self.sealed_segment + 1

    def _catch_up(self) -> None:
        self.refresh()
        self.lake_moved()

    def _follow(self) -> None:
        """Read up to the published position; start again where a segment was deleted before we came to it."""
        for _ in range(_ATTEMPTS):
            try:
                return self._read_on(self._published.position)  # type: ignore[union-attr]
            except FileNotFoundError:
                self.reload()
            except TornRecord as torn:
                raise self._corrupt(f"no valid record at byte {torn.offset}, before the durable end") from torn
        raise self._corrupt("missing, and not in the lake")

    def _read_on(self, until: Position) -> None:
        if until == Position(0, 0):
            return
        while self._next <= until.segment:
            if self._reader is None:
                self._reader = SegmentReader(segment_path(self._settings, self._next))
            if self._next == until.segment:
                self._reader.read(until.offset, self.accept)
                return
            end = read_header(segment_path(self._settings, self._next + 1)).previous_bytes
            self._reader.read(end, self.accept)
            self._close_reader()
            self._next += 1

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _corrupt(self, message: str) -> LogCorrupt:
        return LogCorrupt(message, where=str(segment_path(self._settings, self._next)), hint=DOCTOR)
