"""Reading a log that is damaged: which records of a segment are whole, whatever lies between them.

A record carries a checksum that starts from its segment's header (`wal`), so a place where one verifies is a record
beyond doubt. Behind a bad one the search goes on: at the place that its length names, else at every eighth byte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from workbench.errors import LayoutUnknown, LogCorrupt
from workbench.schema import KINDS, LAYOUT_VERSION
from workbench.store.batches import decode_present, row_counts
from workbench.store.wal import HEADER_BYTES, MAX_RECORD_BYTES, RECORD, Header, read_header


@dataclass(frozen=True)
class Span:
    """Bytes [start, end) of a segment."""

    start: int
    end: int


@dataclass(frozen=True)
class Scan:
    """What is whole and what is not in one segment, up to `end`; `header` is None where it cannot be read.

    `lost` are spans before `end` in which no record verifies.
    """

    path: Path
    number: int
    header: Header | None
    records: tuple[Span, ...]
    lost: tuple[Span, ...]
    end: int

    def payloads(self) -> Iterator[bytes]:
        """The payloads of the whole records, in order."""
        with self.path.open("rb") as file:
            for span in self.records:
                file.seek(span.start + RECORD.size)
                yield file.read(span.end - span.start - RECORD.size)


def scan_segment(path: Path, number: int, *, end: int | None, tail: bool) -> Scan:
    """Read one segment up to `end` (None: to its last byte).

    With `tail` it is the last one of its log, whose records were answered up to `end` alone: behind it only those count
    that follow without a gap.
    """
    content = path.read_bytes()
    header = _header(path)
    seed = header.seed if header else _seed_of(content)
    stop = len(content) if end is None else min(end, len(content))
    records: list[Span] = []
    lost: list[Span] = []
    at = HEADER_BYTES
    while at < stop and seed is not None:
        found = _record(content, at, len(content) if tail else stop, seed)
        if found is None:
            following = _resync(content, at, stop, seed)
            lost.append(Span(at, following))
            at = following
        else:
            records.append(found)
            at = found.end
    while tail and seed is not None and (found := _record(content, at, len(content), seed)) is not None:
        records.append(found)
        at = found.end
    if seed is None and stop > HEADER_BYTES:
        lost.append(Span(HEADER_BYTES, stop))
    if end is not None and end > len(content):
        lost.append(Span(len(content), end))
    return Scan(path, number, header, tuple(records), tuple(lost), max(at, stop))


def _header(path: Path) -> Header | None:
    try:
        return read_header(path)
    except (LogCorrupt, LayoutUnknown):
        return None


def _record(content: bytes, at: int, end: int, seed: int) -> Span | None:
    if at + RECORD.size > end:
        return None
    length, checksum = RECORD.unpack_from(content, at)
    stop = at + RECORD.size + length
    if length == 0 or length % 8 or length > MAX_RECORD_BYTES or stop > end:
        return None
    payload = memoryview(content)[at + RECORD.size : stop]
    return Span(at, stop) if zlib.crc32(payload, seed) == checksum else None


def _resync(content: bytes, bad: int, end: int, seed: int) -> int:
    """Where the next whole record behind a bad one starts; `end` if there is none."""
    if bad + RECORD.size <= end:
        named = bad + RECORD.size + RECORD.unpack_from(content, bad)[0]
        if named == end or (named < end and _record(content, named, end, seed)):
            return int(named)
    for at in _candidates(content, bad + 8, end):
        if _record(content, at, end, seed):
            return at
    return end


def _candidates(content: bytes, start: int, end: int) -> list[int]:
    """Places that look like the beginning of a record: a length that fits, then the head of a payload."""
    words = np.frombuffer(content, "<u4", (end - start) // 8 * 2, start).reshape(-1, 2)
    if len(words) < 2:
        return []
    at = start + 8 * np.arange(len(words) - 1)
    lengths, heads = words[:-1, 0].astype(np.int64), words[1:]
    fits = (lengths > 0) & (lengths % 8 == 0) & (at + RECORD.size + lengths <= end)
    looks = (heads[:, 0] & 0xFFFF00FF == LAYOUT_VERSION) & (heads[:, 1] == 0)
    found: list[int] = at[fits & looks].tolist()
    return found


def _seed_of(content: bytes) -> int | None:
    """The seed that the first record's checksum started from, where a header is lost; None if that record is too."""
    if len(content) < HEADER_BYTES + RECORD.size:
        return None
    length, checksum = RECORD.unpack_from(content, HEADER_BYTES)
    payload = content[HEADER_BYTES + RECORD.size : HEADER_BYTES + RECORD.size + length]
    if not length or length % 8 or len(payload) < length:
        return None
    seed = _crc_before(checksum, payload)
    following = _record(content, HEADER_BYTES + RECORD.size + length, len(content), seed)
    return seed if following is not None or readable(payload) else None


def readable(payload: bytes) -> bool:
    """Whether a payload decodes."""
    try:
        return all(batch.num_rows >= 0 for _, batch in decode_present(payload))
    except (struct.error, ValueError, KeyError, IndexError, OSError, pa.ArrowException):
        return False


def rows_said(content: bytes, span: Span) -> dict[str, int]:
    """Rows of each kind that a bad record says of itself; nothing where that cannot be read."""
    try:
        found = row_counts(content[span.start + RECORD.size : span.end])
    except (struct.error, ValueError, IndexError):
        return {}
    return found if set(found) <= set(KINDS) and all(0 <= n < 2**32 for n in found.values()) else {}


_TABLE = [0] * 256
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = _value >> 1 ^ (0xEDB88320 if _value & 1 else 0)
    _TABLE[_byte] = _value
_BY_TOP = {value >> 24: index for index, value in enumerate(_TABLE)}


def _crc_before(checksum: int, payload: bytes) -> int:
    """The start value with which CRC-32 of the payload gives this checksum: the same steps, backwards."""
    crc = checksum ^ 0xFFFFFFFF
    for byte in reversed(payload):
        index = _BY_TOP[crc >> 24]
        crc = ((crc ^ _TABLE[index]) << 8 & 0xFFFFFFFF) | (index ^ byte)
    return crc ^ 0xFFFFFFFF
