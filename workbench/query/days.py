"""How a table is cut by UTC day, so that it can be read a piece at a time."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.schema import KINDS

if TYPE_CHECKING:
    from workbench.store import View

DAY_US = 86_400_000_000


def partitions(view: View, kind: str) -> tuple[list[int | None], list[int | None]]:
    """First and last microsecond of each partition. Together they cover all times, whatever the log holds by now.

    One piece where the table has no time, or the view does not tell its files.
    """
    days: set[int | None] = set()
    if KINDS[kind].time:
        try:
            days = {_day(file) for file in view.files(kind)}
        except WorkbenchError:  # a view of some rows alone does not show where they lie
            days = set()
    known = sorted(day for day in days if day is not None)
    starts = [day * DAY_US for day in known[1:]]
    return [None, *starts], [*(start - 1 for start in starts), None]


def _day(file: str) -> int | None:
    """Days since 1970 of the partition that a file belongs to."""
    for part in Path(file).parts:
        if part.startswith("day=") and part[4:5].isdigit():
            return date.fromisoformat(part[4:]).toordinal() - date(1970, 1, 1).toordinal()
    return None
