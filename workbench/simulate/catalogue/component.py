"""How the catalogue writes down a metric: one line each, by component."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.simulate.metric import HOSTS, Metric, Pairs, Reaction, Source

CALL_BOUNDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
SHORT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
FAST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
SCORE_BOUNDS = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)

_SOURCE_FIELDS = ("drive", "elasticity", "dispersion", "given")


class Component:
    """One component of the platform; its methods make metrics. Further keywords are fields of `Metric`.

    What counts has a rate (events per second on an average weekday; then `drive`, `elasticity`, `dispersion` and
    `given` are those of its source) or the `Source` that it shares with other metrics, and its `share` of that.
    """

    def __init__(self, service: str, instance: str = "") -> None:
        self.service = service
        self.instance = instance

    def counter(
        self, name: str, unit: str, text: str, rate: float | Source, at: Mapping[str, str], **more: Any
    ) -> Metric:
        """A counter."""
        return self._flow(name, "counter", unit, text, rate, at, more)

    def histogram(
        self, name: str, unit: str, text: str, rate: float | Source, at: Mapping[str, str], **more: Any
    ) -> Metric:
        """A histogram. `bounds`, `centre` and `spread` are needed."""
        return self._flow(name, "histogram", unit, text, rate, at, more)

    def gauge(self, name: str, unit: str, text: str, level: float, at: Mapping[str, str], **more: Any) -> Metric:
        """A gauge, not rounded."""
        fields: dict[str, Any] = {"quantum": 0.0, **more, "level": level, "instance": self.instance}
        return Metric(self.service, name, "gauge", unit, text, pairs(at), **fields)

    def number(self, name: str, unit: str, text: str, level: float, at: Mapping[str, str], **more: Any) -> Metric:
        """An up-down counter: how many there are."""
        fields: dict[str, Any] = {**more, "level": level, "instance": self.instance}
        return Metric(self.service, name, "updowncounter", unit, text, pairs(at), **fields)

    def cache(self, name: str, rate: float, hits: float, reacts: tuple[Reaction, ...] = ()) -> Iterator[Metric]:
        """Look-ups per second in a cache, and the share of hits; a reaction of the hits makes misses of them."""
        source = Source(f"cache:{name}", rate)
        missed = tuple(Reaction(one.signal, -one.gain) for one in reacts)
        for result, share, moved in (("hit", hits, reacts), ("miss", 0.97 - hits, missed), ("stale", 0.03, ())):
            at = {"synth.cache": name, "synth.result": result}
            text = "Look-ups in a cache"
            yield self.counter("synth.cache.requests", "{request}", text, source, at, share=share, reacts=moved)

    def saturation(self, pool: str, level: float, *reacts: Reaction) -> Metric:
        """Used share of a pool."""
        at = {"synth.pool": pool}
        shape: dict[str, Any] = {"elasticity": 0.5, "spread": 0.15, "high": 1.0, "reacts": reacts}
        return self.gauge("synth.saturation", "1", "Used share of a pool", level, at, **shape)

    def _flow(
        self,
        name: str,
        kind: Any,
        unit: str,
        text: str,
        rate: float | Source,
        at: Mapping[str, str],
        more: dict[str, Any],
    ) -> Metric:
        found = {field: more.pop(field) for field in _SOURCE_FIELDS if field in more}
        if not isinstance(rate, Source):
            key = "|".join([self.service, self.instance, name, *(f"{k}={v}" for k, v in pairs(at))])
            rate = Source(key, rate, **found)
        return Metric(self.service, name, kind, unit, text, pairs(at), self.instance, rate, **more)


def processes() -> Iterator[Metric]:
    """What every component's process uses."""
    for service in HOSTS:
        one = Component(service)
        for mode, share in (("user", 0.24), ("system", 0.06)):
            spent, text = {"cpu.mode": mode}, "CPU time of the process by mode"
            fine = {"quantum": 0.01, "dispersion": 1.0}
            yield one.counter("process.cpu.time", "s", text, share * 100, spent, **fine)
        leak = (Reaction(f"leak:{service}", 40e6, "value"),)
        memory: dict[str, Any] = {"elasticity": 0.05, "spread": 0.02, "quantum": 4096.0, "reacts": leak}
        yield one.number("process.memory.usage", "By", "Physical memory in use", 0.8 * 2**30, {}, **memory)
        few = {"elasticity": 0.1, "spread": 0.03}
        yield one.number("process.thread.count", "{thread}", "Threads of the process", 42.0, {}, **few)
        name, text = "process.unix.file_descriptor.count", "Open file descriptors of the process"
        yield one.number(name, "{file_descriptor}", text, 140.0, {}, elasticity=0.3, spread=0.05)


def pairs(at: Mapping[str, str]) -> Pairs:
    """Attributes, sorted by key."""
    return tuple(sorted(at.items()))
