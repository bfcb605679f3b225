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
from workbench.store.lifecycle.archive import archive_files, delete_file, due_files
from workbench.store.lifecycle.rules import Group, Rule, groups, read_rules, table_bound
from workbench.store.manifest import Manifest, maintenance_lock
from workbench.store.parquet import DataFile
from workbench.store.registry import Series, series_rows
from workbench.store.rollups.update import update_rollups
from workbench.store.rows import DAY_US, day_start_us

# A reader that opened a version before its files became needless may read them for as long as a long query takes.
READER_GRACE_SECONDS = 3600.0
# A file that no commit names may belong to a writer that is just about to commit it.
ORPHAN_GRACE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Going:
    """What one rule lets go of in one table, or brings into the archive: rows, bytes on disk, first and last day."""

    table: str
    rule: str
    rows: int
    size_bytes: int
    first_day: str
    last_day: str


@dataclass
class Retained:
    """What a round let go of, or would (`dry_run`): rows by table, versions, files and their bytes; the cap's state.

    `going` says the same by rule, `archived` what went into the archive; bytes of a part of a file are its share.
    """

    dry_run: bool
    rows: dict[str, int] = field(default_factory=dict)
    versions: int = 0
    files: int = 0
    file_bytes: int = 0
    used_bytes: int = 0
    cap_bytes: int = 0
    going: list[Going] = field(default_factory=list)
    archived: list[Going] = field(default_factory=list)


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
    rules = read_rules(settings)
    series = series_rows(lake.table("series"))
    for name in _tables(lake):
        if TABLES[name].by_series:
            _drop_old_series(lake, TABLES[name], groups(TABLES[name], rules, series, settings, now_us), done)
        elif TABLES[name].time:
            _drop_old_days(lake, TABLES[name], *table_bound(TABLES[name], rules, now_us), done)
    done.used_bytes = _used_bytes(lake, settings)
    over = bool(settings.lake.cap_bytes) and done.used_bytes > settings.lake.cap_bytes
    if engine is not None:
        pinned = _expire_versions(lake, engine, now_us, done, over=over)
        if over:
            # What only unpinned versions still hold goes by itself: counted again in every round until it has gone,
            # it would cost one more day of samples each time.
            going = sum(_going_bytes(lake, name, pinned) for name in _tables(lake))
            excess_bytes = done.used_bytes - going - settings.lake.cap_bytes
            _shorten_samples(lake, now_us, excess_bytes, pinned, _held(rules, series), done)
    for rule in (rule for rule in rules if rule.archive and lake.path(rule.table).exists()):
        _archive(lake, rule, now_us, done)
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


def _drop_old_days(lake: Lake, kind: Kind, rule: str, before_us: int, done: Retained) -> None:
    """Whole days that are over and past their retention go."""
    going = [file for file in lake.newest_files(kind.name) if file.day and _end_us(file.day) <= before_us]
    dropped = [(file, file.rows) for file in going if _exchange(lake, kind, file, [], done)]
    _tell(done.going, kind.name, rule, dropped)


def _drop_old_series(lake: Lake, kind: Kind, found: Sequence[Group], done: Retained) -> None:
    """Of days that are over, the series go whose retention is past; what the roll-ups do not know yet waits for them.

    A series whose row is still in the log is in no group: what it is will be known at the next round.
    """
    last = lake.manifests.newest()
    waits = kind.name == "samples" and not done.dry_run
    rolled_us = last.rolled.exact_us if waits and last else np.iinfo(np.int64).max
    dropped: dict[str, list[tuple[DataFile, int]]] = {}
    for file in lake.newest_files(kind.name):
        end_us = _end_us(file.day) if file.day else np.iinfo(np.int64).max
        due = [group for group in found if end_us <= min(group.before_us, rolled_us)]
        if not due:
            continue
        path = str(lake.path(kind.name) / file.path)
        owners = parquet.read_rows(path, kind, ["series"])["series"].to_numpy()
        by_rule = {group.name: np.isin(owners, group.ids) for group in due}
        leave = np.logical_or.reduce(list(by_rule.values()))
        if not leave.any():
            continue
        rest = []
        if not leave.all():
            rest = [parquet.read_rows(path, kind, parquet.file_schema(kind).names).filter(pa.array(~leave))]
        if _exchange(lake, kind, file, rest, done):
            for rule, rows in by_rule.items():
                dropped.setdefault(rule, []).append((file, int(rows.sum())))
    for rule, files in dropped.items():
        _tell(done.going, kind.name, rule, files)


