"""How the catalogue writes down a metric: one line each, by component."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.simulate.metric import HOSTS, Metric, Pairs

CALL_BOUNDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
SHORT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
FAST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
SCORE_BOUNDS = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


class Component:
    """One component of the platform; its methods make metrics. Further keywords are fields of `Metric`."""

    def __init__(self, service: str) -> None:
        self.service = service

    def counter(self, name: str, unit: str, text: str, rate: float, at: Mapping[str, str], **more: Any) -> Metric:
        """A counter; `rate` events per second on an average weekday."""
        return Metric(self.service, name, "counter", unit, text, _pairs(at), rate, **more)

    def histogram(self, name: str, unit: str, text: str, rate: float, at: Mapping[str, str], **more: Any) -> Metric:
        """A histogram; `rate` values per second. `bounds`, `centre` and `spread` are needed."""
        return Metric(self.service, name, "histogram", unit, text, _pairs(at), rate, **more)

    def gauge(self, name: str, unit: str, text: str, level: float, at: Mapping[str, str], **more: Any) -> Metric:
        """A gauge, not rounded."""
        return Metric(self.service, name, "gauge", unit, text, _pairs(at), level, **{"quantum": 0.0, **more})

    def number(self, name: str, unit: str, text: str, level: float, at: Mapping[str, str], **more: Any) -> Metric:
        """An up-down counter: how many there are."""
        return Metric(self.service, name, "updowncounter", unit, text, _pairs(at), level, **more)

    def cache(self, name: str, rate: float, hits: float) -> Iterator[Metric]:
        """Look-ups per second in a cache, and the share of hits."""
        for result, share in (("hit", hits), ("miss", 1 - hits)):
            at = {"synth.cache": name, "synth.result": result}
            yield self.counter("synth.cache.requests", "{request}", "Look-ups in a cache", rate * share, at)

    def saturation(self, pool: str, level: float) -> Metric:
        """Used share of a pool."""
        at = {"synth.pool": pool}
        return self.gauge(
            "synth.saturation", "1", "Used share of a pool", level, at, elasticity=0.5, spread=0.15, high=1.0
        )


def processes() -> Iterator[Metric]:
    """What every component's process uses."""
    for service in HOSTS:
        one = Component(service)
        for mode, share in (("user", 0.24), ("system", 0.06)):
            spent = {"cpu.mode": mode}
            hundredths = share * 100
            yield one.counter(
                "process.cpu.time",
                "s",
                "CPU time of the process by mode",
                hundredths,
                spent,
                quantum=0.01,
                dispersion=1.0,
            )
        memory = {"elasticity": 0.05, "spread": 0.02, "quantum": 4096.0}
        yield one.number("process.memory.usage", "By", "Physical memory in use", 0.8 * 2**30, {}, **memory)
        yield one.number(
            "process.thread.count", "{thread}", "Threads of the process", 42.0, {}, elasticity=0.1, spread=0.03
        )


def _pairs(at: Mapping[str, str]) -> Pairs:
    return tuple(sorted(at.items()))
