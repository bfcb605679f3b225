"""What came of one check."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ROWS = 50
"""Bad rows that an outcome shows; the rest is counted."""


@dataclass(frozen=True)
class BadRow:
    """One row that does not meet its check: what it is (labels, or the table's key), when (µs UTC, 0: no time), why."""

    what: str
    time_us: int
    why: str


@dataclass(frozen=True)
class Outcome:
    """What a check found: how many rows or series it looked at, how many do not meet it, the first of these.

    `kind` is range, monotonic, freshness, completeness or schema; `statement` finds the rows: PromQL, or SQL.
    """

    source: str
    name: str
    kind: str
    checked: int
    failed: int
    message: str
    rows: tuple[BadRow, ...]
    statement: str

    @property
    def ok(self) -> bool:
        """Whether nothing fails."""
        return self.failed == 0
