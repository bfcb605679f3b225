"""What a door refused, and why: counted, told to the sender, kept in the dead-letter table."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
from prometheus_client import Counter

from workbench.schema import KINDS

MAX_PAYLOAD_CHARACTERS = 4096
"""Of the refused pieces of one dead letter, a line each; what does not fit is counted and not kept."""

MAX_PIECES = 100
"""Kept of one request and reason. Each costs some ten microseconds to put into words."""

SAMPLES = Counter(
    "workbench_ingest_samples_total",
    "Data points, samples and events that came to a door, by what became of them.",
    ["door", "outcome", "reason"],
)

REASONS: dict[str, str] = {
    "too_old": "older than the door accepts; use `workbench import` for history",
    "too_new": "further in the future than the door accepts; check the sender's clock",
    "no_time": "without a time stamp",
    "no_value": "without a value",
    "delta_temporality": "of delta temporality, which is not accumulated yet; set "
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative in the sending SDK",
    "no_temporality": "without an aggregation temporality",
    "bad_histogram": "a histogram whose bounds and buckets do not fit together",
    "unsupported_histogram": "a native histogram of a resolution that is not known (below -4 or above 52)",
    "no_name": "without a metric name",
    "bad_label": "with labels that are empty, given twice, not UTF-8 or over 4 MiB together",
    "label_too_long": "with a name, label or value over ingest.max_label_bytes",
    "too_many_labels": "with too many labels",
    "reserved_label": "with a reserved label (__…, workbench_…), which needs a token",
    "owned_series": "for a series that belongs to a sender with a token",
    "anonymous_quota": "a new series over ingest.max_anonymous_series; send with a token",
    "too_many_new_series": "new series in one request that brings too many of them; spread them over several",
    "metric_limit": "a new series of a metric that has ingest.max_metric_series already; a label has too many values",
    "source_limit": "a new series of a sender that began ingest.max_source_series already",
    "series_limit": "a new series over ingest.max_series",
    "malformed": "not readable",
    "bad_event": "not a valid CloudEvent",
    "bad_row": "not readable as a row of the table",
}
"""Stable name of each reason -> how the sentence `refused N: …` goes on."""


class Refusal(NamedTuple):
    """Why one piece is refused: a name of `REASONS`, and where or what exactly."""

    reason: str
    where: str = ""
    payload: str = ""


class Refusals:
    """The refusals of one request: per reason a count, the first example, and the first pieces, to be sent again."""

    def __init__(self, door: str, source: str) -> None:
        self.door = door
        self.source = source
        self._found: dict[str, tuple[int, Refusal]] = {}
        self._pieces: dict[str, list[str]] = {}
        self._told: dict[str, int] = {}

    def __contains__(self, reason: str) -> bool:
        return reason in self._found

    def room(self, reason: str) -> int:
        """How many more pieces of that reason are worth putting into words."""
        return MAX_PIECES - self._told.get(reason, 0)

    def keep(self, reason: str, pieces: Iterable[str]) -> None:
        """Keep pieces whole, as JSON on one line each, as far as there is room; one that does not fit is left out."""
        kept = self._pieces.setdefault(reason, [])
        for piece in pieces:
            # Of a tried one too: a request full of what never fits must not be put into words to its end.
            self._told[reason] = self._told.get(reason, 0) + 1
            if sum(map(len, kept)) + len(kept) + len(piece) <= MAX_PAYLOAD_CHARACTERS:
                kept.append(piece)

    def add(self, refusal: Refusal, count: int = 1) -> None:
        """Count `count` more pieces refused for that reason; the first example is kept."""
        before, example = self._found.get(refusal.reason, (0, refusal))
        self._found[refusal.reason] = (before + count, example)

    @property
    def count(self) -> int:
        """How many pieces were refused in all."""
        return sum(count for count, _ in self._found.values())

    @property
    def message(self) -> str:
        """All of it in words, for the sender."""
        parts = []
        for reason, (count, example) in self._found.items():
            where = f" (first: {example.where[:200]})" if example.where else ""
            parts.append(f"{count} {REASONS[reason]}{where}")
        return "refused: " + "; ".join(parts) if parts else ""

    def count_outcome(self, accepted: int) -> None:
        """Add this request to the counters."""
        if accepted:
            SAMPLES.labels(self.door, "accepted", "").inc(accepted)
        for reason, (count, _) in self._found.items():
            SAMPLES.labels(self.door, "rejected", reason).inc(count)

    def batch(self, now_us: int) -> pa.RecordBatch | None:
        """Rows of `dead_letter`, one per reason; None if nothing was refused."""
        if not self._found:
            return None
        rows = [
            {
                "id": uuid.uuid4().hex,
                "time": now_us,
                "door": self.door,
                "source": self.source,
                "where": example.where[:MAX_PAYLOAD_CHARACTERS],
                "reason": reason,
                "message": REASONS[reason],
                "payload": "\n".join(self._pieces.get(reason, ())) or example.payload[:MAX_PAYLOAD_CHARACTERS],
                "count": count,
            }
            for reason, (count, example) in self._found.items()
        ]
        return pa.RecordBatch.from_pylist(rows, schema=KINDS["dead_letter"].schema)
