"""From a decoded request to rows for the log: what is accepted, what is refused and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.config import Ingest
from workbench.ingest.callers import Caller
from workbench.ingest.pieces import describe_points
from workbench.ingest.points import EXEMPLAR_ONLY, Decoded, OddPoint, Rows, join_rows
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
            _refuse(decoded, hit, Refusal(reason), refusals)
            ok[hit] = False

    for point in decoded.odd:
        if isinstance(point.members, Refusal):
            _refuse(decoded, np.array([point.group]), point.members, refusals)
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
            hit = points[np.isin(decoded.groups[points], list(refused))]
            numbers, at = np.unique(decoded.groups[hit], return_inverse=True)
            for group, of_group in zip(numbers.tolist(), _split(hit, at), strict=True):
                _refuse(decoded, of_group, refused[group], refusals)
            points = points[first[decoded.groups[points]] >= 0]
        if len(points):
            parts.append(decoded.rows(points, first[decoded.groups[points]], members))
    odd_rows, odd_points = _admit_odd(decoded, ok, book, caller, refusals)
    if odd_rows is not None:
        parts.append(odd_rows)
    return (join_rows(parts) if parts else None), len(points) + odd_points


def _split(points: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Points by the number of their group, 0 and up."""
    order = np.argsort(groups, kind="stable")
    return np.split(points[order], np.cumsum(np.bincount(groups))[:-1])


def _refuse(decoded: Decoded, points: np.ndarray, refusal: Refusal, refusals: Refusals) -> None:
    if refusal.reason not in refusals:  # only the first one's description is told
        text = decoded.describe(int(points[0]))
        refusal = refusal._replace(where=refusal.where or text, payload=refusal.payload or text)
    room = refusals.room(refusal.reason)
    if room:
        refusals.keep(refusal.reason, describe_points(decoded, points[:room].tolist(), refusal.reason))
    refusals.add(refusal, len(points))


def _admit_odd(
    decoded: Decoded, ok: np.ndarray, book: SeriesBook, caller: Caller, refusals: Refusals
) -> tuple[Rows | None, int]:
    odd = [point for point in decoded.odd if ok[point.group]]
    series: list[int] = []
    of_row: list[OddPoint] = []
    histograms: dict[int, dict[str, Any] | None] = {}
    bits: list[int] = []
    alone: list[int] = []
    accepted = 0
    for point, ids in zip(odd, book.enter([point.members for point in odd], caller), strict=True):
        if isinstance(ids, Refusal):
            _refuse(decoded, np.array([point.group]), ids, refusals)
            continue
        accepted += 1
        for one, value in zip(ids, point.values, strict=True):
            if isinstance(value, np.uint64):
                bits.append(int(value))
            elif value is EXEMPLAR_ONLY:
                alone.append(len(series))
                bits.append(0)
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
        alone,
    )
    return rows, accepted
