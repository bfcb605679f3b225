"""Dead letters as a person looks for them: which are open, and which pieces of each can be sent again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from workbench.errors import InputError
from workbench.store import View

REPLAYED, DISCARDED = "replayed", "discarded"
"""Reasons of letters that somebody has dealt with."""

_CLOSED = frozenset({REPLAYED, DISCARDED})


@dataclass(frozen=True)
class Letter:
    """One row of `dead_letter`: so many pieces of one request, refused for one reason. Times are microseconds UTC."""

    id: str
    time_us: int
    door: str
    source: str
    where: str
    reason: str
    message: str
    payload: str
    count: int

    @property
    def open(self) -> bool:
        """Whether nobody has dealt with it yet."""
        return self.reason not in _CLOSED

    @property
    def pieces(self) -> list[dict[str, Any]]:
        """What was kept whole of the refused, an object each."""
        return [piece for line in self.payload.splitlines() if (piece := _object(line)) is not None]


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def find_letters(
    view: View,
    *,
    ids: tuple[str, ...] = (),
    reason: str = "",
    door: str = "",
    since_us: int | None = None,
    closed: bool = False,
) -> list[Letter]:
    """Letters that meet all of it, oldest first; with `closed` those that were dealt with too.

    `ids` may be beginnings. Raises InputError for one that no letter or several begin with.
    """
    rows = view.table("dead_letter", start_us=since_us).to_pylist()
    letters = sorted((_letter(row) for row in rows), key=lambda letter: (letter.time_us, letter.id))
    if ids:
        letters = [_named(letters, one) for one in dict.fromkeys(ids)]
    return [
        letter
        for letter in letters
        if (closed or letter.open) and reason in ("", letter.reason) and door in ("", letter.door)
    ]


def _named(letters: list[Letter], beginning: str) -> Letter:
    found = [letter for letter in letters if letter.id.startswith(beginning)]
    if len(found) != 1:
        what = f"{len(found)} dead letters begin" if found else "no dead letter begins"
        raise InputError(f"{what} with {beginning!r}", hint="`workbench dead-letters list` shows them.")
    return found[0]


def _letter(row: dict[str, Any]) -> Letter:
    texts = {name: row[name] or "" for name in ("id", "door", "source", "where", "reason", "message", "payload")}
    return Letter(time_us=round(row["time"].timestamp() * 1e6), count=row["count"] or 1, **texts)
