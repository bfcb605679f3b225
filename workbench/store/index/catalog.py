"""Which chunk files there are, and of which lake files each was made: `index/catalog.json`.

A block answers for a version of the lake if the files of `samples` that can hold a row of its time are, in that
version, those it was made of, or some that compaction made of the same rows. Nothing else makes it valid, so late
samples, erasure, retention and a restored backup need no word to the index.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workbench.config import Settings
from workbench.store.layout import write_durably
from workbench.store.parquet import DataFile

_LAYOUT = 1
_EARLIER = 4
"""How many earlier sets of files with the same rows are remembered: sealed, merged by block, by day, and once more."""


@dataclass(frozen=True)
class Entry:
    """One chunk file: its block, name and sizes; the lake files it stands for, and fingerprints of earlier ones."""

    start_us: int
    end_us: int
    file: str
    size_bytes: int
    samples: int
    chunks: int
    sources: tuple[str, ...]
    earlier: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()
    """Files that by their bounds could hold a row of the block, and were looked at: they hold none."""

    def stands_for(self, files: Iterable[DataFile]) -> bool:
        """Whether it holds the rows of these lake files, all that can hold one of its time."""
        print_ = fingerprint({file.path for file in files}.difference(self.untouched))
        return print_ == fingerprint(self.sources) or print_ in self.earlier


def fingerprint(paths: Iterable[str]) -> str:
    """Name of a set of lake files, whatever their order."""
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()[:32]


def index_dir(settings: Settings) -> Path:
    """Where the chunk files and their catalogue lie."""
    return settings.home / "index"


def catalog_path(settings: Settings) -> Path:
    """The catalogue's file."""
    return index_dir(settings) / "catalog.json"


def read_catalog(settings: Settings) -> list[Entry]:
    """The entries, by time; none where the catalogue is missing, damaged or of another layout."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        body = json.loads(catalog_path(settings).read_text(encoding="utf-8"))
        if body["layout"] == _LAYOUT:
            found = [_entry(block) for block in body["blocks"]]
            return sorted(found, key=lambda entry: entry.start_us)
    return []


def _entry(block: dict[str, Any]) -> Entry:
    lists: dict[str, Any] = {name: tuple(block[name]) for name in ("sources", "earlier", "untouched")}
    return Entry(**(block | lists))


@contextlib.contextmanager
def catalog_lock(settings: Settings) -> Iterator[None]:
    """Wait for, and hold, the lock under which the catalogue is changed."""
    folder = index_dir(settings)
    folder.mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_catalog(settings: Settings, entries: Sequence[Entry]) -> None:
    """Replace the catalogue; the caller holds its lock."""
    blocks = [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.start_us)]
    write_durably(catalog_path(settings), json.dumps({"layout": _LAYOUT, "blocks": blocks}).encode())


def rows_moved(settings: Settings, gone: Sequence[DataFile], made: Sequence[DataFile]) -> None:
    """Take note that compaction put the same rows into other files: what was made of the old stands for the new."""
    if not catalog_path(settings).exists():
        return
    with catalog_lock(settings):
        entries = read_catalog(settings)
        moved = [_moved(entry, gone, made) for entry in entries]
        if moved != entries:
            write_catalog(settings, moved)


def _moved(entry: Entry, gone: Sequence[DataFile], made: Sequence[DataFile]) -> Entry:
    removed = {file.path for file in gone if overlaps(file, entry.start_us, entry.end_us)}
    if not removed.issubset((*entry.sources, *entry.untouched)):
        return entry
    added = [file.path for file in made if overlaps(file, entry.start_us, entry.end_us)]
    if removed.isdisjoint(entry.sources):
        return replace(entry, untouched=tuple(sorted({*entry.untouched, *added})))
    sources = tuple(sorted((set(entry.sources) - removed) | set(added)))
    if sources == entry.sources:
        return entry
    earlier = (fingerprint(entry.sources), *entry.earlier)[:_EARLIER]
    return replace(entry, sources=sources, earlier=earlier)


def overlaps(file: DataFile, start_us: int, end_us: int) -> bool:
    """Whether a lake file can hold a row with start <= time < end."""
    return file.time_us is None or (file.time_us[0] < end_us and file.time_us[1] >= start_us)
