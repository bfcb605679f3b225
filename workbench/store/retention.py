"""What the lake lets go of: rows past their retention, versions nobody may name any more, files nobody needs.

Nothing here is urgent and everything can be repeated: a kill at any point leaves the lake readable, and the next round
does what is left. The caller is one process (the keeper); the exchange of files holds the maintenance lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from workbench.config import Settings
from workbench.schema import KINDS, TABLES, Kind
from workbench.store import delta, parquet, state
from workbench.store.held import held_files, history, named_versions, on_disk
from workbench.store.lake import Lake
from workbench.store.manifest import Manifest, maintenance_lock
from workbench.store.parquet import DataFile
from workbench.store.registry import series_rows
from workbench.store.rollups.update import update_rollups
from workbench.store.rows import DAY_US, day_start_us

SIMULATED = ("deployment.environment.name", "simulated")
# A reader that opened a version before its files became needless may read them for as long as a long query takes.
READER_GRACE_SECONDS = 3600.0
# A file that no commit names may belong to a writer that is just about to commit it.
ORPHAN_GRACE_SECONDS = 24 * 3600.0


@dataclass
class Retained:
    """What a round let go of, or would (`dry_run`): rows by table, versions, files and their bytes; the cap's state."""

    dry_run: bool
    rows: dict[str, int] = field(default_factory=dict)
    versions: int = 0
    files: int = 0
    file_bytes: int = 0
    used_bytes: int = 0
    cap_bytes: int = 0


def apply_retention(
    lake: Lake, settings: Settings, now_us: int, *, engine: sa.Engine | None = None, dry_run: bool = False
) -> Retained:
    """One round: old rows, then versions, then raw samples over the disk cap, then files.

    `now_us` is microseconds UTC. `engine` is the relational state, whose pins keep versions; without it all are kept,
    and nothing is shortened for the cap.
    """
    done = Retained(dry_run, cap_bytes=settings.lake.cap_bytes)
    if not lake.settle():
        return done
    if not dry_run:
        # What goes for its age lives on in the roll-ups.
        update_rollups(lake, now_us, every_us=0)
    lake.refresh()
    for name in _tables(lake):
        if TABLES[name].retention_days is not None and TABLES[name].time:
            _drop_old(lake, TABLES[name], now_us, done)
    done.used_bytes = _used_bytes(lake, settings)
    over = bool(settings.lake.cap_bytes) and done.used_bytes > settings.lake.cap_bytes
    if engine is not None:
        pinned = _expire_versions(lake, engine, now_us, done, over=over)
        if over:
            # What only unpinned versions still hold goes by itself: counted again in every round until it has gone,
            # it would cost one more day of samples each time.
            going = sum(_going_bytes(lake, name, pinned) for name in _tables(lake))
            _shorten_samples(lake, now_us, done.used_bytes - going - settings.lake.cap_bytes, pinned, done)
    for name in _tables(lake):
        _remove_files(lake, TABLES[name], done)
    if not dry_run:
        # The writer looks through the same log entries under this lock.
        with maintenance_lock(lake.folder):
            for table, versions in named_versions(_manifests(lake)).items():
                delta.clean_log(lake.path(table), oldest=min(versions))
    return done


def _tables(lake: Lake) -> list[str]:
    """Tables that are there; those of the roll-ups are made by their first round."""
    return [name for name in TABLES if lake.path(name).exists()]


def _drop_old(lake: Lake, kind: Kind, now_us: int, done: Retained) -> None:
    """Whole days that are over and past the retention of all their rows go.

    Of samples, those of imported series stay, however old: whoever imports last year wants to look at last year.
    Simulated ones stay as long as settings say.
    """
    assert kind.retention_days is not None
    bound = _day(now_us - kind.retention_days * DAY_US)
    simulated_bound = _day(now_us - lake.settings.lake.simulated_samples_days * DAY_US)
    going = [file for file in lake.newest_files(kind.name) if file.day and date.fromisoformat(file.day) < bound]
    if kind.name != "samples":
        for file in going:
            _exchange(lake, kind, file, [], done)
        return
    raw, simulated = _ageing(lake)
    # What the roll-ups do not know yet waits for them.
    last = lake.manifests.newest()
    rolled = _day(last.rolled.exact_us if last and not done.dry_run else now_us)
    for file in going:
        if date.fromisoformat(file.day or "") >= rolled:
            continue
        goes = np.union1d(raw, simulated) if date.fromisoformat(file.day or "") < simulated_bound else raw
        path = str(lake.path(kind.name) / file.path)
        leave = np.isin(parquet.read_rows(path, kind, ["series"])["series"].to_numpy(), goes)
        if leave.all():
            _exchange(lake, kind, file, [], done)
        elif leave.any():
            rows = parquet.read_rows(path, kind, parquet.file_schema(kind).names)
            _exchange(lake, kind, file, [rows.filter(pa.array(~leave))], done)


