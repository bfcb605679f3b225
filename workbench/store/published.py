"""What the writer publishes for readers: one memory-mapped page that costs nothing to look at.

    magic[8], log uuid[16], zeros[8], i64 position, i64 lake generation, i64 abandoned     native byte order, 64 bytes

`position` is segment << 40 | offset: one aligned word, so it is never seen half written. It is stored after the sync
returned, so it never runs ahead of what is durable; after a power cut it may lag behind, and recovery sets it anew.
`lake generation` grows with every commit of the writer to the lake. `abandoned` is a position behind which its segment
holds nothing that was acknowledged, whatever a scan finds there. The page is also where the log keeps its identity.
"""

from __future__ import annotations

import mmap
import os
import uuid
from pathlib import Path

import numpy as np

from workbench.errors import LogCorrupt
from workbench.store.layout import write_durably
from workbench.store.wal import DOCTOR, Position

_MAGIC = b"WBPUBL\x00\x00"
_BYTES = 64
_OFFSET_BITS = 40


def read_identity(path: Path) -> str | None:
    """Uuid of the log, None where the page is missing. Raises LogCorrupt where it is not one."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(raw) != _BYTES or not raw.startswith(_MAGIC):
        raise LogCorrupt("the page of the log is damaged", where=str(path), hint=DOCTOR)
    return str(uuid.UUID(bytes=raw[8:24]))


def create_published(path: Path, log_uuid: str) -> None:
    """Write the page of a log that has none."""
    write_durably(path, (_MAGIC + uuid.UUID(log_uuid).bytes).ljust(_BYTES, b"\x00"))


class Published:
    """The page, mapped: by readers to look, by the one writer to publish."""

    def __init__(self, path: Path, *, write: bool = False) -> None:
        fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(fd, _BYTES, access=mmap.ACCESS_WRITE if write else mmap.ACCESS_READ)
        finally:
            os.close(fd)
        self._words = np.frombuffer(self._map, np.int64, 3, 32)

    @property
    def words(self) -> tuple[int, int]:
        """Both words as they are; unequal to an earlier look means that something is new."""
        return int(self._words[0]), int(self._words[1])

    @property
    def position(self) -> Position:
        """How far the log is durable."""
        return unpack_position(int(self._words[0]))

    @property
    def abandoned(self) -> Position:
        """Where the segment that was abandoned last ends, (0, 0) if none was."""
        return unpack_position(int(self._words[2]))

    def abandon(self, position: Position) -> None:
        """Note that what lies behind this position of its segment was never acknowledged."""
        self._words[2] = pack_sequence(position.segment, position.offset)

    def publish(self, position: Position) -> None:
        """Tell readers that the log is durable up to here."""
        self._words[0] = pack_sequence(position.segment, position.offset)

    def lake_moved(self) -> None:
        """Tell readers that the lake has a newer version."""
        self._words[1] += 1

    def flush(self) -> None:
        """Ask for the page to reach the disk, so that a reader after a power cut sees more."""
        self._map.flush()

    def close(self) -> None:
        """Unmap the page."""
        del self._words
        self._map.close()


def pack_sequence(segment: int, low: int) -> int:
    """One int64 that orders like (segment, low); `low` is an offset or a row, below 2^40."""
    return segment << _OFFSET_BITS | low


def unpack_position(word: int) -> Position:
    """The position that a word of the page stands for."""
    return Position(word >> _OFFSET_BITS, word & ((1 << _OFFSET_BITS) - 1))
