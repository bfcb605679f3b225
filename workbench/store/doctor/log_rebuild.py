"""A log written anew from the records that are whole, in one step: a folder beside it takes its place.

Segments keep their numbers, so the lake goes on where it was. A segment of which nothing is left is there without
records; a last, empty one follows. The caller holds the writer's lock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from workbench.config import Settings
from workbench.store.batches import decode_batches, encode_batches
from workbench.store.doctor.findings import Quarantine
from workbench.store.doctor.log_scan import Scan
from workbench.store.lake import Lake
from workbench.store.layout import segment_path, sync_folder
from workbench.store.parquet import sync_file
from workbench.store.published import Published, create_published
from workbench.store.registry import Identity, Series, series_batch, series_rows
from workbench.store.sealer import segment_tables
from workbench.store.wal import HEADER_BYTES, Header, Position, pack_record

UNKNOWN_SERIES = "unknown_series"
"""Name that a series gets whose registration is lost, told apart by the attribute `id`."""


def rebuild(
    settings: Settings, lake: Lake, uuid: str, first: int, scans: Sequence[Scan], quarantine: Quarantine
) -> str:
    """Write the segments from `first` on anew, move the old log to quarantine; what came of it."""
    unnamed = _unnamed_series(lake, scans)
    aside = replace(settings, home=settings.home / ".rebuilding")
    target = settings.log_dir.with_name("log.rebuilt")
    _clear(target)
    _clear(aside.log_dir)
    aside.log_dir.mkdir(parents=True)
    found = {scan.number: scan for scan in scans}
    done = lake.sealed(f"log:{uuid}") or 0
    last = max([*found, done, first - 1])
    previous = 0
    for number in range(first, last + 2):
        payloads = list(found[number].payloads()) if number in found else []
        if number == first and unnamed:
            payloads.insert(0, encode_batches({"series": series_batch(unnamed)}))
        previous = _write(segment_path(aside, number), Header(uuid, number, previous, time.time_ns() // 1000), payloads)
    create_published(aside.log_dir / "published", uuid)
    page = Published(aside.log_dir / "published", write=True)
    page.publish(Position(last + 1, HEADER_BYTES))
    page.flush()
    page.close()
    sync_folder(aside.log_dir)
    aside.log_dir.rename(target)
    aside.home.rmdir()
    if settings.log_dir.exists():
        quarantine.take(settings.log_dir, "the log, before it was written anew from its whole records")
    target.rename(settings.log_dir)
    sync_folder(settings.home)
    finished = _finish_seals(settings, lake, uuid, first, done)
    kept = sum(len(scan.records) for scan in scans)
    said = f"the log was written anew with {kept} records"
    if unnamed:
        said += f"; {len(unnamed)} series whose registration is lost are called {UNKNOWN_SERIES}"
    return said + (f"; the seal of segment {done}, which was half done, is finished" if finished else "")


def _write(path: Path, header: Header, payloads: Sequence[bytes]) -> int:
    """Write one segment; its length."""
    with path.open("wb") as file:
        file.write(header.pack())
        for payload in payloads:
            file.writelines(pack_record(payload, header.seed))
    sync_file(path)
    return path.stat().st_size


def _clear(folder: Path) -> None:
    """Take away what an earlier try of ours left."""
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _finish_seals(settings: Settings, lake: Lake, uuid: str, first: int, done: int) -> bool:
    """A seal that some tables have and others not is finished with the rows that are left."""
    for number in range(first, done + 1):
        lake.commit(f"log:{uuid}", number, segment_tables(settings, number), as_found=True)
    return done >= first


def _unnamed_series(lake: Lake, scans: Sequence[Scan]) -> list[Series]:
    """Placeholders for the ids of samples that no registration is left of: they must not be given out again."""
    known = set(lake.table("series", columns=["series"])["series"].to_pylist())
    used: set[int] = set()
    for scan in scans:
        for payload in scan.payloads():
            batches = decode_batches(payload)
            if "series" in batches:
                known |= {series.id for series in series_rows(batches["series"])}
            if "samples" in batches:
                used |= set(np.unique(batches["samples"].column("series").to_numpy()).tolist())
    now_us = time.time_ns() // 1000
    return [
        Series(
            one, Identity("prometheus", UNKNOWN_SERIES, "unknown", "", "", (), (("id", str(one)),)), "", "", "", now_us
        )
        for one in sorted(used - known)
    ]
