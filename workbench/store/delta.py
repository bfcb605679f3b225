"""One Delta table on a local folder: opening, committing, and mending what a power cut can leave behind.

delta-rs links a log entry into view without syncing it, and accepts the removal of a file that is already removed
(measured with 1.6.6). So every commit here happens under the maintenance lock, on a handle opened under it, and is
synced before it is reported.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.transaction import AddAction, RemoveAction

from workbench.errors import StoreError
from workbench.schema import Kind
from workbench.store.layout import sync_folder
from workbench.store.parquet import DataFile, sync_file, sync_files

# Checkpoints and log clean-up are the keeper's: delta-rs would make them inside a seal, and without syncing them.
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


@dataclass(frozen=True)
class Receipt:
    """What a numbered commit says of its rows, whoever asks later."""

    rows: int
    checksum: str


def create(folder: Path, kind: Kind) -> None:
    """Make the table of a kind where it is missing."""
    if latest_version(folder) >= 0:
        return
    DeltaTable.create(
        str(folder),
        schema=kind.stored,
        partition_by=["day"] if kind.time else [],
        name=kind.name,
        description=kind.meaning,
        mode="ignore",
    )
    _sync_entry(folder, 0)
    sync_folder(folder)
    sync_folder(folder.parent)


def open_table(folder: Path, version: int | None = None) -> DeltaTable:
    """A fresh handle: long-lived ones slow down with every version they follow."""
    return DeltaTable(str(folder), version=version)


def commit(
    folder: Path,
    kind: Kind,
    *,
    add: Sequence[DataFile] = (),
    remove: Iterable[DataFile] = (),
    transaction: tuple[str, int] | None = None,
    receipt: Receipt | None = None,
    erase: bool = False,
    table: DeltaTable,
) -> int:
    """Commit files and, for a numbered step, its transaction; durable on return, files too. Returns the new version.

    Without a transaction and `erase` it only moves the same rows to other files (Delta's `dataChange` false). The
    caller holds the maintenance lock; `table` was opened under it.
    """
    sync_files(folder, add)
    changes = erase or transaction is not None
    now_ms = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [
        AddAction(f.path, f.size_bytes, f.partition_values, f.modified_ms, changes, f.statistics(kind)) for f in add
    ]
    actions += [RemoveAction(f.path, changes, now_ms, f.size_bytes, f.partition_values) for f in remove]
    metadata = {"workbench": "seal" if transaction else "change" if erase else "compaction"}
    if receipt is not None:
        metadata |= {"rows": str(receipt.rows), "checksum": receipt.checksum}
    table.create_write_transaction(
        actions,
        mode="append",
        schema=table.schema(),
        partition_by=["day"] if kind.time else [],
        commit_properties=CommitProperties(
            custom_metadata=metadata, app_transactions=[Transaction(*transaction)] if transaction else None
        ),
        post_commithook_properties=_NO_HOOKS,
    )
    version = table.version() + 1
    if not _entry(folder, version).exists():
        raise StoreError(
            f"somebody else committed to table {kind.name} at the same time",
            where=str(folder),
            hint="Only the workbench may write its lake; read it with what you like.",
        )
    try:
        _sync_entry(folder, version)
    except OSError:
        # A second sync would claim success for what the kernel dropped: the step has to be committed again.
        _entry(folder, version).unlink()
        raise
    return version


def latest_version(folder: Path) -> int:
    """Newest version by the names in the log alone; -1 if there is no table."""
    return max(_versions(folder), default=-1)


def entries(folder: Path, *, above: int = -1) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Log entries newest first, down to but without version `above`: (version, actions); as far as they are kept."""
    for version in sorted(_versions(folder), reverse=True):
        if version <= above:
            return
        yield version, [json.loads(line) for line in _entry(folder, version).read_text().splitlines() if line]


def receipt(folder: Path, app: str, number: int) -> Receipt | None:
    """What the commit of a numbered step recorded; None where its entry is not in the log any more."""
    for _, actions in entries(folder):
        by_name = {name: body for action in actions for name, body in action.items()}
        step = by_name.get("txn")
        if step and step["appId"] == app and step["version"] <= number:
            if step["version"] < number:
                return None
            info = by_name["commitInfo"]
            return Receipt(int(info["rows"]), info["checksum"])
    return None


def sealed_since(folder: Path, kind: Kind, version: int) -> list[DataFile] | None:
    """The files that numbered steps added after a version, merged since or not; None where the log tells no more."""
    found: list[DataFile] = []
    seen = 0
    for _, actions in entries(folder, above=version):
        seen += 1
        if any("txn" in action for action in actions):
            found += [_data_file(action["add"], kind) for action in actions if "add" in action]
    return found if seen == latest_version(folder) - version else None


def _data_file(add: Mapping[str, Any], kind: Kind) -> DataFile:
    """A file as the action that added it tells."""
    told = json.loads(add["stats"])
    low, high = told["minValues"], told["maxValues"]
    return DataFile(
        path=add["path"],
        day=add["partitionValues"].get("day"),
        rows=told["numRecords"],
        size_bytes=add["size"],
        series=(low["series"], high["series"]) if "series" in low else None,
        time_us=(_us(low[kind.time]), _us(high[kind.time])) if kind.time in low else None,
        modified_ms=add["modificationTime"],
    )


def _us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def data_files(table: DeltaTable, kind: Kind) -> list[DataFile]:
    """The files that make up a table at the handle's version."""
    found = pa.table(table.get_add_actions(flatten=True))
    names = found.schema.names

    def column(name: str) -> list[Any]:
        return found[name].to_pylist() if name in names else [None] * found.num_rows

    def bounds(name: str) -> Iterator[tuple[int, int] | None]:
        for low, high in zip(column(f"min.{name}"), column(f"max.{name}"), strict=True):
            yield None if low is None else (low, high)

    if kind.time and f"min.{kind.time}" in names:
        for side in ("min", "max"):
            place = names.index(f"{side}.{kind.time}")
            found = found.set_column(place, f"{side}.{kind.time}", found[place].cast(pa.int64()))
    series = bounds("series") if "series" in kind.key else iter([None] * found.num_rows)
    times = bounds(kind.time) if kind.time else iter([None] * found.num_rows)
    days = (None if day is None else day.isoformat() for day in column("partition.day"))
    fixed = zip(column("path"), column("num_records"), column("size_bytes"), column("modification_time"), strict=True)
    return [
        DataFile(path, day, rows, size, span, when, modified)
        for (path, rows, size, modified), day, span, when in zip(fixed, days, series, times, strict=True)
    ]


def checkpoint(folder: Path, *, every: int) -> bool:
    """Where the last checkpoint is `every` versions old, write one and sync it: later openings start there."""
    newest = max((int(name[:20]) for name in _checkpoints(folder)), default=0)
    if latest_version(folder) - newest < every:
        return False
    open_table(folder).create_checkpoint()
    for name in os.listdir(folder / "_delta_log"):
        if name == "_last_checkpoint" or name.endswith(".parquet"):
            sync_file(folder / "_delta_log" / name)
    sync_folder(folder / "_delta_log")
    return True


def clean_log(folder: Path, *, oldest: int) -> int:
    """Delete what is older than the last checkpoint at or before version `oldest`; how many files.

    Every version from `oldest` on can still be opened.
    """
    starts = [int(name[:20]) for name in _checkpoints(folder) if int(name[:20]) <= oldest]
    if not starts:
        return 0
    old = [_entry(folder, version) for version in _versions(folder) if version < max(starts)]
    old += [folder / "_delta_log" / name for name in _checkpoints(folder) if int(name[:20]) < max(starts)]
    for path in old:
        path.unlink()
    return len(old)


def mend(folder: Path, *, named: int) -> list[str]:
    """Take away what a power cut left torn: a newest entry never reported as done, a checkpoint never synced.

    `named` is the newest version that a manifest names: its entry was synced, so no power cut explains a fault of it,
    and StoreError is raised. Returns the names of what was removed. The caller holds the maintenance lock.
    """
    log = folder / "_delta_log"
    torn: list[str] = []
    newest = latest_version(folder)
    if 0 <= newest < named or (0 <= newest == named and not _readable(_entry(folder, newest))):
        hint = "Nothing was changed. `workbench doctor` shows what can be saved."
        raise StoreError(f"entry {named} of its log is damaged or missing", where=str(folder), hint=hint)
    if newest >= 0 and not _readable(_entry(folder, newest)):
        torn.append(_entry(folder, newest).name)
    broken = [name for name in _checkpoints(folder) if not _is_parquet(log / name)]
    if broken:
        torn += [*broken, "_last_checkpoint"]
    for name in torn:
        (log / name).unlink(missing_ok=True)
    if torn:
        sync_folder(log)
    return torn


def _versions(folder: Path) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [
            int(name[:20]) for name in os.listdir(folder / "_delta_log") if name[:20].isdigit() and name[20:] == ".json"
        ]
    return []


def _checkpoints(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [name for name in os.listdir(folder / "_delta_log") if name.endswith(".checkpoint.parquet")]
    return []


def _entry(folder: Path, version: int) -> Path:
    return folder / "_delta_log" / f"{version:020d}.json"


def _sync_entry(folder: Path, version: int) -> None:
    sync_file(_entry(folder, version))
    sync_folder(folder / "_delta_log")


def _readable(path: Path) -> bool:
    try:
        lines: list[Mapping[str, Any]] = [json.loads(line) for line in path.read_text().splitlines() if line]
    except (ValueError, UnicodeDecodeError):
        return False
    return bool(lines)


def _is_parquet(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError):
        return False
    return True
