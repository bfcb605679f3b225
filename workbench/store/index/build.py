"""Lake -> chunk files, a day at a time, the newest first; and away with what stands for nothing any more."""

from __future__ import annotations

import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from workbench import log
from workbench.config import Settings
from workbench.schema import KINDS
from workbench.store import parquet
from workbench.store.compaction import cuts
from workbench.store.index.block import BlockWriter
from workbench.store.index.catalog import (
    Entry,
    catalog_lock,
    catalog_path,
    index_dir,
    read_catalog,
    write_catalog,
)  # fmt: skip
from workbench.store.index.encode import encode
from workbench.store.lake import Lake
from workbench.store.parquet import DataFile
from workbench.store.rows import DAY_US, microseconds
from workbench.store.samples import Run, float_rows, gather, sort_run

_log = log.get(__name__)

_COLUMNS = ("series", "time", "type", "value", "segment", "row")
_SLICE_ROWS = 2_000_000
"""Rows held in memory at once: a slice of series has about so many."""
_LOOK_AT_ROWS = 20_000_000
"""Files of more rows are taken to have some in every block that their bounds allow."""

Due = Mapping[int, Sequence[DataFile]]
"""Start of a block (us) -> the lake files that can hold its rows."""


@dataclass(frozen=True)
class Built:
    """What a round did: blocks made, their samples and bytes, blocks that still wait."""

    blocks: int = 0
    samples: int = 0
    size_bytes: int = 0
    waiting: int = 0


