"""Refused pieces sent again: each letter's rows and the letter's own new state are one record of the log.

So a letter is re-played once, whatever dies meanwhile: either the record is in the log, and the letter is closed, or it
is not, and nothing of it was written. What is refused again stays in its letter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from workbench.config import Settings
from workbench.errors import InputError
from workbench.ingest.dead_letters.letters import DISCARDED, REPLAYED, Letter, find_letters
from workbench.ingest.dead_letters.mend import Mend, is_event, mended
from workbench.ingest.events import event_row, events_batch
from workbench.ingest.identity_rules import check_identity
from workbench.ingest.pieces import Point, read_point
from workbench.ingest.points import Rows
from workbench.ingest.refusals import REASONS
from workbench.schema import KINDS
from workbench.store import FileLock, Follower, attach

if TYPE_CHECKING:
    from workbench.store import RemoteWriter, Writer

SOURCE = "dead-letter"
"""Who sent what was re-played and nobody had sent before: `dead-letter:` and the source of the letter."""


@dataclass(frozen=True)
class Replayed:
    """What became of a re-play: letters closed, pieces written, pieces that stay, each with why."""

    letters: int
    pieces: int
    stay: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        kept = f", {len(self.stay)} pieces stay" if self.stay else ""
        return f"re-played {self.pieces} pieces of {self.letters} dead letters{kept}"


@dataclass(frozen=True)
class _Attempt:
    """What the pieces of one letter became."""

    points: list[Point]
    events: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    faults: list[str]


def replay(
    settings: Settings,
    ids: Sequence[str],
    mend: Mend,
    *,
    discard: bool = False,
    clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> Replayed:
    """Mend the pieces of these open letters and write them, through the hub where one runs; any past time is accepted.

    `discard` closes the letters instead. One re-play of a home runs at a time. Raises InputError, LakeLocked, Busy.
    """
    lock = FileLock(settings.home / "replay.lock")
    lock.acquire()
    done, pieces, stay = 0, 0, list[tuple[str, str]]()
    try:
        with attach(settings) as writer:
            view = Follower(settings)
            letters = find_letters(view, ids=tuple(ids))
            view.close()
            for letter in letters:
                now_us = clock_us()
                if discard:
                    _write(writer, {}, replace(letter, reason=DISCARDED, message=_told(letter, now_us, DISCARDED)))
                    done += 1
                    continue
                tried = _try(letter, mend, now_us, settings)
                written = len(tried.points) + len(tried.events)
                stay += [(letter.id, fault) for fault in tried.faults]
                if written:
                    _write(writer, _batches(writer, letter, tried), _left(letter, tried, written, now_us))
                pieces += written
                done += bool(written) and not tried.failed
    finally:
        lock.release()
    return Replayed(done, pieces, tuple(stay))


def _try(letter: Letter, mend: Mend, now_us: int, settings: Settings) -> _Attempt:
    found = _Attempt([], [], [], [])
    if not letter.pieces:
        hint = "import the mended file again: rows that are there count once" if letter.door == "import" else ""
        found.faults.append("nothing of it was kept that could be sent again" + (f"; {hint}" if hint else ""))
    for piece in letter.pieces:
        try:
            changed = mended(piece, mend, now_us)
            if is_event(changed, letter.door):
                found.events.append(_event(changed, now_us, settings))
            else:
                found.points.append(_point(changed, now_us, settings))
        except InputError as error:
            found.failed.append(piece)
            found.faults.append(f"{error.where}: {error.message}" if error.where else error.message)
    return found


def _event(piece: dict[str, Any], now_us: int, settings: Settings) -> dict[str, Any]:
    row = event_row(piece, now_us, settings.ingest, any_time=True)
    if not isinstance(row, dict):
        raise InputError(row[1], where=row[0])
    _check_future(row["time"], now_us, settings)
    return row


def _point(piece: dict[str, Any], now_us: int, settings: Settings) -> Point:
    point = read_point(piece)
    refusal = check_identity(point.members[0].identity, settings.ingest, anonymous=False)
    if refusal is not None:
        raise InputError(REASONS[refusal.reason], where=refusal.where)
    _check_future(point.time_us, now_us, settings)
    return point


def _check_future(time_us: int, now_us: int, settings: Settings) -> None:
    if time_us > now_us + settings.ingest.accept_future_seconds * 1_000_000:
        raise InputError(REASONS["too_new"], where="time")


def _batches(writer: Writer | RemoteWriter, letter: Letter, tried: _Attempt) -> dict[str, pa.RecordBatch]:
    batches: dict[str, pa.RecordBatch] = {}
    if tried.events:
        batches["events"] = events_batch(tried.events)
    if tried.points:
        members = [member for point in tried.points for member in point.members]
        new = [(member.identity, member.description, member.scope) for member in members]
        batches["samples"] = _rows(tried.points, writer.register(new, f"{SOURCE}:{letter.source}")).batch()
    return batches


def _rows(points: Sequence[Point], ids: Sequence[int]) -> Rows:
    values = [value for point in points for value in point.values]
    of_row = [point for point in points for _ in point.values]
    histograms: dict[int, dict[str, Any] | None] = {
        row: value for row, value in enumerate(values) if isinstance(value, dict)
    }
    floats = np.array([0.0 if isinstance(value, dict) or value is None else value for value in values], np.float64)
    return Rows(
        np.array(ids, np.int64),
        np.array([point.time_us for point in of_row], np.int64),
        floats.view(np.uint64),
        np.array([point.start_us for point in of_row], np.int64),
        np.array([point.stale for point in of_row], bool),
        histograms,
    )


def _left(letter: Letter, tried: _Attempt, written: int, now_us: int) -> Letter:
    """The letter after its good pieces went."""
    if tried.failed:
        payload = "\n".join(json.dumps(piece) for piece in tried.failed)
        return replace(letter, payload=payload, count=max(len(tried.failed), letter.count - written))
    return replace(letter, reason=REPLAYED, message=_told(letter, now_us, f"{written} of {letter.count} re-played"))


def _told(letter: Letter, now_us: int, what: str) -> str:
    return f"{what} {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now_us // 10**6))}; it was {letter.reason}"


def _write(writer: Writer | RemoteWriter, batches: dict[str, pa.RecordBatch], letter: Letter) -> None:
    row = {
        "id": letter.id, "time": letter.time_us, "door": letter.door, "source": letter.source, "where": letter.where,
        "reason": letter.reason, "message": letter.message, "payload": letter.payload, "count": letter.count,
    }  # fmt: skip
    writer.append(
        {**batches, "dead_letter": pa.RecordBatch.from_pylist([row], schema=KINDS["dead_letter"].schema)}
    ).result()
