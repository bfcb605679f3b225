"""What each table holds, here and in the archive."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.schema import TABLES
from workbench.store.lake import Lake


@dataclass(frozen=True)
class TableSize:
    """The newest version of a table: rows, bytes here and in the archive, first and last day ("" without days)."""

    table: str
    rows: int
    size_bytes: int
    archived_bytes: int
    first_day: str
    last_day: str


def table_sizes(lake: Lake) -> list[TableSize]:
    """All tables that are there, in the order of `schema.TABLES`. Doubles count until compaction."""
    found = []
    for name in (name for name in TABLES if lake.path(name).exists()):
        files = lake.newest_files(name)
        cold = [file for file in files if (lake.path(name) / file.path).is_symlink()]
        days = sorted(file.day for file in files if file.day)
        archived = sum(file.size_bytes for file in cold)
        size_bytes = sum(file.size_bytes for file in files) - archived
        ends = (days[0], days[-1]) if days else ("", "")
        found.append(TableSize(name, sum(file.rows for file in files), size_bytes, archived, *ends))
    return found
