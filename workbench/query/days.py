"""How a table is cut by UTC day, so that it can be read a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.schema import KINDS

if TYPE_CHECKING:
    from workbench.store import View

DAY_US = 86_400_000_000


def partitions(view: View, kind: str) -> tuple[list[int | None], list[int | None]]:
    """First and last microsecond of each partition. Together they cover all times, whatever the log holds by now.

    One piece where the table has no time.
    """
    starts = [day * DAY_US for day in (view.days(kind) if KINDS[kind].time else ())[1:]]
    return [None, *starts], [*(start - 1 for start in starts), None]