def _exchange(lake: Lake, kind: Kind, file: DataFile, rows: Sequence[pa.Table], done: Retained) -> None:
    kept = sum(table.num_rows for table in rows)
    if not done.dry_run:
        folder, prefix = lake.path(kind.name), file.name.split("-", maxsplit=1)[0]
        made = [parquet.write_file(folder, kind, table, day=file.day, prefix=prefix) for table in rows]
        gone_us = day_start_us(file.day) + DAY_US if file.day else 0
        if not lake.replace(kind.name, add=made, remove=[file], erase=True, let_go_us=gone_us):
            parquet.discard_files(folder, made)
            return
    done.rows[kind.name] = done.rows.get(kind.name, 0) + file.rows - kept


def _shorten_samples(lake: Lake, now_us: int, excess_bytes: int, pinned: Sequence[Manifest], done: Retained) -> None:
    """Let the oldest days of samples go until the lake is under its cap; yesterday and today always stay.

    Files that a pinned version names stay too: letting their rows go would free nothing.
    """
    kind, youngest = KINDS["samples"], _day(now_us - DAY_US)
    held = held_files(lake, kind.name, pinned)
    files = sorted(lake.newest_files("samples"), key=lambda file: file.day or "")
    for file in files:
        if excess_bytes <= 0 or file.day is None or date.fromisoformat(file.day) >= youngest:
            break
        if file.path in held:
            continue
        _exchange(lake, kind, file, [], done)
        excess_bytes -= file.size_bytes


def _expire_versions(lake: Lake, engine: sa.Engine, now_us: int, done: Retained, *, over: bool) -> list[Manifest]:
    """Versions older than settings allow go, but for the newest and those that are pinned; returns the pinned ones.

    `over` the cap old versions go before any row does, as soon as no reader can still be at them.
    """
    bound_us = now_us - lake.settings.lake.unpinned_version_days * DAY_US
    if over:
        bound_us = now_us - int(READER_GRACE_SECONDS * 1e6)
    with engine.connect() as connection:
        pins = set(connection.execute(sa.select(state.pins.c.lake_version)).scalars())
    found = list(_manifests(lake))
    for manifest in found[:-1]:
        if manifest.id not in pins and manifest.time_us < bound_us:
            done.versions += 1
            if not done.dry_run:
                lake.manifests.remove(manifest.id)
    return [manifest for manifest in found if manifest.id in pins]


def _remove_files(lake: Lake, kind: Kind, done: Retained) -> None:
    """Delete files that no kept version names, once no reader can still be at them."""
    folder = lake.path(kind.name)
    if not folder.exists():
        return
    # The lock keeps a seal from committing a version between the two looks.
    with maintenance_lock(lake.folder):
        held = held_files(lake, kind.name, list(_manifests(lake)))
        _, removed = history(folder)
    for name, path in on_disk(folder).items():
        if name in held:
            continue
        idle_seconds, grace_seconds = time.time() - path.stat().st_mtime, ORPHAN_GRACE_SECONDS
        if name in removed:
            idle_seconds, grace_seconds = time.time() - removed[name][1] / 1e6, READER_GRACE_SECONDS
        if idle_seconds < grace_seconds:
            continue
        done.files += 1
        done.file_bytes += path.stat().st_size
        if not done.dry_run:
            path.unlink(missing_ok=True)


def _going_bytes(lake: Lake, kind: str, pinned: Sequence[Manifest]) -> int:
    """Bytes of the files that are neither in the table now nor named by a pinned version."""
    current = {file.path for file in lake.newest_files(kind)}
    held = current | held_files(lake, kind, pinned)
    return sum(path.stat().st_size for name, path in on_disk(lake.path(kind)).items() if name not in held)


def _manifests(lake: Lake) -> Iterator[Manifest]:
    for name in lake.manifests.ids():
        yield lake.manifests.read(name)


def _ageing(lake: Lake) -> tuple[np.ndarray, np.ndarray]:
    """Ids (sorted int64) of the series whose samples age: those that were measured, and the simulated ones.

    A series whose row is still in the log is in neither: what it is will be known at the next round.
    """
    raw: list[int] = []
    simulated: list[int] = []
    for row in series_rows(lake.table("series")):
        if not row.source.startswith("import:"):
            (simulated if SIMULATED in row.identity.resource else raw).append(row.id)
    return np.unique(np.array(raw, np.int64)), np.unique(np.array(simulated, np.int64))


def _used_bytes(lake: Lake, settings: Settings) -> int:
    """Bytes of log and lake on disk, files kept for old versions included."""
    folders = (settings.lake_dir, settings.log_dir, settings.home / "index")
    found = (path for folder in folders if folder.exists() for path in folder.rglob("*"))
    return sum(path.stat().st_size for path in found if path.is_file())


def _day(time_us: int) -> date:
    return datetime.fromtimestamp(time_us / 1e6, UTC).date()
