"""Compaction: many small files of a day become a few large ones, in which every key stands once.

While a day lasts, the files of each closed two-hour block are merged; when it is over, its blocks are. What arrives
later for an old day is merged when it has settled. Only the exchange of files in the table holds the maintenance lock,
reading and writing do not, so sealing hardly waits for it. A kill at any point leaves the old files, or the new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from workbench import log
from workbench.config import Settings
from workbench.schema import TABLES, Kind
from workbench.store import delta, parquet
from workbench.store.index.catalog import rows_moved
from workbench.store.lake import Lake
from workbench.store.parquet import DataFile, FileWriter
from workbench.store.rows import DAY_US, day_start_us, deduplicate

_log = log.get(__name__)

TARGET_BYTES = 128 * 2**20
# Rows held in memory at once: a slice of series has about so many.
SLICE_ROWS = 2_000_000
# Opening a table reads every log entry since its last checkpoint: after 20 a seal takes twice as long as after none.
CHECKPOINT_VERSIONS = 20


def block_us(settings: Settings) -> int:
    """Length of a block: two hours, if not set otherwise."""
    return settings.lake.compact_block_seconds * 1_000_000


def slack_us(settings: Settings) -> int:
    """How long after its end a block or a day still waits for samples on their way, and an old day for an import."""
    return block_us(settings) // 12


@dataclass(frozen=True)
class Merge:
    """Files of one table, and of one day where it is partitioned, to become few; `prefix` names what they become."""

    files: tuple[DataFile, ...]
    prefix: str


def compact(lake: Lake, now_us: int, *, everything: bool = False) -> list[str]:
    """One round of compaction of all tables; what was merged, a line each.

    `now_us` decides which blocks and days are over; `everything` merges what is not merged yet, the running day too.
    Nothing is done while a seal is half done: the writer finishes it when it starts.
    """
    done: list[str] = []
    if not lake.settle():
        return done
    for kind in TABLES.values():
        for job in plan(kind, lake.newest_files(kind.name), now_us, lake.settings, everything=everything):
            made = merge(lake.path(kind.name), kind, job)
            if not lake.replace(kind.name, add=made, remove=job.files):
                # Somebody was faster, or a seal was cut short: the next round plans anew from what is there then.
                parquet.discard_files(lake.path(kind.name), made)
                _log.info("compaction gave way", table=kind.name, files=len(job.files))
                continue
            if kind.name == "samples":
                rows_moved(lake.settings, job.files, made)
            place = f"{kind.name} {job.files[0].day}" if kind.time else kind.name
            done.append(f"{place}: {len(job.files)} files became {len(made)}")
            _log.info("compacted", place=place, files=len(job.files), became=len(made))
        delta.checkpoint(lake.path(kind.name), every=CHECKPOINT_VERSIONS)
    return done


def plan(
    kind: Kind, files: Sequence[DataFile], now_us: int, settings: Settings, *, everything: bool = False
) -> Iterator[Merge]:
    """What to merge in a table now."""
    days: dict[str | None, list[DataFile]] = defaultdict(list)
    for file in files:
        days[file.day].append(file)
    for day, group in days.items():
        fresh = [file for file in group if not file.name.startswith("day-")]
        if not fresh or (len(group) == 1 and group[0].name.startswith("block-")):
            continue
        over_us = day_start_us(day) + DAY_US + slack_us(settings) if day else 0
        if everything or (now_us > over_us and _is_due(fresh, over_us if day else None, now_us, settings)):
            yield from _bounded(kind, _touched(fresh, group))
        elif now_us <= over_us:
            yield from _closed_blocks(fresh, now_us, settings)


def merge(
    folder: Path, kind: Kind, job: Merge, *, target_bytes: int = TARGET_BYTES, slice_rows: int = SLICE_ROWS
) -> list[DataFile]:
    """Write the rows of some files of one day, each key once, into new durable files that nothing refers to yet."""
    made: list[DataFile] = []
    writer: FileWriter | None = None
    try:
        for piece in _pieces(folder, kind, job.files, slice_rows):
            writer = writer or FileWriter(folder, kind, day=job.files[0].day, prefix=job.prefix)
            writer.write(deduplicate(kind, piece))
            if writer.size_bytes >= target_bytes:
                made.append(writer.close())
                writer = None
        if writer is not None:
            made.append(writer.close())
            writer = None
        # The commit would do it too, but under the lock, and a seal would wait for the disk.
        parquet.sync_files(folder, made)
    except BaseException:
        parquet.discard_files(folder, made)
        if writer is not None:
            writer.discard()
        raise
    return made


def _is_due(fresh: Sequence[DataFile], over_us: int | None, now_us: int, settings: Settings) -> bool:
    """Whether enough files are there; or, of a day, nothing more may come by the doors, and what came has settled."""
    if len(fresh) >= settings.lake.compact_after_files:
        return True
    if over_us is None:
        return False
    settled_us = max(file.modified_ms for file in fresh) * 1000 + slack_us(settings)
    return now_us > max(settled_us, over_us + settings.ingest.accept_past_seconds * 1_000_000)


def _closed_blocks(fresh: Sequence[DataFile], now_us: int, settings: Settings) -> Iterator[Merge]:
    length_us, enough = block_us(settings), settings.lake.compact_after_files
    blocks: dict[int, list[DataFile]] = defaultdict(list)
    for file in fresh:
        if file.time_us is not None:
            blocks[file.time_us[0] // length_us].append(file)
    for block, group in blocks.items():
        sealed = sum(file.name.startswith("part-") for file in group)
        if sealed >= enough and now_us > (block + 1) * length_us + slack_us(settings):
            yield Merge(tuple(group), "block")


def _touched(fresh: Sequence[DataFile], group: Sequence[DataFile]) -> list[DataFile]:
    """The fresh files, and those merged before that can hold a double of one of their rows."""
    spans = [file.series for file in fresh]

    def touched(file: DataFile) -> bool:
        mine = file.series
        return mine is None or any(span is None or (span[0] <= mine[1] and mine[0] <= span[1]) for span in spans)

    return [file for file in group if file in fresh or touched(file)]


def _bounded(kind: Kind, files: Sequence[DataFile]) -> Iterator[Merge]:
    """Samples are merged in slices of series, any number of files; other kinds in memory, so many bytes at once."""
    # The series table has no days: what is merged there counts as fresh again, or it would never be merged with more.
    prefix = "day" if kind.time else "block"
    if kind.by_series or not kind.time:
        yield Merge(tuple(files), prefix)
        return
    batch: list[DataFile] = []
    for file in sorted(files, key=lambda file: file.time_us or (0, 0)):
        if batch and sum(other.size_bytes for other in batch) + file.size_bytes > TARGET_BYTES:
            yield Merge(tuple(batch), prefix)
            batch = []
        batch.append(file)
    yield Merge(tuple(batch), prefix)


def _pieces(folder: Path, kind: Kind, files: Sequence[DataFile], slice_rows: int) -> Iterator[pa.Table]:
    """The rows of the files in pieces that follow each other in the order of the files; a key lies in one piece."""
    paths = [str(folder / file.path) for file in files]
    if not kind.by_series:
        names = parquet.file_schema(kind).names
        yield pa.concat_tables([parquet.read_rows(path, kind, names) for path in paths])
        return
    bounds = cuts(paths, kind, slice_rows)
    for low, high in pairwise(bounds):
        piece = pa.concat_tables([parquet.read_span(path, kind, low, high) for path in paths])
        if piece.num_rows:
            yield piece


def cuts(paths: Sequence[str], kind: Kind, slice_rows: int) -> list[int]:
    """Series ids at which to cut so that about `slice_rows` rows lie between two, from the row groups' bounds."""
    found = [parquet.series_groups(path, kind) for path in paths]
    lowest = np.concatenate([low for low, _ in found])
    order = np.argsort(lowest, kind="stable")
    slices = np.cumsum(np.concatenate([rows for _, rows in found])[order]) // slice_rows
    starts = lowest[order][np.flatnonzero(np.diff(slices, prepend=0))]
    return [int(lowest.min()), *(int(cut) for cut in np.unique(starts) if cut > lowest.min()), np.iinfo(np.int64).max]
