"""What the index covers, and whether it says what the rows say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.errors import StoreError
from workbench.store.index.block import open_block
from workbench.store.index.build import wanted_blocks
from workbench.store.index.catalog import Entry, index_dir, read_catalog
from workbench.store.index.chunks import Chunks, Damaged
from workbench.store.lake import Lake
from workbench.store.samples import float_rows, sort_run


@dataclass(frozen=True)
class Coverage:
    """How far the index is: blocks that are `valid` for the newest version, that are not, and that are `waiting`."""

    lake_version: str
    valid: int
    stale: int
    waiting: int
    samples: int
    size_bytes: int
    start_us: int
    end_us: int


@dataclass(frozen=True)
class Verdict:
    """One block: `fault` says what is wrong with it, "" where nothing is."""

    entry: Entry
    fault: str


def index_coverage(lake: Lake, now_us: int) -> Coverage:
    """What the index covers of the newest version of a lake."""
    lake.refresh()
    wanted = wanted_blocks(lake, now_us)
    entries = read_catalog(lake.settings)
    valid = [entry for entry in entries if _stands(lake, entry)]
    missing = wanted.keys() - {entry.start_us for entry in valid}
    return Coverage(
        lake.lake_version,
        len(valid),
        len(entries) - len(valid),
        len(missing),
        sum(entry.samples for entry in valid),
        sum(entry.size_bytes for entry in entries),
        min((entry.start_us for entry in valid), default=0),
        max((entry.end_us for entry in valid), default=0),
    )


def verify_index(lake: Lake) -> Iterator[Verdict]:
    """Compare each block that answers for the newest version with the rows, sample by sample, to the bit."""
    lake.refresh()
    for entry in read_catalog(lake.settings):
        if _stands(lake, entry):
            yield Verdict(entry, _fault(lake, entry))


def _stands(lake: Lake, entry: Entry) -> bool:
    files = lake.snapshot("samples").overlapping(None, entry.start_us, entry.end_us - 1)
    return entry.stands_for(files)


def _fault(lake: Lake, entry: Entry) -> str:
    columns = ("series", "time", "type", "value", "segment", "row")
    truth = sort_run(
        *float_rows(lake.table("samples", start_us=entry.start_us, end_us=entry.end_us - 1, columns=columns))
    )
    try:
        block = open_block(index_dir(lake.settings) / entry.file)
        chunks = Chunks(block, block.ids, entry.start_us, entry.end_us)
        offsets = np.concatenate(([0], np.cumsum(chunks.counts)))
        times, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1])
        for piece in chunks.pieces():
            chunks.decode(piece, offsets[:-1], times, values)
    except FileNotFoundError:
        return "the file is missing"
    except (StoreError, Damaged) as error:
        return str(error)
    pairs = ((block.ids, truth.ids), (offsets, truth.offsets), (times, truth.times))
    alike = all(np.array_equal(mine, other) for mine, other in pairs)
    return "" if alike and np.array_equal(values.view(np.int64), truth.values.view(np.int64)) else "its samples differ"
