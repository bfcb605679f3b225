"""Data files of the tables: each there, whole, with the rows that its table says; and what replaces one that is not."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import StoreError
from workbench.schema import Kind
from workbench.store import delta, parquet
from workbench.store.backup import Contents
from workbench.store.doctor.findings import Finding, Quarantine, Remedy, moment
from workbench.store.lake import Lake
from workbench.store.layout import sync_folder
from workbench.store.parquet import DataFile
from workbench.store.rows import sort_rows

_UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError)


@dataclass(frozen=True)
class Backup:
    """A backup from which files may be taken: its folder and what it says of itself."""

    folder: Path
    contents: Contents

    def path(self, name: str) -> Path | None:
        """The file of that name below the home, if the copy is as it was."""
        said = self.contents.files.get(name)
        path = self.folder / name
        if said is None or not path.is_file():
            return None
        with path.open("rb") as stream:
            return path if hashlib.file_digest(stream, "sha256").hexdigest() == said[1] else None


def describe(folder: Path, kind: Kind, name: str) -> DataFile:
    """What Delta has to know of a file that lies there, by its footer. Raises ArrowException, OSError, ValueError."""
    path = folder / name
    metadata = pq.read_metadata(path)
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]

    def span(column: str) -> tuple[int, int] | None:
        if column not in names or not metadata.num_row_groups:
            return None
        groups = [metadata.row_group(g).column(names.index(column)).statistics for g in range(metadata.num_row_groups)]
        return min(int(g.min_raw) for g in groups), max(int(g.max_raw) for g in groups)

    day = name.split("/", maxsplit=1)[0].removeprefix("day=") if "/" in name else None
    found = path.stat()
    return DataFile(
        path=name,
        day=day,
        rows=metadata.num_rows,
        size_bytes=found.st_size,
        series=span("series") if "series" in kind.key else None,
        time_us=span(kind.time) if kind.time else None,
        modified_ms=int(found.st_mtime * 1000),
    )


def check_files(lake: Lake, kind: Kind, *, deep: bool, backup: Backup | None) -> Iterator[Finding]:
    """Findings about the files that make up a table now; with `deep` every page of them is read."""
    folder = lake.path(kind.name)
    for file in lake.newest_files(kind.name):
        fault = fault_of(folder / file.path, file, deep=deep)
        if not fault:
            continue
        if fault == "is missing" and (folder / file.path).is_symlink():
            # Its rows are not lost: the disk of the archive is away.
            text = f"lake: {kind.name}/{file.path} lies in an archive that cannot be reached"
            yield Finding("fail", text, "Bring the folder of the archive back to its place.")
            continue
        rows = f"{file.rows} rows" + (
            f", {moment(file.time_us[0])} to {moment(file.time_us[1])}" if file.time_us else ""
        )
        if file.series:
            rows += f", series {file.series[0]} to {file.series[1]}"
        plan, act = _remedy(lake, kind, file, backup)
        hint = "" if backup else "A backup may have it whole: workbench doctor --backup DIR."
        yield Finding("fail", f"lake: {kind.name}/{file.path} {fault} ({rows})", hint, Remedy(plan, act))


def fault_of(path: Path, file: DataFile, *, deep: bool) -> str:
    """What is wrong with a file, "" if nothing is."""
    if not path.exists():
        return "is missing"
    if path.stat().st_size != file.size_bytes:
        return f"has {path.stat().st_size} bytes, not {file.size_bytes}"
    try:
        opened = pq.ParquetFile(path, page_checksum_verification=deep)
        if opened.metadata.num_rows != file.rows:
            return f"has {opened.metadata.num_rows} rows"
        for group in range(opened.num_row_groups) if deep else ():
            opened.read_row_group(group).validate(full=True)
    except _UNREADABLE:
        return "is damaged"
    return ""


def _remedy(lake: Lake, kind: Kind, file: DataFile, backup: Backup | None) -> tuple[str, Callable[[Quarantine], str]]:
    """What is done about a bad file: plan and deed, the way that loses least."""
    folder = lake.path(kind.name)
    path = folder / file.path
    copy = backup.path(str(path.relative_to(lake.settings.home))) if backup else None
    if copy is not None:
        return "take the file from the backup, which has it whole", lambda place: _copied(copy, path, place)
    before = _predecessors(lake, kind, file)
    if before:
        plan = f"put back the {len(before)} files that it was merged from, which hold the same rows"
        return plan, lambda place: _exchanged(lake, kind, file, before, place, "no row is lost")
    whole = salvage(path) if path.exists() else None
    kept = whole.num_rows if whole is not None else 0
    if whole is not None and kept:
        plan = f"write the {kept} rows that can be read to a new file; {file.rows - kept} are lost"
        return plan, lambda place: _rewritten(lake, kind, file, whole, place)
    plan = f"take it out of the table, so that queries work again; its {file.rows} rows are lost"
    return plan, lambda place: _exchanged(lake, kind, file, [], place, f"{file.rows} rows are lost")


def _predecessors(lake: Lake, kind: Kind, file: DataFile) -> list[DataFile]:
    """The files that a merged one was made of, where all of them are still there and whole."""
    folder = lake.path(kind.name)
    if file.name.startswith("part-"):
        return []
    for _, actions in delta.entries(folder):
        if not any(action.get("add", {}).get("path") == file.path for action in actions):
            continue
        infos = [action["commitInfo"] for action in actions if "commitInfo" in action]
        if not infos or infos[0].get("workbench") != "compaction":
            return []
        names = [action["remove"]["path"] for action in actions if "remove" in action]
        found = []
        for name in names:
            try:
                one = describe(folder, kind, name)
            except _UNREADABLE:
                return []
            if fault_of(folder / name, one, deep=True):
                return []
            found.append(one)
        return found if sum(one.rows for one in found) >= file.rows else []
    return []


def salvage(path: Path) -> pa.Table | None:
    """The rows of all row groups of a file that can be read; None where its footer cannot."""
    try:
        opened = pq.ParquetFile(path, page_checksum_verification=True)
    except _UNREADABLE:
        return None
    parts = []
    for group in range(opened.num_row_groups):
        try:
            part = opened.read_row_group(group)
            part.validate(full=True)
            parts.append(part)
        except _UNREADABLE:
            continue
    return pa.concat_tables(parts) if parts else None


def _copied(copy: Path, path: Path, quarantine: Quarantine) -> str:
    if path.exists():
        quarantine.take(path, "damaged; replaced from a backup")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(copy, path)
    parquet.sync_file(path)
    sync_folder(path.parent)
    return f"{path.name} is whole again"


def _rewritten(lake: Lake, kind: Kind, file: DataFile, rows: pa.Table, quarantine: Quarantine) -> str:
    schema = parquet.file_schema(kind)
    whole = sort_rows(kind, rows.select(schema.names).cast(schema))
    prefix = file.name.split("-", maxsplit=1)[0]
    made = parquet.write_file(lake.path(kind.name), kind, whole, day=file.day, prefix=prefix)
    return _exchanged(lake, kind, file, [made], quarantine, f"{made.rows} rows are kept, {file.rows - made.rows} lost")


def _exchanged(
    lake: Lake, kind: Kind, file: DataFile, add: list[DataFile], quarantine: Quarantine, outcome: str
) -> str:
    if not lake.replace(kind.name, add=add, remove=[file], erase=True):
        raise StoreError(
            "a seal is half done", where=kind.name, hint="Start the workbench once, which finishes it; then again."
        )
    path = lake.path(kind.name) / file.path
    if path.exists():
        quarantine.take(path, "damaged; taken out of its table")
    return f"{file.name}: {outcome}"
