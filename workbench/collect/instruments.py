"""What a collector measures: instruments, points and observations, as plain data.

Names, units and attributes are those of OpenTelemetry's semantic conventions. The agent encodes observations itself
(see `otlp`) instead of running one SDK pipeline per resource: one payload a second holds the host and every process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Pairs = tuple[tuple[str, str], ...]
"""Attributes: (key, value) pairs. Built once and used again, so that encoding can recognise them."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric as OpenTelemetry declares it; `unit` is UCUM. Counters are cumulative and monotonic."""

    name: str
    unit: str
    kind: Literal["counter", "updowncounter", "gauge"]
    description: str


Point = tuple[Instrument, Pairs, float]
"""One measurement: instrument, attributes, value in the instrument's unit."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was measured of one resource at one moment.

    Times are nanoseconds since 1970 UTC: `time_ns` when it was measured, `start_ns` since when its counters count.
    """

    resource: Pairs
    start_ns: int
    time_ns: int
    points: list[Point] = field(default_factory=list)


class Collector(Protocol):
    """What `MetricsCollector` combines: one method, which never raises for a counter that is missing."""

    def collect(self, time_ns: int) -> list[Observation]:
        """Measure now; `time_ns` is the time of the round, and decides what is due."""
        ...
