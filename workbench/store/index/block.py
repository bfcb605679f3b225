"""One chunk file: written in pieces, made visible at once, checked when it is opened."""

from __future__ import annotations

import mmap
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import StoreError
from workbench.store.committer import full_sync
from workbench.store.index.encode import Encoded
from workbench.store.index.layout import HEADER, MAGIC, RECORD


@dataclass(frozen=True)
class Block:
    """An open chunk file. `ids` int64[chunks], ascending; `records` RECORD[chunks]; `words` uint64: all mapped."""

    path: Path
    start_us: int
    end_us: int
    highest: int
    ids: np.ndarray
    records: np.ndarray
    words: np.ndarray

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The row of each series, -1 where it has no chunk: int64[n]."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[places] == ids, places, -1)


class BlockWriter:
    """Writes one file beside its final name; `close` checks it in, `discard` takes it away."""

    def __init__(self, path: Path, start_us: int, end_us: int) -> None:
        self.path = path
        self.samples = self.chunks = 0
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._header = np.zeros(1, HEADER)
        self._header["magic"], self._header["start_us"], self._header["end_us"] = MAGIC, start_us, end_us
        self._ids: list[np.ndarray] = []
        self._records: list[np.ndarray] = []
        self._words = 0
        self._file = open(self._temporary, "wb")  # noqa: SIM115
        self._file.write(self._header.tobytes())

    def write(self, ids: np.ndarray, encoded: Encoded, highest: int) -> None:
        """Add chunks of series that follow, in ascending order, those written before."""
        records, words = encoded
        records["offset"] += self._words
        self._ids.append(ids)
        self._records.append(records)
        self._file.write(words.data)
        self._words += len(words)
        self.chunks += len(ids)
        self.samples += int(records["n"].sum())
        self._header["highest"] = max(int(self._header["highest"][0]), highest)

    def close(self) -> int:
        """Complete the file and give it its name, durably; its size in bytes."""
        ids = np.concatenate([np.empty(0, np.int64), *self._ids])
        records = np.concatenate([np.empty(0, RECORD), *self._records])
        self._header["chunks"], self._header["samples"], self._header["words"] = len(ids), self.samples, self._words
        self._header["crc"] = _crc(self._header, ids, records)
        self._file.write(ids.tobytes())
        self._file.write(records.tobytes())
        size_bytes = self._file.tell()
        self._file.seek(0)
        self._file.write(self._header.tobytes())
        self._file.flush()
        full_sync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self.path)
        return size_bytes

    def discard(self) -> None:
        """Take the unfinished file away."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def open_block(path: Path) -> Block:
    """Map a chunk file, after a look whether it is whole. Raises StoreError, FileNotFoundError.

    Its blobs are checked when they are decoded.
    """
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes < HEADER.itemsize:
            raise _damaged(path, "shorter than its header")
        mapped = mmap.mmap(file.fileno(), size_bytes, prot=mmap.PROT_READ)
    header = np.frombuffer(mapped, HEADER, 1)
    if header["magic"][0] != MAGIC.rstrip(b"\0"):
        raise _damaged(path, "not a chunk file of this layout")
    chunks, words = int(header["chunks"][0]), int(header["words"][0])
    expected = HEADER.itemsize + 8 * words + chunks * (8 + RECORD.itemsize)
    if words < 0 or chunks < 0 or expected != size_bytes:
        raise _damaged(path, f"{size_bytes} bytes long, not {expected}")
    directory = HEADER.itemsize + 8 * words
    ids = np.frombuffer(mapped, np.int64, chunks, directory)
    records = np.frombuffer(mapped, RECORD, chunks, directory + 8 * chunks)
    if _crc(header, ids, records) != int(header["crc"][0]):
        raise _damaged(path, "its directory has another checksum")
    return Block(
        path,
        int(header["start_us"][0]),
        int(header["end_us"][0]),
        int(header["highest"][0]),
        ids,
        records,
        np.frombuffer(mapped, np.uint64, words, HEADER.itemsize),
    )


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(what, where=str(path), hint="It is made anew from the lake; until then queries read rows.")


def _crc(header: np.ndarray, ids: np.ndarray, records: np.ndarray) -> int:
    blank = header.copy()
    blank["crc"] = 0
    return zlib.crc32(records.tobytes(), zlib.crc32(ids.tobytes(), zlib.crc32(blank.tobytes())))
