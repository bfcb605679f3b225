"""Samples from chunk files where they stand for the lake, from its rows where they do not: the same, only faster."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from prometheus_client import Counter

from workbench import log
from workbench.config import Settings
from workbench.errors import StoreError
from workbench.store.index.block import Block, open_block
from workbench.store.index.catalog import Entry, catalog_path, index_dir, read_catalog
from workbench.store.index.chunks import Chunks, Damaged
from workbench.store.lake import Lake
from workbench.store.manifest import Manifest
from workbench.store.samples import Run, float_rows, gather, sort_run

_log = log.get(__name__)
_DAMAGED = Counter("workbench_index_damaged_blocks", "Chunk files found damaged, and left to be made anew.")
_SAMPLES = Counter("workbench_index_samples", "Float samples read from the cold store, by where they lay.", ["source"])

# As the lake's: two cores decode twice as fast, more threads would only take them from the doors.
_THREADS = 2
# Decoded within a millisecond: handing them to other threads would take as long.
_INLINE_SAMPLES = 200_000
_ROWS_OF_A_SEGMENT = 40
_COLUMNS = ("series", "time", "type", "value", "segment", "row")

Stretch = tuple[int, int, Block | None]
"""A time from and up to (us, both included), and the block that holds its samples, None where the rows do."""


class IndexedLake:
    """Float samples of the lake by the shortest way; one per view, thread-safe."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self._settings = settings
        self._path = str(catalog_path(settings))  # looked at by every query
        self._lake = lake
        self._guard = threading.Lock()  # guards all below
        self._stamp: tuple[int, int] = (0, 0)
        self._entries: list[Entry] = []
        self._open: dict[str, Block | None] = {}
        self._valid: OrderedDict[tuple[int, int], bool] = OrderedDict()  # (table version, block) -> it stands for it
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="index-read")

    def samples(
        self, ids: np.ndarray, start_us: int, end_us: int, version: str | None, *, sequences: bool = False
    ) -> Run:
        """Samples of `ids` (ascending, unique) with start <= time <= end, in a version; newest row of each time.

        Their `sequences` are told only if asked for, and then so that they compare rightly with rows of the log that
        are not in the lake. Raises VersionGone.
        """
        while True:
            stretches = self._stretches(start_us, end_us, self._lake.manifest(version))
            try:
                return self._read(ids, stretches, version, sequences)
            except Damaged as error:
                self._drop(error.block, error.what)

    def _read(self, ids: np.ndarray, stretches: list[Stretch], version: str | None, sequences: bool) -> Run:
        if not any(block for _, _, block in stretches):
            start_us, end_us = stretches[0][0], stretches[-1][1]
            return gather(self._rows(ids, start_us, end_us, version), ids, start_us, end_us)
        chunks = {
            i: Chunks(block, ids, start, end)
            for i, (start, end, block) in enumerate(stretches)
            if block is not None and len(block.ids)
        }
        snapshot = self._lake.snapshot("samples", version)
        rows = {
            i: gather(self._rows(ids, start, end, version), ids, start, end)
            for i, (start, end, block) in enumerate(stretches)
            if block is None and snapshot.overlapping(ids, start, end)
        }
        counts = np.zeros((len(stretches), len(ids)), np.int64)
        for i, part in chunks.items():
            counts[i] = part.counts
        for i, run in rows.items():
            counts[i] = np.diff(run.offsets)
        offsets = np.concatenate(([0], np.cumsum(counts.sum(axis=0))))
        places = offsets[:-1] + np.cumsum(counts, axis=0) - counts
        times, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.float64)
        tasks = [(i, piece) for i, part in chunks.items() for piece in part.pieces()]

        def decode(task: tuple[int, slice]) -> None:
            chunks[task[0]].decode(task[1], places[task[0]], times, values)

        for _ in self._pool.map(decode, tasks) if len(times) > _INLINE_SAMPLES else map(decode, tasks):
            pass
        found = np.zeros(0, np.int64)
        if sequences:
            # Rows that a block stands for are older than any that is not sealed, and as new as any that is.
            sealed = self._lake.manifest(version)
            found = np.full(offsets[-1], (sealed.segment + 1 << _ROWS_OF_A_SEGMENT) - 1 if sealed else 0)
        for i, run in rows.items():
            _place(run.offsets, run.times, run.values, run.sequences, places[i], times, values, found)
        read = sum(run.rows for run in rows.values())
        _SAMPLES.labels("rows").inc(read)
        _SAMPLES.labels("index").inc(len(times) - read)
        return Run(ids, offsets, times, values, found)

    def _rows(self, ids: np.ndarray, start_us: int, end_us: int, version: str | None) -> Run:
        return sort_run(*float_rows(self._lake.samples(ids, start_us, end_us, version=version, columns=_COLUMNS)))

    def _stretches(self, start_us: int, end_us: int, manifest: Manifest | None) -> list[Stretch]:
        """The time from start to end, cut into what blocks hold and what they do not; at least one."""
        found: list[Stretch] = []
        at = start_us
        for block in self._blocks(start_us, end_us, manifest):
            if block.start_us > at:
                found.append((at, block.start_us - 1, None))
            found.append((max(at, block.start_us), min(end_us, block.end_us - 1), block))
            at = block.end_us
        if at <= end_us or not found:
            found.append((at, end_us, None))
        return found

    def _blocks(self, start_us: int, end_us: int, manifest: Manifest | None) -> Iterator[Block]:
        if manifest is None:
            return
        with self._guard:
            self._refresh()
            entries = [entry for entry in self._entries if entry.start_us <= end_us and entry.end_us > start_us]
        sealed = (manifest.segment + 1 << _ROWS_OF_A_SEGMENT) - 1
        for entry in entries:
            if self._stands(entry, manifest):
                block = self._block(entry)
                # A load may be newer than a segment that is closed and not sealed yet: then only rows can tell.
                if block is not None and block.highest <= sealed:
                    yield block

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
        except OSError:
            stamp = (0, 0)
        else:
            stamp = (status.st_mtime_ns, status.st_ino)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._entries = read_catalog(self._settings) if stamp[0] else []
        names = {entry.file for entry in self._entries}
        self._open = {name: block for name, block in self._open.items() if name in names}
        self._valid.clear()

    def _stands(self, entry: Entry, manifest: Manifest) -> bool:
        key = (manifest.tables.get("samples", -1), entry.start_us)
        with self._guard:
            known = self._valid.get(key)
        if known is None:
            snapshot = self._lake.snapshot_of("samples", manifest)
            files = snapshot.overlapping(None, entry.start_us, entry.end_us - 1)
            known = entry.stands_for(files)
            with self._guard:
                self._valid[key] = known
        return known

    def _block(self, entry: Entry) -> Block | None:
        with self._guard:
            if entry.file in self._open:
                return self._open[entry.file]
            block = None
            try:
                block = open_block(index_dir(self._settings) / entry.file)
            except FileNotFoundError:
                _log.info("index file missing", file=entry.file)
            except (StoreError, OSError) as error:
                self._report(entry.file, str(error))
            self._open[entry.file] = block
            return block

    def _drop(self, block: Block, what: str) -> None:
        with self._guard:
            self._open[block.path.name] = None
            self._report(block.path.name, what)

    def _report(self, name: str, what: str) -> None:
        """Say it, and take the file away: whoever builds the index makes it anew."""
        _DAMAGED.inc()
        _log.warning("index file damaged", file=name, what=what)
        with contextlib.suppress(OSError):
            (index_dir(self._settings) / name).unlink()


@njit(cache=True, nogil=True)
def _place(offsets, times, values, sequences, places, to_times, to_values, to_sequences):  # type: ignore[no-untyped-def]
    for i in range(len(places)):
        a, count, to = offsets[i], offsets[i + 1] - offsets[i], places[i]
        to_times[to : to + count] = times[a : a + count]
        to_values[to : to + count] = values[a : a + count]
        if len(to_sequences):
            to_sequences[to : to + count] = sequences[a : a + count]
