"""Checks of samples: range, counters that only grow, freshness, completeness, labels.

A staleness marker is no value: it says that its series ended, which is neither old nor incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from workbench.analyze.quality.declared import SeriesCheck
from workbench.analyze.quality.outcome import MAX_ROWS, BadRow, Outcome
from workbench.schema import STALE_NAN_BITS

RESET_SHARE = 0.5
"""A counter that falls to less than this share of what it was began anew; one that falls by less went backwards."""


def judge_series(
    check: SeriesCheck,
    labels: Sequence[Any],
    offsets: np.ndarray,
    times_us: np.ndarray,
    values: np.ndarray,
    now_us: int,
) -> Iterator[Outcome]:
    """What a check makes of samples: those of `labels[i]` are `[offsets[i]:offsets[i + 1]]`, times ascending.

    `labels` are (name, value) pairs; times are microseconds UTC.
    """
    stale = np.ascontiguousarray(values).view(np.uint64) == STALE_NAN_BITS
    names = [series_text(pairs) for pairs in labels]
    of_sample = np.repeat(np.arange(len(names)), np.diff(offsets))
    if check.low is not None or check.high is not None:
        yield _range(check, names, of_sample, times_us, values, stale)
    if check.resets_max is not None:
        yield _monotonic(check, names, of_sample, times_us, values, stale)
    if check.fresh_seconds is not None:
        yield _freshness(check, names, offsets, times_us, stale, now_us)
    if check.every_seconds is not None:
        yield _completeness(check, names, offsets, times_us, stale, now_us)
    if check.labels:
        bad = [
            BadRow(name, 0, f"has no label {', '.join(missing)}")
            for name, pairs in zip(names, labels, strict=True)
            if (missing := sorted(set(check.labels) - {key for key, value in pairs if value}))
        ]
        yield _outcome(check, "schema", len(names), bad, "series without their labels", check.metric)


def _range(
    check: SeriesCheck, names: list[str], of: np.ndarray, times: np.ndarray, values: np.ndarray, stale: np.ndarray
) -> Outcome:
    low = -np.inf if check.low is None else check.low
    high = np.inf if check.high is None else check.high
    out = ~((values >= low) & (values <= high)) & ~stale  # NaN is in no range
    rows = [BadRow(names[of[i]], int(times[i]), f"is {values[i]:g}") for i in np.flatnonzero(out)[:MAX_ROWS]]
    span = f"out of {low:g} to {high:g}"
    if check.high is None or check.low is None:
        span = f"below {low:g}" if check.high is None else f"above {high:g}"
    said = [text for bound, sign in ((check.low, "<"), (check.high, ">")) if bound is not None
            for text in (f"{check.metric} {sign} {bound!r}",)]  # fmt: skip
    statement = " or ".join(said)
    return _outcome(check, "range", int((~stale).sum()), rows, f"samples {span}", statement, int(out.sum()))


def _monotonic(
    check: SeriesCheck, names: list[str], of: np.ndarray, times: np.ndarray, values: np.ndarray, stale: np.ndarray
) -> Outcome:
    kept = ~stale
    of, times, values = of[kept], times[kept], values[kept]
    falls = np.flatnonzero((of[1:] == of[:-1]) & (values[1:] < values[:-1])) + 1
    backwards = values[falls] >= RESET_SHARE * values[falls - 1]
    rows = [
        BadRow(names[of[i]], int(times[i]), f"falls from {values[i - 1]:g} to {values[i]:g}, which is no reset")
        for i in falls[backwards]
    ]
    resets = np.bincount(of[falls[~backwards]], minlength=len(names)) if len(names) else np.zeros(0, int)
    for number in np.flatnonzero(resets > (check.resets_max or 0)):
        last = falls[~backwards][of[falls[~backwards]] == number][-1]
        rows.append(BadRow(names[number], int(times[last]), f"began anew {resets[number]} times"))
    statement = f"resets({check.metric}[{check.window_seconds}s]) > {check.resets_max}"
    return _outcome(
        check, "monotonic", len(names), rows, "counters that go backwards or begin anew too often", statement
    )


def _freshness(
    check: SeriesCheck, names: list[str], offsets: np.ndarray, times: np.ndarray, stale: np.ndarray, now_us: int
) -> Outcome:
    bound_us = now_us - round((check.fresh_seconds or 0) * 1e6)
    rows = []
    for number, (start, end) in enumerate(pairwise(offsets.tolist())):
        if start == end or stale[end - 1] or times[end - 1] >= bound_us:
            continue
        age = (now_us - int(times[end - 1])) / 1e6
        rows.append(BadRow(names[number], int(times[end - 1]), f"its newest sample is {age:.0f} s old"))
    live = int((np.diff(offsets) > 0).sum())
    if not live:
        rows = [BadRow(check.metric, 0, f"no sample within {check.window_seconds} s")]
    statement = f"time() - timestamp({check.metric}) > {check.fresh_seconds:g}"
    return _outcome(check, "freshness", max(live, 1), rows, f"series older than {check.fresh_seconds:g} s", statement)


def _completeness(
    check: SeriesCheck, names: list[str], offsets: np.ndarray, times: np.ndarray, stale: np.ndarray, now_us: int
) -> Outcome:
    every_us = (check.every_seconds or 1) * 1e6
    rows = []
    looked = 0
    for number, (start, end) in enumerate(pairwise(offsets.tolist())):
        if start == end:
            continue
        # A series that began or ended meanwhile is asked for the time that it was there.
        until = int(times[end - 1]) if stale[end - 1] else now_us
        wanted = int((until - int(times[start])) / every_us)
        if wanted < 1:
            continue
        looked += 1
        there = int((~stale[start:end]).sum())
        if there < check.share_min * wanted:
            rows.append(BadRow(names[number], int(times[end - 1]), f"{there} samples of {wanted} expected"))
    statement = f"count_over_time({check.metric}[{check.window_seconds}s])"
    return _outcome(
        check, "completeness", looked, rows, f"series with less than {check.share_min:.0%} of their samples", statement
    )


def _outcome(
    check: SeriesCheck,
    kind: str,
    checked: int,
    rows: list[BadRow],
    what: str,
    statement: str,
    failed: int | None = None,
) -> Outcome:
    number = len(rows) if failed is None else failed
    message = f"{number} {what}" if number else f"no {what}"
    return Outcome(check.source, check.name, kind, checked, number, message, tuple(rows[:MAX_ROWS]), statement)


def series_text(labels: Any) -> str:
    """A series as Prometheus writes it."""
    pairs = dict(labels)
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(pairs.items()) if name != "__name__")
    return f"{pairs.get('__name__', '')}{{{inner}}}"
