"""The format of the log: numbered segments of checksummed records.

    segment := header, record*                    file `<number>.wal`
    header  := magic, layout version, log uuid, number, valid bytes of the segment before, birth time, crc32; 64 bytes
    record  := u32 length, u32 crc32, payload     length a multiple of 8; payload as `batches` writes it

The checksum of a record starts from that of its segment's header, so that a record can not pass for one of another
segment. A record is atomic: all its batches or none. A segment is valid up to the length that the header of the next
one names; what lies behind it was never acknowledged. Only the last segment can have a torn tail, which recovery cuts.
"""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from workbench.errors import LayoutUnknown, LogCorrupt
from workbench.schema import LAYOUT_VERSION

_HEADER = struct.Struct("<8sI4x16sqqq")
_CRC = struct.Struct("<I4x")
RECORD = struct.Struct("<II")
HEADER_BYTES = _HEADER.size + _CRC.size
_MAGIC = b"WBLOG\x00\x00\x00"
_CHUNK_BYTES = 4 * 2**20
MAX_RECORD_BYTES = 2**31
DOCTOR = "Nothing was changed. `workbench doctor` shows what can be saved."


class Position(NamedTuple):
    """A place in the log: the end of a record. Later ones compare greater."""

    segment: int
    offset: int


@dataclass(frozen=True)
class Header:
    """What a segment says of itself. `previous_bytes` is the valid length of the segment before (0: there is none)."""

    log_uuid: str
    number: int
    previous_bytes: int
    created_us: int

    def pack(self) -> bytes:
        """The 64 bytes at the start of the segment."""
        body = _HEADER.pack(
            _MAGIC, LAYOUT_VERSION, uuid.UUID(self.log_uuid).bytes, self.number, self.previous_bytes, self.created_us
        )
        return body + _CRC.pack(zlib.crc32(body))

    @property
    def seed(self) -> int:
        """Where the checksums of this segment's records start from."""
        # Without its checksum: with it, the CRC of every header is the same constant.
        return zlib.crc32(self.pack()[: _HEADER.size])


class TornRecord(Exception):
    """No valid record starts at `offset`; whether that is a fault depends on where it is."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"no valid record at byte {offset}")
        self.offset = offset


def read_header(path: Path) -> Header:
    """Header of a segment. Raises FileNotFoundError, LogCorrupt or LayoutUnknown."""
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES or not raw.startswith(_MAGIC):
        raise LogCorrupt("not a log segment", where=str(path), hint=DOCTOR)
    _, layout, log, number, previous, created = _HEADER.unpack_from(raw)
    if layout != LAYOUT_VERSION:
        raise LayoutUnknown(f"the segment has layout {layout}, this version knows {LAYOUT_VERSION}", where=str(path))
    if _CRC.unpack_from(raw, _HEADER.size)[0] != zlib.crc32(raw[: _HEADER.size]):
        raise LogCorrupt("the header's checksum fails", where=str(path), hint=DOCTOR)
    return Header(str(uuid.UUID(bytes=log)), number, previous, created)


def pack_record(payload: bytes, seed: int) -> list[bytes]:
    """Record header and payload, to be written one after the other."""
    return [RECORD.pack(len(payload), zlib.crc32(payload, seed)), payload]


def read_records(fd: int, seed: int, start: int, end: int) -> Iterator[tuple[int, int, pa.Buffer]]:
    """Offset, end and payload of every record in the bytes [start, end) of a segment.

    `start` must be the start of a record. Raises TornRecord at the first place where no valid record starts.
    """
    at = start
    while at < end:
        chunk = os.pread(fd, min(_CHUNK_BYTES, end - at), at)
        used = 0
        while used + RECORD.size <= len(chunk):
            length, checksum = RECORD.unpack_from(chunk, used)
            stop = at + used + RECORD.size + length
            if length == 0 or length % 8 or length > MAX_RECORD_BYTES or stop > end:
                raise TornRecord(at + used)
            if used + RECORD.size + length > len(chunk):
                if used:
                    break
                chunk = os.pread(fd, RECORD.size + length, at)
                if len(chunk) < RECORD.size + length:
                    raise TornRecord(at)
            payload = pa.py_buffer(chunk).slice(used + RECORD.size, length)
            if zlib.crc32(payload, seed) != checksum:
                raise TornRecord(at + used)
            yield at + used, stop, payload
            used += RECORD.size + length
        if used == 0:
            raise TornRecord(at)
        at += used


def read_record(fd: int, offset: int) -> pa.Buffer:
    """Payload of one record that was read before, so its checksum is not computed again."""
    length, _ = RECORD.unpack(os.pread(fd, RECORD.size, offset))
    return pa.py_buffer(os.pread(fd, length, offset + RECORD.size))


def valid_bytes(path: Path) -> int:
    """Length up to which a segment holds valid records: where its torn tail starts, or its size."""
    header = read_header(path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        stop = HEADER_BYTES
        for _, end, _ in read_records(fd, header.seed, HEADER_BYTES, os.fstat(fd).st_size):
            stop = end
    except TornRecord as torn:
        return torn.offset
    finally:
        os.close(fd)
    return stop
