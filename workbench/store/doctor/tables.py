"""Delta logs of the tables: entries that are missing or damaged, and how the table goes on without them.

An entry that is lost named files that were added (they lie there and no other entry names them), files that were
removed (they come back: rows that stand twice are read once, rows that retention let go go again), and the number of a
step (which the other tables have too). So it can be written anew.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.schema import KINDS, Kind
from workbench.store import delta
from workbench.store.doctor.files import describe
from workbench.store.doctor.findings import Finding, Quarantine, Remedy, several
from workbench.store.held import on_disk
from workbench.store.layout import write_durably
from workbench.store.manifest import maintenance_lock

CHECKPOINT = ".checkpoint.parquet"


def check_table(lake_dir: Path, kind: Kind, named: int) -> Iterator[Finding]:
    """Findings about the log of one table, of which `named` is the newest version that a manifest names."""
    folder = lake_dir / kind.name
    checkpoints = _checkpoints(folder)
    broken = [path for path in checkpoints.values() if _named_files(path) is None]
    start = max((number for number, path in checkpoints.items() if path not in broken), default=-1)
    entries = {int(path.name[:20]): path for path in (folder / "_delta_log").glob("*.json") if path.name[:20].isdigit()}
    newest = max([*entries, named, start])
    if newest < 0:
        return
    oldest = min(entries, default=newest)
    needed = range(min(oldest, start + 1) if start >= 0 else 0, newest + 1)
    damaged = [v for v in needed if v not in entries or not _readable(entries[v])]
    if damaged and damaged[-1] > named and damaged == [newest]:
        yield Finding(
            "ok", f"lake: {kind.name} has a torn newest entry, which no version names; the next start cuts it"
        )
        damaged = []
    if broken or damaged:
        what = [f"entry {v} is {'damaged' if v in entries else 'missing'}" for v in damaged]
        what += [f"checkpoint {path.name[:20].lstrip('0')} is damaged" for path in broken]
        found = _unnamed(folder, kind, entries, damaged, checkpoints.get(start))
        plan = f"move what is damaged to quarantine, write it anew with {len(found)} files that no entry names"

        def act(quarantine: Quarantine) -> str:
            taken = [entries[v] for v in damaged if v in entries] + broken
            return _write_anew(folder, kind, damaged, taken, found, quarantine)

        yield Finding(
            "fail",
            f"lake: log of table {kind.name}: {several(what)}",
            "Rows that stand twice afterwards are read once; rows past their retention go again in its next round.",
            Remedy(plan, act),
        )


def steps(lake_dir: Path) -> dict[str, int]:
    """Application -> highest number that any table has of it, as far as entries and checkpoints can be read."""
    found: dict[str, int] = {}
    for kind in KINDS:
        for app, number in _steps_of(lake_dir / kind).items():
            found[app] = max(found.get(app, 0), number)
    return found


def _steps_of(folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in (folder / "_delta_log").glob("*.json"):
        for action in _actions(path) if path.name[:20].isdigit() else ():
            if "txn" in action:
                app, number = action["txn"]["appId"], int(action["txn"]["version"])
                found[app] = max(found.get(app, 0), number)
    for path in _checkpoints(folder).values():
        for step in _column(path, "txn") or ():
            found[step["appId"]] = max(found.get(step["appId"], 0), int(step["version"]))
    return found


def _write_anew(
    folder: Path,
    kind: Kind,
    damaged: Sequence[int],
    taken: Sequence[Path],
    files: Sequence[str],
    quarantine: Quarantine,
) -> str:
    ours = _steps_of(folder)
    behind = {app: number for app, number in steps(folder.parent).items() if number > ours.get(app, 0)}
    with maintenance_lock(folder.parent):
        for path in taken:
            quarantine.take(path, f"damaged log of table {kind.name}")
        with contextlib.suppress(FileNotFoundError):
            quarantine.take(folder / "_delta_log" / "_last_checkpoint", "it may name a checkpoint that is damaged")
        for version in damaged:
            now_ms = int(time.time() * 1000)
            actions: list[dict[str, Any]] = [
                {"commitInfo": {"timestamp": now_ms, "operation": "WRITE", "workbench": "doctor"}}
            ]
            if version == 0:
                actions += _birth(kind)
            if version == damaged[-1]:
                actions += [{"txn": {"appId": app, "version": n, "lastUpdated": now_ms}} for app, n in behind.items()]
                actions += [_add(folder, kind, name) for name in files]
            content = "\n".join(json.dumps(action) for action in actions)
            write_durably(folder / "_delta_log" / f"{version:020d}.json", content.encode())
    rows = delta.open_table(folder).version()
    return f"the log of table {kind.name} was written anew with {len(files)} files; it is at version {rows}"


def _birth(kind: Kind) -> list[dict[str, Any]]:
    """Protocol and metadata of a new table of the kind."""
    with tempfile.TemporaryDirectory() as place:
        delta.create(Path(place) / kind.name, kind)
        first = Path(place) / kind.name / "_delta_log" / f"{0:020d}.json"
        return [action for action in _actions(first) if "protocol" in action or "metaData" in action]


def _add(folder: Path, kind: Kind, name: str) -> dict[str, Any]:
    file = describe(folder, kind, name)
    return {
        "add": {
            "path": file.path, "partitionValues": file.partition_values, "size": file.size_bytes,
            "modificationTime": file.modified_ms, "dataChange": True, "stats": file.statistics(kind),
        }
    }  # fmt: skip


def _unnamed(
    folder: Path, kind: Kind, entries: dict[int, Path], damaged: Sequence[int], checkpoint: Path | None
) -> list[str]:
    """Readable data files that no readable entry and no checkpoint names."""
    if not damaged:
        return []
    named = _named_files(checkpoint) if checkpoint else set()
    for version, path in entries.items():
        if version not in damaged:
            named = (named or set()) | {a["add"]["path"] for a in _actions(path) if "add" in a}
            named |= {a["remove"]["path"] for a in _actions(path) if "remove" in a}
    found = []
    for name in on_disk(folder):
        if name not in (named or set()):
            with contextlib.suppress(pa.ArrowException, OSError, ValueError, TypeError):
                describe(folder, kind, name)
                found.append(name)
    return found


def _actions(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (ValueError, OSError):
        return []


def _readable(path: Path) -> bool:
    found = _actions(path)
    return bool(found) and all(isinstance(action, dict) for action in found)


def _checkpoints(folder: Path) -> dict[int, Path]:
    return {int(path.name[:20]): path for path in (folder / "_delta_log").glob(f"*{CHECKPOINT}")}


def _named_files(checkpoint: Path) -> set[str] | None:
    """Paths that a checkpoint adds or remembers as removed; None where it cannot be read."""
    added, removed = _column(checkpoint, "add"), _column(checkpoint, "remove")
    if added is None or removed is None:
        return None
    return {action["path"] for action in (*added, *removed)}


def _column(checkpoint: Path, name: str) -> list[dict[str, Any]] | None:
    try:
        found = pq.read_table(checkpoint, columns=[name], page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        return None
    if name not in found.column_names:
        return []
    return [action for action in found[name].to_pylist() if action is not None]
