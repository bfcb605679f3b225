"""The round: ask every collector once per interval, encode, hand over to the delivery."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from workbench import log
from workbench.collect.delivery import Delivery
from workbench.collect.instruments import Collector, Observation
from workbench.collect.otlp import encode

_LOG = log.get(__name__)


class MetricsCollector:
    """Combines collectors and sends what they measure, once per `interval_seconds`, on whole seconds of the clock.

    A collector that fails costs its own figures of that round, nobody else's.
    """

    def __init__(self, collectors: Sequence[Collector], delivery: Delivery, *, interval_seconds: float = 1.0) -> None:
        self._collectors = [*collectors, delivery]
        self._delivery = delivery
        self._interval_seconds = interval_seconds

    def collect(self) -> list[Observation]:
        """One round: everything that is due, with the time it was measured."""
        found: list[Observation] = []
        for collector in self._collectors:
            try:
                found.extend(collector.collect(time.time_ns()))
            except Exception as error:
                _LOG.error("collector_failed", collector=type(collector).__name__, error=repr(error))
        return found

    def run(self, wait: Callable[[float], bool]) -> None:
        """Collect and send; between rounds `wait(seconds)`, until it says True. Then deliver what waits, briefly.

        `threading.Event().wait` will do, or a `Lifeline`'s.
        """
        while True:
            body, points = encode(self.collect())
            if points:
                self._delivery.put(body, points)
            if wait(self._until_next_seconds()):
                break
        self._delivery.close()

    def _until_next_seconds(self) -> float:
        # From the clock each time, so a clock that is set or a suspended machine shifts one round and no more.
        left = self._interval_seconds - time.time() % self._interval_seconds
        return left if left > self._interval_seconds / 10 else left + self._interval_seconds
