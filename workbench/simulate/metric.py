"""How one metric of the simulated platform behaves: plain data that `platform` evaluates for all metrics at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reaction:
    """What a signal of an incident (see `faults.kinds`), of strength s, does to a metric.

    - `amount`: of what is counted, the share grows by `gain` times s; a level becomes (1 + gain s) times as large.
    - `value`: values of a histogram become (1 + gain s) times as large; a level, and values that are normal, shift by
      gain times s.
    - `spread`: the (log-)sd of a histogram becomes (1 + gain s) times as large; its median stays.
    """

    signal: str
    gain: float
    on: Literal["amount", "value", "spread"] = "amount"


@dataclass(frozen=True)
class Source:
    """What happens, and is counted by one or several metrics: `rate` events per second on an average weekday.

    `drive` names the shape in time (see `shapes`) that the rate is multiplied with, raised to `elasticity`. Counts have
    a variance of `dispersion` times the mean. With `given`, people are counted one by one (see `people`): the name of
    the count. Metrics of one source divide its events among them by their shares, so their counts add up.
    """

    key: str
    rate: float
    drive: str = "traffic"
    elasticity: float = 1.0
    dispersion: float = 4.0
    reacts: tuple[Reaction, ...] = ()
    given: str = ""


@dataclass(frozen=True)
class Metric:
    """One set of attributes of one metric of one component; `type`, `unit` and names are OpenTelemetry's.

    - counter: counts `share` of the events of `source`, each worth `quantum` units; or, with `priced`, the cost of the
      tokens of a model (see `flows`).
    - histogram: likewise; values are log-normal with median `centre` and log-sd `spread`, or normal with mean and sd
      where `normal` is set.
    - gauge, updowncounter: `level` is the mean, moved by `drive` raised to `elasticity`; `spread` the relative
      (log-normal) or, where `normal` is set, absolute noise; `low` and `high` bound it; `quantum` rounds it.
    """

    service: str
    name: str
    type: Literal["counter", "updowncounter", "gauge", "histogram"]
    unit: str
    description: str
    attributes: Pairs
    instance: str = ""
    source: Source | None = None
    share: float = 1.0
    priced: str = ""
    level: float = 0.0
    drive: str = "traffic"
    elasticity: float = 1.0
    quantum: float = 1.0
    bounds: tuple[float, ...] = ()
    centre: float = 1.0
    spread: float = 0.1
    normal: bool = False
    low: float = 0.0
    high: float = float("inf")
    reacts: tuple[Reaction, ...] = ()

    @property
    def flows(self) -> bool:
        """Whether it counts something, and so never falls between two releases."""
        return self.type in {"counter", "histogram"}


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
HOST_AGENT = "host_agent"
"""Reports what is measured of a host; its instances are the hosts."""
VERSION = "1.4.0"
NEXT_VERSION = "1.5.0"
CANARY = "api_gateway-2"
"""The instance that a release is tried on; it is of the next version, and serves nobody while there is no release."""


def resource(metric: Metric) -> Pairs:
    """Resource of the instance that measures it, sorted by key. `simulated` is the mark that pages show."""
    return (
        ("deployment.environment.name", "simulated"),
        ("host.name", metric.instance if metric.service == HOST_AGENT else HOSTS[metric.service]),
        ("service.instance.id", metric.instance or f"{metric.service}-1"),
        ("service.name", metric.service),
        ("service.version", NEXT_VERSION if metric.instance == CANARY else VERSION),
    )
