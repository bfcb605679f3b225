"""The lake: one Delta table per kind, sealed exactly once from the log, and named versions of all tables together."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workbench import log
from workbench.config import Settings
from workbench.errors import LayoutUnknown, LogCorrupt, StoreError, VersionGone
from workbench.schema import KINDS, LAYOUT_VERSION, TABLES, Kind
from workbench.store import delta, parquet
from workbench.store.delta import Receipt
from workbench.store.layout import write_durably
from workbench.store.manifest import Manifest, Manifests, Rolled, maintenance_lock
from workbench.store.parquet import DataFile
from workbench.store.rows import DAY_US, checksum, day_start_us, deduplicate, microseconds, sort_rows, split_days
from workbench.store.snapshot import Snapshot, snapshot_of

_log = log.get(__name__)

# Two cores decode Parquet twice as fast; more threads would only take them from the doors.
_READERS = 2
_SNAPSHOTS = 64


class Lake:
    """The cold half of the store; one per process.

    Reads may come from several threads. `commit`, `create` and `adopt_log` are the writer's, who serialises them;
    against other processes they hold the maintenance lock.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.lake_dir
        self.manifests = Manifests(self.folder / "manifests")
        self._current: Manifest | None = None
        self._named: OrderedDict[str, Manifest] = OrderedDict()
        self._snapshots: OrderedDict[tuple[str, int], Snapshot] = OrderedDict()
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="lake-read")
        self.refresh()

    # What the writer does

    def create(self) -> None:
        """Make the tables that are missing and mend what a power cut tore, under the maintenance lock."""
        with maintenance_lock(self.folder):
            last = self.manifests.newest()
            for kind in TABLES.values():
                for name in delta.mend(self.path(kind.name), named=last.tables.get(kind.name, -1) if last else -1):
                    _log.warning("torn file removed", table=kind.name, file=name)
                delta.create(self.path(kind.name), kind)
        self.refresh()

    def log_identity(self) -> str | None:
        """Uuid of the log this lake belongs to; None for a new lake. Raises LayoutUnknown."""
        return self._identity().get("log")

    @property
    def first_segment(self) -> int:
        """Number of the first segment of its log; not 1 where it was restored with the segments of an older log."""
        return int(self._identity().get("first", 1))

    def adopt_log(self, uuid: str, *, first: int = 1) -> None:
        """Bind this lake for ever to a log, whose segments begin with number `first`."""
        known = self.log_identity()
        if known not in (None, uuid):
            raise LogCorrupt(
                f"the lake belongs to log {known}, not {uuid}", where=str(self.folder), hint="Run workbench doctor."
            )
        body = {"layout": LAYOUT_VERSION, "log": uuid, "first": first}
        write_durably(self.folder / "identity.json", json.dumps(body).encode())

    def _identity(self) -> dict[str, Any]:
        path = self.folder / "identity.json"
        if not path.exists():
            return {}
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if body["layout"] != LAYOUT_VERSION:
            raise LayoutUnknown(f"layout {body['layout']} is not {LAYOUT_VERSION}", where=str(path))
        return body

    def sealed(self, app: str) -> int | None:
        """Highest number that application `app` (`log:<uuid>`, `load:<id>`) committed, over all tables."""
        found = [number for kind in KINDS if (number := self._transaction(kind, app)) is not None]
        return max(found, default=None)

    def missing(self, app: str, number: int) -> list[str]:
        """Tables whose commit of this number is absent."""
        found = {kind: self._transaction(kind, app) for kind in KINDS}
        return [kind for kind, done in found.items() if done is None or done < number]

    def receipts(self, tables: Mapping[str, pa.Table]) -> dict[str, Receipt]:
        """What the commits of a step with these rows say of them, table by table."""
        whole = {kind.name: _as_stored(kind, tables.get(kind.name)) for kind in KINDS.values()}
        return {name: Receipt(rows.num_rows, checksum(rows)) for name, rows in whole.items()}

    def disagreeing(self, app: str, number: int, receipts: Mapping[str, Receipt]) -> list[str]:
        """Tables whose commit of this number is absent, or says other rows than the receipt.

        An entry that is not in the log any more was named by a version that has expired: its number has to do.
        """
        with maintenance_lock(self.folder):
            missing = self.missing(app, number)
            found = {kind: delta.receipt(self.path(kind), app, number) for kind in KINDS if kind not in missing}
        return [*missing, *(kind for kind, theirs in found.items() if theirs not in (None, receipts[kind]))]

    def commit(
        self,
        app: str,
        number: int,
        tables: Mapping[str, pa.Table],
        receipts: Mapping[str, Receipt] | None = None,
        *,
        as_found: bool = False,
    ) -> str:
        """Commit step `number` of `app` to every table, then write the manifest; all durable on return.

        `tables`: kind -> rows of `KINDS[kind].schema` plus `segment` and `row`; kinds left out get an empty commit.
        Idempotent: a table that has the number is left alone, after its row count and checksum were found to agree
        (LogCorrupt if not; `as_found` leaves out that look: rows were lost meanwhile). `receipts` are those of
        `tables`, where the caller has them already. Returns the id of the new manifest.
        """
        unknown = set(tables) - set(KINDS)
        if unknown:
            raise StoreError(f"no such table: {', '.join(sorted(unknown))}", hint=f"There are {', '.join(KINDS)}.")
        receipts = receipts or self.receipts(tables)
        with maintenance_lock(self.folder):
            for kind in KINDS.values():
                if as_found and (self._transaction(kind.name, app) or 0) >= number:
                    continue
                rows = _as_stored(kind, tables.get(kind.name))
                self._commit_table(kind, app, number, rows, receipts[kind.name])
            segment = number if app.startswith("log:") else None
            return self.publish(segment, fresh=tables.get("samples")).id

    def _commit_table(self, kind: Kind, app: str, number: int, rows: pa.Table, mine: Receipt) -> None:
        folder = self.path(kind.name)
        table = delta.open_table(folder)
        done = table.transaction_version(app)
        if done is not None and done >= number:
            theirs = delta.receipt(folder, app, number)
            if theirs is not None and theirs != mine:
                raise LogCorrupt(
                    f"{kind.name} has other rows for number {number} of {app}: {theirs.rows}, not {mine.rows}",
                    where=str(folder),
                    hint="Run workbench doctor.",
                )
            return
        files: list[DataFile] = []
        try:
            for day, part in split_days(kind, rows):
                if part.num_rows:
                    files.append(parquet.write_file(folder, kind, sort_rows(kind, part), day=day, prefix="part"))
            delta.commit(folder, kind, add=files, transaction=(app, number), receipt=mine, table=table)
        except BaseException:
            # On a full disk every new try would leave its files behind.
            if delta.latest_version(folder) == table.version():
                parquet.discard_files(folder, files)
            raise

    def publish(
        self,
        segment: int | None = None,
        *,
        fresh: pa.Table | None = None,
        rolled: Rolled | None = None,
        let_go: Mapping[str, int] | None = None,
    ) -> Manifest:
        """Write a manifest of the newest versions; the caller holds the maintenance lock.

        `fresh`: samples that this step brought; `rolled`: how far the roll-ups go now; `let_go`: table -> time before
        which rows went for their age.
        """
        last = self.manifests.newest()
        tables = {kind: version for kind in TABLES if (version := delta.latest_version(self.path(kind))) >= 0}
        if segment is None:
            segment = last.segment if last else 0
        rolled = rolled or (last.rolled if last else Rolled())
        if fresh is not None and fresh.num_rows:
            rolled = replace(rolled, exact_us=min(rolled.exact_us, int(microseconds(fresh["time"]).min()) - 1))
        gone = dict(last.let_go_us) if last else {}
        gone |= {kind: max(time_us, gone.get(kind, 0)) for kind, time_us in (let_go or {}).items()}
        now = (tables, segment, rolled, gone)
        if last is None or (last.tables, last.segment, last.rolled, last.let_go_us) != now:
            last = self.manifests.write(
                tables,
                segment=segment,
                log=self.log_identity(),
                time_us=time.time_ns() // 1000,
                rolled=rolled,
                let_go_us=gone,
            )
        self._current = last
        return last

    def _transaction(self, kind: str, app: str) -> int | None:
        if delta.latest_version(self.path(kind)) < 0:
            return None
        return delta.open_table(self.path(kind)).transaction_version(app)

    # What the keeper does

    def newest_files(self, kind: str) -> list[DataFile]:
        """The files of a table now, whether a manifest names that version yet or not."""
        return delta.data_files(delta.open_table(self.path(kind)), TABLES[kind])

    def replace(
        self,
        kind: str,
        *,
        add: Sequence[DataFile],
        remove: Sequence[DataFile],
        erase: bool = False,
        let_go_us: int = 0,
    ) -> bool:
        """Exchange files of a table in one commit and write the next manifest; durable on return.

        `erase` says that rows go for good, those before `let_go_us` for their age; otherwise `add` must hold what
        `remove` held. False, with nothing done, where a file to remove is not there any more or a seal is half done
        (the writer finishes it when it starts).
        """
        with maintenance_lock(self.folder):
            if self.seal_is_open():
                return False
            table = delta.open_table(self.path(kind))
            present = {file.path for file in delta.data_files(table, TABLES[kind])}
            # delta-rs would remove a file a second time without complaint, and so add its rows twice.
            if not present.issuperset(file.path for file in remove):
                return False
            delta.commit(self.path(kind), TABLES[kind], add=add, remove=remove, erase=erase, table=table)
            self.publish(let_go={kind: let_go_us} if let_go_us else None)
            return True

    def settle(self) -> bool:
        """Name in a manifest what maintenance committed before it was killed. False while a seal is half done."""
        with maintenance_lock(self.folder):
            if self.seal_is_open():
                return False
            if self.manifests.newest() is not None:
                self.publish()
            return True

    def seal_is_open(self) -> bool:
        """Whether a table holds a numbered commit that no manifest names yet."""
        last = self.manifests.newest()
        for kind in KINDS:
            named = last.tables.get(kind, -1) if last else -1
            for _, actions in delta.entries(self.path(kind), above=named):
                if any("txn" in action for action in actions):
                    return True
        return False

    # What everybody reads

    @property
    def lake_version(self) -> str:
        """Id of the newest manifest seen, "" before the first seal."""
        return self._current.id if self._current else ""

    def refresh(self) -> bool:
        """Pick up a newer manifest; True if there was one. Costs one `stat` when nothing changed."""
        if not self.manifests.changed():
            return False
        found = self.manifests.newest()
        if found is None or (self._current and found.number <= self._current.number):
            return False
        self._current = found
        return True

    def sealed_segment(self, version: str | None = None) -> int:
        """Highest log segment contained in a manifest; 0 if none (segments are numbered from 1). Raises VersionGone."""
        manifest = self.manifest(version)
        return manifest.segment if manifest else 0

    def manifest(self, version: str | None = None) -> Manifest | None:
        """A manifest by id, the newest seen for None. Raises VersionGone."""
        if version is None:
            return self._current
        with self._guard:
            known = self._named.get(version)
        # It is looked up again each time: an expired version must not live on in a process that once opened it.
        if known is None or version not in self.manifests.ids():
            known = self.manifests.read(version)
        with self._guard:
            self._named[version] = known
            while len(self._named) > _SNAPSHOTS:
                self._named.popitem(last=False)
        return known

    def path(self, kind: str) -> Path:
        """Folder of a table."""
        return self.folder / kind

    def files(self, kind: str, *, version: str | None = None) -> list[str]:
        """Parquet files of a table at a version, for readers of other make. Raises VersionGone."""
        return [str(self.path(kind) / file.path) for file in self.snapshot(kind, version).files]

    def days(self, kind: str, *, version: str | None = None) -> list[int]:
        """Days since 1970, ascending, of which a table has rows; none if it is not kept by day. Raises VersionGone."""
        days = {file.day for file in self.snapshot(kind, version).files if file.day is not None}
        return sorted(day_start_us(day) // DAY_US for day in days)

    def latest_us(self, *, version: str | None = None) -> int:
        """Time of the newest sample, by the statistics of the files; 0 if there is none. Raises VersionGone."""
        return max((file.time_us[1] for file in self.snapshot("samples", version).files if file.time_us), default=0)

    def samples(
        self,
        ids: np.ndarray,
        start_us: int,
        end_us: int,
        *,
        version: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Raw rows of some series between two times, both included: not deduplicated, in no order over files.

        `columns` defaults to all; `series`, `time`, `type`, `segment` and `row` always come along. Raises VersionGone.
        """
        wanted = np.unique(np.asarray(ids, np.int64))
        return self._read("samples", columns, version, ids=wanted, start_us=start_us, end_us=end_us)

    def rollups(
        self,
        name: str,
        ids: np.ndarray,
        start_us: int,
        end_us: int,
        columns: Sequence[str],
        *,
        version: str | None = None,
    ) -> pa.Table:
        """Buckets of some series that end between two times, both included: the newest of each, by series and time."""
        rows = self._read(
            name, columns, version, ids=np.unique(np.asarray(ids, np.int64)), start_us=start_us, end_us=end_us
        )
        return deduplicate(TABLES[name], rows)

    def overlapping(
        self, kind: str, ids: np.ndarray | None, start_us: int, end_us: int, *, version: str | None = None
    ) -> list[DataFile]:
        """Files of a table that can hold rows of some series (all if None) between two times, both included."""
        return self.snapshot(kind, version).overlapping(ids, start_us, end_us)

    def table(
        self,
        kind: str,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        columns: Sequence[str] | None = None,
        version: str | None = None,
    ) -> pa.Table:
        """Raw rows of a table with `segment` and `row`, not deduplicated; the key's columns always come along."""
        return self._read(kind, columns, version, ids=None, start_us=start_us, end_us=end_us)

    def _read(
        self,
        name: str,
        columns: Sequence[str] | None,
        version: str | None,
        *,
        ids: np.ndarray | None,
        start_us: int | None,
        end_us: int | None,
    ) -> pa.Table:
        kind = TABLES[name]
        schema = parquet.file_schema(kind)
        needed = {*kind.key, "segment", "row", *([kind.time] if kind.time else [])}
        names = [name for name in schema.names if columns is None or name in needed or name in columns]
        empty = pa.schema([schema.field(name) for name in names]).empty_table()

        def read(file: DataFile) -> pa.Table:
            path = str(self.path(kind.name) / file.path)
            try:
                return parquet.read_rows(path, kind, names, ids=ids, start_us=start_us, end_us=end_us)
            except FileNotFoundError as error:
                if not os.path.islink(path):
                    raise
                hint = "Bring the folder of the archive back to its place."
                raise StoreError("a file of the archive cannot be reached", where=path, hint=hint) from error

        def attempt() -> pa.Table:
            chosen = self.snapshot(kind.name, version).overlapping(ids, start_us, end_us)
            parts = list(self._pool.map(read, chosen)) if len(chosen) > 1 else [read(file) for file in chosen]
            return pa.concat_tables([empty, *parts])

        return self._retrying(attempt, version)

    def _retrying(self, attempt: Callable[[], pa.Table], version: str | None) -> pa.Table:
        """Run a read; where files are gone because this process slept too long, once more at the newest version."""
        try:
            return attempt()
        except FileNotFoundError as error:
            if version is not None:
                raise VersionGone(f"files of lake version {version!r} are gone") from error
            self.refresh()
            return attempt()

    def snapshot(self, kind: str, version: str | None = None) -> Snapshot:
        """The files of a table at a version, with their bounds. Raises VersionGone."""
        return self.snapshot_of(kind, self.manifest(version))

    def snapshot_of(self, kind: str, manifest: Manifest | None) -> Snapshot:
        """The files of a table that a manifest names, with their bounds."""
        if manifest is None:
            return snapshot_of([])
        key = (kind, manifest.tables.get(kind, -1))
        with self._guard:
            found = self._snapshots.get(key)
            if found is not None:
                self._snapshots.move_to_end(key)
                return found
        if key[1] < 0:
            return snapshot_of([])
        found = snapshot_of(delta.data_files(delta.open_table(self.path(kind), key[1]), TABLES[kind]))
        with self._guard:
            self._snapshots[key] = found
            while len(self._snapshots) > _SNAPSHOTS:
                self._snapshots.popitem(last=False)
        return found


def _as_stored(kind: Kind, rows: pa.Table | None) -> pa.Table:
    """Rows with the columns of the kind's files; none for None."""
    schema = parquet.file_schema(kind)
    return schema.empty_table() if rows is None else rows.select(schema.names).cast(schema)