def _tell(told: list[Going], table: str, rule: str, files: Sequence[tuple[DataFile, int]]) -> None:
    files = [(file, rows) for file, rows in files if rows]
    if files:
        size_bytes = sum(file.size_bytes * rows // file.rows for file, rows in files)
        days = sorted(file.day or "" for file, _ in files)
        told.append(Going(table, rule, sum(rows for _, rows in files), size_bytes, days[0], days[-1]))


def _archive(lake: Lake, rule: Rule, now_us: int, done: Retained) -> None:
    files = due_files(lake, rule, now_us)
    if not done.dry_run:
        archive_files(lake, rule, files)
    _tell(done.archived, rule.table, rule.name, [(file, file.rows) for file in files])


def _held(rules: Sequence[Rule], series: Sequence[Series]) -> np.ndarray:
    """Ids of the series whose samples are held: int64, ascending."""
    found = [
        one.id for one in series if any(rule.hold and rule.table == "samples" and rule.matches(one) for rule in rules)
    ]
    return np.unique(np.array(found, np.int64))


def _exchange(lake: Lake, kind: Kind, file: DataFile, rows: Sequence[pa.Table], done: Retained) -> bool:
    """Leave only some rows of a file; False, with nothing done, where it is not the time for it."""
    kept = sum(table.num_rows for table in rows)
    if not done.dry_run:
        folder, prefix = lake.path(kind.name), file.name.split("-", maxsplit=1)[0]
        made = [parquet.write_file(folder, kind, table, day=file.day, prefix=prefix) for table in rows]
        gone_us = _end_us(file.day) if file.day else 0
        if not lake.replace(kind.name, add=made, remove=[file], erase=True, let_go_us=gone_us):
            parquet.discard_files(folder, made)
            return False
    done.rows[kind.name] = done.rows.get(kind.name, 0) + file.rows - kept
    return True


def _shorten_samples(
    lake: Lake, now_us: int, excess_bytes: int, pinned: Sequence[Manifest], held: np.ndarray, done: Retained
) -> None:
    """Let the oldest days of samples go until the lake is under its cap; yesterday and today always stay.

    Files that a pinned version names stay too: letting their rows go would free nothing; and so do the samples of the
    series `held`.
    """
    kind, youngest = KINDS["samples"], _day(now_us - DAY_US)
    named = held_files(lake, kind.name, pinned)
    files = sorted(lake.newest_files("samples"), key=lambda file: file.day or "")
    dropped = []
    for file in files:
        if excess_bytes <= 0 or file.day is None or date.fromisoformat(file.day) >= youngest:
            break
        if file.path in named or (lake.path(kind.name) / file.path).is_symlink():
            continue
        rest: list[pa.Table] = []
        if len(held):
            names, path = parquet.file_schema(kind).names, str(lake.path(kind.name) / file.path)
            rest = [rows for rows in [parquet.read_rows(path, kind, names, ids=held)] if rows.num_rows]
        goes = file.rows - sum(rows.num_rows for rows in rest)
        if goes and _exchange(lake, kind, file, rest, done):
            dropped.append((file, goes))
            excess_bytes -= file.size_bytes * goes // file.rows
    _tell(done.going, kind.name, "disk cap", dropped)


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
        idle_seconds, grace_seconds = time.time() - path.lstat().st_mtime, ORPHAN_GRACE_SECONDS
        if name in removed:
            idle_seconds, grace_seconds = time.time() - removed[name][1] / 1e6, READER_GRACE_SECONDS
        if idle_seconds < grace_seconds:
            continue
        done.files += 1
        done.file_bytes += path.lstat().st_size if done.dry_run else delete_file(path)


def _going_bytes(lake: Lake, kind: str, pinned: Sequence[Manifest]) -> int:
    """Bytes of the files that are neither in the table now nor named by a pinned version."""
    current = {file.path for file in lake.newest_files(kind)}
    held = current | held_files(lake, kind, pinned)
    return sum(path.lstat().st_size for name, path in on_disk(lake.path(kind)).items() if name not in held)


def _manifests(lake: Lake) -> Iterator[Manifest]:
    for name in lake.manifests.ids():
        yield lake.manifests.read(name)


def _used_bytes(lake: Lake, settings: Settings) -> int:
    """Bytes of log and lake on disk, files kept for old versions included."""
    folders = (settings.lake_dir, settings.log_dir, settings.home / "index")
    found = (path for folder in folders if folder.exists() for path in folder.rglob("*"))
    # A link stands for what lies in the archive, which is another disk's.
    return sum(path.lstat().st_size for path in found if path.is_file())


def _day(time_us: int) -> date:
    return datetime.fromtimestamp(time_us / 1e6, UTC).date()


def _end_us(day: str) -> int:
    return day_start_us(day) + DAY_US
