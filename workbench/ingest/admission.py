"""From a decoded request to rows for the log: what is accepted, what is refused and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.config import Ingest
from workbench.ingest.callers import Caller
from workbench.ingest.points import Decoded, OddPoint, Rows, join_rows
from workbench.ingest.refusals import Refusal, Refusals
from workbench.ingest.series_book import SeriesBook


def admit(
    decoded: Decoded, book: SeriesBook, caller: Caller, refusals: Refusals, now_us: int, limits: Ingest
) -> tuple[Rows | None, int]:
    """Check times, then series -> (rows of the accepted points or None, how many points they are)."""
    ok = np.ones(len(decoded.groups), bool)

    def refuse(reason: str, mask: np.ndarray) -> None:
        hit = np.flatnonzero(mask & ok)
        if len(hit):
            _refuse(decoded, int(hit[0]), Refusal(reason), refusals, len(hit))
            ok[hit] = False

    for point in decoded.odd:
        if isinstance(point.members, Refusal):
            _refuse(decoded, point.group, point.members, refusals, 1)
            ok[point.group] = False
    for reason, mask in decoded.refused.items():
        refuse(reason, mask)
    refuse("no_time", decoded.times_us == 0)
    refuse("too_old", decoded.times_us < now_us - limits.accept_past_seconds * 1_000_000)
    refuse("too_new", decoded.times_us > now_us + limits.accept_future_seconds * 1_000_000)

    parts: list[Rows] = []
    points = np.flatnonzero(ok & (decoded.groups >= 0))
    if len(points):
        wanted = np.zeros(len(decoded.starts) - 1, bool)
        wanted[decoded.groups[points]] = True
        first, members, refused = book.resolve(decoded, np.flatnonzero(wanted), caller)
        if refused:
            numbers, at, counts = np.unique(decoded.groups[points], return_index=True, return_counts=True)
            for group, example, count in zip(numbers.tolist(), points[at].tolist(), counts.tolist(), strict=True):
                if group in refused:
                    _refuse(decoded, example, refused[group], refusals, count)
            points = points[first[decoded.groups[points]] >= 0]
        if len(points):
            parts.append(decoded.rows(points, first[decoded.groups[points]], members))
    odd_rows, odd_points = _admit_odd(decoded, ok, book, caller, refusals)
    if odd_rows is not None:
        parts.append(odd_rows)
    return (join_rows(parts) if parts else None), len(points) + odd_points


def _refuse(decoded: Decoded, point: int, refusal: Refusal, refusals: Refusals, count: int) -> None:
    if refusal.reason not in refusals:  # only the first example is kept, so only that one is put into words
        text = decoded.describe(point)
        refusal = refusal._replace(where=refusal.where or text, payload=refusal.payload or text)
    refusals.add(refusal, count)


def _admit_odd(
    decoded: Decoded, ok: np.ndarray, book: SeriesBook, caller: Caller, refusals: Refusals
) -> tuple[Rows | None, int]:
    odd = [point for point in decoded.odd if ok[point.group]]
    series: list[int] = []
    of_row: list[OddPoint] = []
    histograms: dict[int, dict[str, Any] | None] = {}
    bits: list[int] = []
    accepted = 0
    for point, ids in zip(odd, book.enter([point.members for point in odd], caller), strict=True):
        if isinstance(ids, Refusal):
            _refuse(decoded, point.group, ids, refusals, 1)
            continue
        accepted += 1
        for one, value in zip(ids, point.values, strict=True):
            if isinstance(value, np.uint64):
                bits.append(int(value))
            else:
                histograms[len(series)] = value
                bits.append(0)
            series.append(one)
            of_row.append(point)
    if not series:
        return None, 0
    rows = Rows(
        np.array(series, np.int64),
        decoded.times_us[[point.group for point in of_row]],
        np.array(bits, np.uint64),
        np.array([point.start_us for point in of_row], np.int64),
        np.array([point.stale for point in of_row], bool),
        histograms,
        {row: point.exemplar for row, point in enumerate(of_row) if point.exemplar is not None},
    )
    return rows, accepted
