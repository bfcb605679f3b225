"""How one metric of the simulated platform behaves: plain data that `platform` evaluates for all metrics at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Metric:
    """One set of attributes of one metric of one component.

    `type`, `unit` and names are OpenTelemetry's. `drive` names the shape in time that `level` is multiplied with
    (see `shapes`), raised to `elasticity`. `reacts` names a signal of an incident (see `schedule`), `gain` how much.

    - counter: `level` is events per second on an average weekday, each worth `quantum` units.
    - histogram: `level` likewise; values are log-normal with median `centre` and log-sd `spread`, or normal with mean
      and sd where `normal` is set; a signal s makes values (1 + gain s) times as large.
    - gauge, updowncounter: `level` is the mean, `spread` the relative (log-normal) or, where `normal` is set, absolute
      noise; a signal s adds gain times s; `low` and `high` bound it; `quantum` rounds it.
    """

    service: str
    name: str
    type: Literal["counter", "updowncounter", "gauge", "histogram"]
    unit: str
    description: str
    attributes: Pairs
    level: float
    drive: str = "traffic"
    elasticity: float = 1.0
    quantum: float = 1.0
    dispersion: float = 4.0
    bounds: tuple[float, ...] = ()
    centre: float = 1.0
    spread: float = 0.1
    normal: bool = False
    low: float = 0.0
    high: float = float("inf")
    reacts: str = ""
    gain: float = 0.0


@dataclass(frozen=True)
class Series:
    """One stored series: a metric, or one part of a histogram (`bucket` with its upper bound, `count`, `sum`)."""

    metric: Metric
    part: str = ""
    bound: float | None = None


def parts(metric: Metric) -> list[Series]:
    """The series a metric is stored as: histograms in cumulative buckets up to +Inf, then count, then sum."""
    if metric.type != "histogram":
        return [Series(metric)]
    buckets = [Series(metric, "bucket", bound) for bound in (*metric.bounds, float("inf"))]
    return [*buckets, Series(metric, "count"), Series(metric, "sum")]


def resource(service: str) -> Pairs:
    """Resource of a component, sorted by key. `simulated` is the mark that pages show."""
    return (
        ("deployment.environment.name", "simulated"),
        ("host.name", HOSTS[service]),
        ("service.instance.id", f"{service}-1"),
        ("service.name", service),
        ("service.version", "1.4.0"),
    )


HOSTS = {
    "api_gateway": "sim-1",
    "reasoning_tracer": "sim-1",
    "orchestrator": "sim-2",
    "domain_validator": "sim-2",
    "quality_assurance": "sim-2",
    "dspy_optimizer": "sim-3",
    "marl_coordinator": "sim-3",
}
"""The components and the simulated host each runs on."""