def build_index(lake: Lake, now_us: int, *, stop: Callable[[], bool] = lambda: False) -> Built:
    """Bring the index up to the newest version of the lake, day by day until `stop`; and delete what is stale.

    Blocks are covered that are over, within `index.window_days` before `now_us`, and have samples. A kill at any point
    leaves the index as it was, or with some blocks more. One builder at a time: the others wait.
    """
    settings = lake.settings
    with catalog_lock(settings):
        lake.refresh()
        wanted = wanted_blocks(lake, now_us)
        kept = _prune(lake, wanted)
        known = {entry.start_us for entry in kept}
        missing = {start: files for start, files in wanted.items() if start not in known}
        days: dict[int, dict[int, Sequence[DataFile]]] = defaultdict(dict)
        for start, files in missing.items():
            days[start // DAY_US][start] = files
        done = Built(waiting=len(missing))
        for day in sorted(days, reverse=True):
            if stop() or shutil.disk_usage(settings.home).free < 2 * settings.lake.min_free_bytes:
                break
            made = _build_day(lake, days[day])
            kept += made
            write_catalog(settings, kept)
            done = Built(
                done.blocks + len(made),
                done.samples + sum(entry.samples for entry in made),
                done.size_bytes + sum(entry.size_bytes for entry in made),
                done.waiting - len(made),
            )
        return done


def drop_index(settings: Settings) -> None:
    """Delete the index; queries read rows until it is made anew."""
    with catalog_lock(settings):
        catalog_path(settings).unlink(missing_ok=True)
        for path in index_dir(settings).glob("*.chunks"):
            path.unlink(missing_ok=True)


def length_us(settings: Settings) -> int:
    """Length of a block."""
    return settings.index.block_seconds * 1_000_000


def block_files(lake: Lake, start_us: int, version: str | None = None) -> list[DataFile]:
    """The lake files that can hold a row of the block that begins there, in a version. Raises VersionGone."""
    return lake.snapshot("samples", version).overlapping(None, start_us, start_us + length_us(lake.settings) - 1)


def wanted_blocks(lake: Lake, now_us: int) -> dict[int, list[DataFile]]:
    """Blocks that should be there: start of each -> the lake files that can hold its rows."""
    settings, length = lake.settings, length_us(lake.settings)
    oldest = now_us - settings.index.window_days * DAY_US
    # As long as compaction waits for samples on their way.
    newest = now_us - length - length // 12
    starts: set[int] = set()
    for low, high in lake.snapshot("samples").times.tolist():
        first, last = max(low, oldest) // length, min(high, newest) // length
        starts.update(range(first * length, (last + 1) * length, length))
    found = {start: block_files(lake, start) for start in starts if oldest <= start <= newest}
    return {start: files for start, files in found.items() if files}


def _prune(lake: Lake, wanted: Due) -> list[Entry]:
    """The entries that stand for what is wanted; files of all others go."""
    settings = lake.settings
    folder, length = index_dir(settings), length_us(settings)
    entries = read_catalog(settings)
    looked: dict[str, set[int]] = {}
    kept = [
        found
        for entry in entries
        if entry.start_us in wanted and entry.end_us - entry.start_us == length and (folder / entry.file).exists()
        if (found := _still(lake, entry, wanted[entry.start_us], looked)) is not None
    ]
    if kept != entries:
        write_catalog(settings, kept)
    names = {entry.file for entry in kept}
    for path in (*folder.glob("*.chunks"), *folder.glob(".*.tmp")):
        if path.name not in names:
            path.unlink(missing_ok=True)
    return kept


def _still(lake: Lake, entry: Entry, files: Sequence[DataFile], looked: dict[str, set[int]]) -> Entry | None:
    """The entry if it stands for these files, or would but for some that have no row in the block; else None.

    A single late sample stretches the bounds of what was sealed with it over all blocks between.
    """
    if entry.stands_for(files):
        return entry
    paths = {file.path for file in files}
    new = [file for file in files if file.path not in entry.sources and file.path not in entry.untouched]
    if not paths.issuperset(entry.sources) or any(file.rows > _LOOK_AT_ROWS for file in new):
        return None
    for file in new:
        if file.path not in looked:
            rows = parquet.read_rows(str(lake.path("samples") / file.path), KINDS["samples"], ["time"])
            looked[file.path] = set(np.unique(microseconds(rows["time"]) // length_us(lake.settings)).tolist())
        if entry.start_us // length_us(lake.settings) in looked[file.path]:
            return None
    return replace(entry, untouched=tuple(sorted(paths.difference(entry.sources))))


def _build_day(lake: Lake, due: Due) -> list[Entry]:
    """Make the blocks of one day: its rows are read once for all of them."""
    folder, length = index_dir(lake.settings), length_us(lake.settings)
    writers: dict[int, BlockWriter] = {}
    try:
        for start in sorted(due):
            name = f"{start // 1_000_000}-{uuid.uuid4().hex[:8]}.chunks"
            writers[start] = BlockWriter(folder / name, start, start + length)
        for run in _slices(lake.path("samples"), due, length):
            for start, writer in writers.items():
                _write(writer, gather(run, run.ids, start, start + length - 1))
        made = []
        for start, writer in writers.items():
            size_bytes = writer.close()
            sources = tuple(sorted(file.path for file in due[start]))
            name, chunks = writer.path.name, writer.chunks
            made.append(Entry(start, start + length, name, size_bytes, writer.samples, chunks, sources))
        _log.info("index built", blocks=len(made), samples=sum(entry.samples for entry in made))
        return made
    except BaseException:
        for writer in writers.values():
            writer.discard()
        raise


def _write(writer: BlockWriter, part: Run) -> None:
    counts = np.diff(part.offsets)
    there = counts > 0
    if there.any():
        offsets = np.append(part.offsets[:-1][there], part.offsets[-1])
        writer.write(part.ids[there], encode(offsets, part.times, part.values), int(part.sequences.max()))


def _slices(folder: Path, due: Due, length: int) -> Iterator[Run]:
    """The float samples of the blocks, a slice of series after another."""
    kind = KINDS["samples"]
    paths = sorted({str(folder / file.path) for files in due.values() for file in files})
    first, last = min(due), max(due) + length - 1
    for low, high in pairwise(cuts(paths, kind, _SLICE_ROWS)):
        rows = pa.concat_tables([parquet.read_span(path, kind, low, high, columns=_COLUMNS) for path in paths])
        series, times, values, sequences = float_rows(rows)
        inside = (times >= first) & (times <= last)
        if not inside.all():
            series, times, values, sequences = series[inside], times[inside], values[inside], sequences[inside]
        if len(series):
            yield sort_run(series, times, values, sequences)
