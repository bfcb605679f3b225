"""What the keeper does: make the buckets that are over, and make anew those that a late sample fell into.

The roll-ups of a version know all samples up to a Delta version of that table. A round takes what was sealed since:
buckets of a minute, hour or day that are over by now are made for all series, older ones only for the series that have
something new in them, always from all their samples. A bucket that is made again is one more row, and the newer wins
(`segment` is the version of the samples), so a round can be repeated, and a kill at any point does no harm: readers
rely on buckets only once the manifest says so, and until then read the samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from workbench import log
from workbench.schema import KINDS, ROLLUP_US, ROLLUPS, Kind
from workbench.store import delta, parquet
from workbench.store.lake import Lake
from workbench.store.manifest import Manifest, Rolled, maintenance_lock
from workbench.store.parquet import DataFile
from workbench.store.rollups.fold import fold
from workbench.store.rows import DAY_US, microseconds, split_days, take
from workbench.store.samples import float_rows, sort_run

_log = log.get(__name__)

# A sample that is on its way for longer is late: its bucket is made a second time.
SETTLED_US = 120_000_000
# Samples held in memory at once.
SLICE_ROWS = 2_000_000
EVERY_US = 600_000_000


@dataclass(frozen=True)
class Stretch:
    """Buckets to make: those that end in (start_us, end_us], of the series `ids` (all if None)."""

    start_us: int
    end_us: int
    ids: np.ndarray | None = None


def update_rollups(lake: Lake, now_us: int, *, every_us: int = EVERY_US) -> dict[str, int]:
    """One round; table -> rows written. Nothing is done within `every_us` of the last one, or in a half done seal.

    `now_us` is microseconds UTC; buckets that end within two minutes before it are left for later.
    """
    lake.refresh()
    known = lake.manifests.newest()
    if known is None:
        return {}
    until_us = _settled_us(lake, known, now_us)
    if until_us < known.rolled.until_us + every_us and known.rolled.exact_us >= known.rolled.until_us:
        return {}
    version = known.tables["samples"]
    if known.rolled.version < 0:
        fresh = None
    else:
        fresh = delta.sealed_since(lake.path("samples"), KINDS["samples"], known.rolled.version)
    before = known.rolled if fresh is not None else Rolled()
    until_us = max(until_us, before.until_us)
    written: dict[str, int] = {}
    for name, width_us in ROLLUP_US.items():
        days = ROLLUPS[name].retention_days
        kept_us = 0 if days is None else now_us - days * DAY_US
        late = _late(lake, fresh or [], before.until_us // width_us * width_us, width_us)
        new = Stretch(before.until_us // width_us * width_us, until_us // width_us * width_us)
        for stretch in (*_by_day(lake, known, new), *late):
            if stretch.end_us < kept_us:
                continue
            for piece in _slices(lake, known, stretch):
                rows = _made(lake, known, name, width_us, piece)
                if rows.num_rows and not _add(lake, ROLLUPS[name], rows, version):
                    return {}
                written[name] = written.get(name, 0) + rows.num_rows
    _finish(lake, Rolled(version, until_us, until_us))
    _log.info("rolled up", until_us=until_us, rows=written)
    return written


def _settled_us(lake: Lake, known: Manifest, now_us: int) -> int:
    """End of the newest minute of which nearly all has been sealed."""
    # What was sent two segments ago is in the lake, even if nothing has come since.
    idle_us = now_us - 2 * lake.settings.log.segment_seconds * 1_000_000
    sealed_us = max(min(now_us, lake.latest_us(version=known.id)), idle_us)
    return (sealed_us - SETTLED_US) // 60_000_000 * 60_000_000


def _by_day(lake: Lake, known: Manifest, span: Stretch) -> Iterator[Stretch]:
    """A stretch of all series cut at midnight, without the days that have no samples."""
    days = lake.days("samples", version=known.id)
    # A sample of midnight belongs to the bucket of the day before.
    for day in sorted({*days, *(day - 1 for day in days)}):
        start_us, end_us = max(span.start_us, day * DAY_US), min(span.end_us, (day + 1) * DAY_US)
        if start_us < end_us:
            yield Stretch(start_us, end_us)


def _late(lake: Lake, fresh: Sequence[DataFile], until_us: int, width_us: int) -> Iterator[Stretch]:
    """Buckets up to `until_us` that sealed files have samples of, a stretch for each day of these."""
    days: dict[str | None, list[Stretch]] = defaultdict(list)
    for file in fresh:
        if file.time_us is None or file.time_us[0] > until_us:
            continue
        path = lake.path("samples") / file.path
        if path.exists():
            rows = parquet.read_rows(str(path), KINDS["samples"], ["series", "time"], end_us=until_us)
        else:  # merged and deleted since: its times are all that is known
            rows = lake.table("samples", start_us=file.time_us[0], end_us=until_us, columns=["series", "time"])
        if not rows.num_rows:
            continue
        times = microseconds(rows["time"])
        start_us, end_us = (int(times.min()) - 1) // width_us * width_us, -(-int(times.max()) // width_us) * width_us
        days[file.day].append(Stretch(start_us, end_us, np.unique(rows["series"].to_numpy())))
    for found in days.values():
        ids = [stretch.ids for stretch in found if stretch.ids is not None]
        yield Stretch(
            min(stretch.start_us for stretch in found),
            max(stretch.end_us for stretch in found),
            np.unique(np.concatenate(ids)),
        )


def _slices(lake: Lake, known: Manifest, stretch: Stretch) -> Iterator[Stretch]:
    """The same by ranges of series, so that about SLICE_ROWS samples are read at a time."""
    files = lake.overlapping("samples", stretch.ids, stretch.start_us + 1, stretch.end_us, version=known.id)
    rows = sum(file.rows for file in files)
    parts = -(-rows // SLICE_ROWS)
    if parts <= 1:
        yield stretch
        return
    if stretch.ids is None:
        bounds = [file.series for file in files if file.series is not None]
        ids = np.arange(min(low for low, _ in bounds), max(high for _, high in bounds) + 1)
    else:
        ids = stretch.ids
    for part in np.array_split(ids, parts):
        yield replace(stretch, ids=part)


def _made(lake: Lake, known: Manifest, name: str, width_us: int, stretch: Stretch) -> pa.Table:
    """The buckets of a stretch."""
    columns = ("series", "time", "type", "value", "segment", "row")
    start_us, end_us, version = stretch.start_us + 1, stretch.end_us, known.id
    if stretch.ids is None:
        rows = lake.table("samples", start_us=start_us, end_us=end_us, columns=columns, version=version)
    else:
        rows = lake.samples(stretch.ids, start_us, end_us, columns=columns, version=version)
    run = sort_run(*float_rows(rows))
    made = fold(run.ids, run.offsets, run.times, run.values, width_us)
    if made.num_rows and stretch.start_us < known.let_go_us.get("samples", 0):
        made = _without_poorer(lake, name, made)
    return made


def _without_poorer(lake: Lake, name: str, made: pa.Table) -> pa.Table:
    """Without the buckets of which there is one already that knew more samples: those have gone for their age."""
    times = microseconds(made["time"])
    there = lake.rollups(name, np.unique(made["series"].to_numpy()), int(times.min()), int(times.max()), ["count"])
    if not there.num_rows:
        return made
    counts = {
        (series, at): count
        for series, at, count in zip(
            there["series"].to_numpy(), microseconds(there["time"]), there["count"].to_numpy(), strict=True
        )
    }
    kept = [
        counts.get((series, at), 0) <= count
        for series, at, count in zip(made["series"].to_numpy(), times, made["count"].to_numpy(), strict=True)
    ]
    return take(made, np.flatnonzero(kept))


def _add(lake: Lake, kind: Kind, rows: pa.Table, version: int) -> bool:
    """Write buckets as new files of a table and commit them; False while a seal is half done."""
    schema, folder, files = parquet.file_schema(kind), lake.path(kind.name), []
    places = {"segment": pa.array(np.full(rows.num_rows, version)), "row": pa.array(np.arange(rows.num_rows))}
    whole = pa.table([places[name] if name in places else rows[name] for name in schema.names], schema=schema)
    # The files are written before the lock is taken: a seal must not wait for them.
    order = np.argsort(microseconds(whole["time"]) // DAY_US, kind="stable")
    for day, part in split_days(kind, take(whole, order)):
        files.append(parquet.write_file(folder, kind, part, day=day, prefix="part"))
    with maintenance_lock(lake.folder):
        if lake.seal_is_open():
            parquet.discard_files(folder, files)
            return False
        delta.create(folder, kind)
        delta.commit(folder, kind, add=files, erase=True, table=delta.open_table(folder))
        lake.publish()
    return True


def _finish(lake: Lake, rolled: Rolled) -> None:
    """Say in a manifest how far the roll-ups go; a late sample that was sealed meanwhile is not in them."""
    with maintenance_lock(lake.folder):
        if lake.seal_is_open():
            return
        later = delta.sealed_since(lake.path("samples"), KINDS["samples"], rolled.version)
        oldest = min((file.time_us[0] for file in later or [] if file.time_us), default=rolled.exact_us + 1)
        lake.publish(rolled=replace(rolled, exact_us=min(rolled.exact_us, oldest - 1)))
