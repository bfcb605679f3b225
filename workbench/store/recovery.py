"""What the writer finds at start: which log it is, where its valid end lies, and what the lake does not have yet."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from itertools import pairwise

from workbench import log as logs
from workbench.config import Settings
from workbench.errors import LogCorrupt
from workbench.store.lake import Lake
from workbench.store.layout import published_path, segment_numbers, segment_path
from workbench.store.published import Published, create_published, read_identity
from workbench.store.wal import DOCTOR, Header, read_header, valid_bytes

log = logs.get(__name__)


@dataclass(frozen=True)
class Recovered:
    """The header of the segment to open next, and the closed segments on disk: number -> valid bytes, ascending."""

    first: Header
    closed: dict[int, int]


def recover(settings: Settings, lake: Lake) -> Recovered:
    """Bring a log that may have crashed to a clean end, under the writer's lock. The lake's tables exist.

    The torn tail of the last segment is cut. Raises LogCorrupt, having changed nothing, for a fault that no crash
    explains, for a log of another lake, and for a gap between lake and log.
    """
    numbers = segment_numbers(settings)
    log_uuid = _identity(settings, lake, numbers)
    done = lake.sealed(f"log:{log_uuid}")
    sealed = lake.first_segment - 1 if done is None else done
    if not numbers:
        if done is not None:
            raise LogCorrupt(
                f"the log is empty, the lake ends at segment {sealed}", where=str(settings.log_dir), hint=DOCTOR
            )
        return Recovered(Header(log_uuid, sealed + 1, 0, _now_us()), {})
    _check_numbers(settings, numbers, sealed)
    headers = [read_header(segment_path(settings, number)) for number in numbers]
    for number, header in zip(numbers, headers, strict=True):
        if (header.log_uuid, header.number) != (log_uuid, number):
            raise LogCorrupt(
                f"the segment is number {header.number} of log {header.log_uuid}",
                where=str(segment_path(settings, number)),
                hint=DOCTOR,
            )
    last = headers[-1]
    closed = {header.number - 1: header.previous_bytes for header in headers[1:]}
    end = _cut_torn_tail(settings, last)
    # A segment without a record is closed and sealed too, once a start, by an empty commit in each table. To reopen it
    # instead would bring back a number that the page may call abandoned at its header: a crash later, recovery would
    # cut there what was acknowledged since. And a number that is left out is a gap, which refuses to start.
    return Recovered(Header(log_uuid, last.number + 1, end, _now_us()), {**closed, last.number: end})


def _identity(settings: Settings, lake: Lake, numbers: list[int]) -> str:
    """Uuid of the log, the same in the lake, the page and the segments; made and written down for a new home."""
    path = published_path(settings)
    of_lake, of_log = lake.log_identity(), read_identity(path)
    if of_log is None and numbers:
        of_log = read_header(segment_path(settings, numbers[0])).log_uuid
    if of_lake is not None and of_log != of_lake:
        found = f"this log is {of_log}" if of_log else "there is no log"
        raise LogCorrupt(f"the lake belongs to log {of_lake}, {found}", where=str(settings.log_dir), hint=DOCTOR)
    log_uuid = of_log or str(uuid.uuid4())
    if read_identity(path) is None:
        create_published(path, log_uuid)
    if of_lake is None:
        lake.adopt_log(log_uuid)
    return log_uuid


def _check_numbers(settings: Settings, numbers: list[int], sealed: int) -> None:
    # The active segment is always above what is sealed: a log that ends below was restored from an older copy, and its
    # next numbers would be taken for sealed.
    faults = []
    if numbers[-1] <= sealed:
        faults.append(f"the log ends at segment {numbers[-1]}, the lake has {sealed}")
    if numbers[0] > sealed + 1:
        faults.append(f"segments {sealed + 1} to {numbers[0] - 1} are missing")
    faults += [f"segment {a + 1} is missing" for a, b in pairwise(numbers) if b != a + 1]
    if faults:
        raise LogCorrupt("; ".join(faults), where=str(settings.log_dir), hint=DOCTOR)


def _cut_torn_tail(settings: Settings, last: Header) -> int:
    """Cut the last segment behind its last valid record; the length that is left."""
    path = segment_path(settings, last.number)
    end = valid_bytes(path)
    published = Published(published_path(settings))
    durable, abandoned = published.position, published.abandoned
    published.close()
    if abandoned.segment == last.number:
        end = min(end, abandoned.offset)
    if durable.segment == last.number and end < durable.offset:
        # What was published was on the disk, so no crash explains this.
        raise LogCorrupt(f"no valid record at byte {end}, before the durable end", where=str(path), hint=DOCTOR)
    if end < path.stat().st_size:
        log.warning("torn_tail_cut", segment=last.number, bytes=path.stat().st_size - end)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, end)
            os.fsync(fd)
        finally:
            os.close(fd)
    return end


def _now_us() -> int:
    return time.time_ns() // 1000
