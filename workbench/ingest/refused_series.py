"""Which new series were refused over a limit: by reason, metric and sender, for a counter and for people."""

from __future__ import annotations

import time
from collections import Counter as Tallies
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter

from workbench.ingest.points import Member
from workbench.ingest.refusals import Refusal

LIMITS = {
    "series_limit": "ingest.max_series",
    "metric_limit": "ingest.max_metric_series",
    "source_limit": "ingest.max_source_series",
    "anonymous_quota": "ingest.max_anonymous_series",
}
"""Reasons that are a limit on the number of series -> the setting."""

KEPT = 200
"""Metrics and senders that are named; a hostile sender may invent names for ever, so the oldest goes."""

REFUSED = Counter(
    "workbench_ingest_series_refused_total",
    "New series that a limit refused, each time that a sender tried.",
    ["reason"],
)


@dataclass
class Tally:
    """How often series of a metric were refused to a sender, one of them, and when last (µs UTC)."""

    count: int
    example: str
    last_us: int


class RefusedSeries:
    """The tally of a book of series; fed under the book's lock, read from anywhere."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Tally] = {}

    def note(
        self, answers: Sequence[list[int] | Refusal], described: Sequence[list[Member] | Refusal], source: str
    ) -> None:
        """Count what a limit refused of some groups."""
        now_us = time.time_ns() // 1000
        counted: Tallies[str] = Tallies()
        for answer, members in zip(answers, described, strict=True):
            if not isinstance(answer, Refusal) or answer.reason not in LIMITS or isinstance(members, Refusal):
                continue
            counted[answer.reason] += 1
            identity = members[0].identity
            key = (answer.reason, identity.name[:200], source)
            before = self._found.pop(key, None)
            if before is None and len(self._found) >= KEPT:
                del self._found[next(iter(self._found))]
            labels = before.example if before else ",".join(f"{k}={v}"[:80] for k, v in identity.attributes)[:400]
            self._found[key] = Tally((before.count if before else 0) + 1, labels, now_us)
        for reason, count in counted.items():
            REFUSED.labels(reason).inc(count)

    def rows(self) -> list[dict[str, Any]]:
        """{reason, setting, metric, source, count, example, last_us}, the latest first."""
        return [
            {
                "reason": reason,
                "setting": LIMITS[reason],
                "metric": metric,
                "source": source,
                "count": tally.count,
                "example": tally.example,
                "last_us": tally.last_us,
            }
            for (reason, metric, source), tally in reversed(list(self._found.items()))
        ]
