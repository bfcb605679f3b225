"""What is measured: hosts with as many metrics each, in the shape of TSBS's devops case. Simulated, from a seed.

`steady` is TSBS's beat: every series has a sample every `step_seconds`, at an offset of its host's. `rough` has what
real hosts have: jitter of some ms, gaps, counters that reset, hosts that go and others that come in their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CPU = ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
REGIONS = ("eu-central-1", "us-east-1", "us-west-2", "ap-southeast-1", "sa-east-1")
ROUGH_JITTER_US = 3000


@dataclass(frozen=True)
class Load:
    """One data set: `hosts` x `metrics` series, `hours` of a sample every `step_seconds`, up to `end_us`."""

    hosts: int
    metrics: int
    hours: int
    end_us: int
    step_seconds: int = 10
    rough: bool = False

    @property
    def steps(self) -> int:
        """Samples of a series, where none is missing."""
        return self.hours * 3600 // self.step_seconds

    @property
    def start_us(self) -> int:
        """Time of the first beat."""
        return self.end_us - self.steps * self.step_seconds * 1_000_000

    @property
    def names(self) -> list[str]:
        """Names of the metrics, of four kinds: percents, counters, large gauges, ratios with all their digits."""
        cpu = [f"cpu_usage_{field}" for field in CPU]
        rest = self.metrics - len(cpu)
        counters = [f"net_bytes_{i}_total" for i in range(rest * 45 // 90)]
        ratios = [f"disk_ratio_{i}" for i in range(rest * 5 // 90)]
        gauges = [f"mem_bytes_{i}" for i in range(rest - len(counters) - len(ratios))]
        return [*cpu, *counters, *gauges, *ratios]


def labels(host: int) -> dict[str, str]:
    """The labels of a host, as many as TSBS gives it."""
    region = REGIONS[host % len(REGIONS)]
    return {
        "hostname": f"host_{host}", "region": region, "datacenter": f"{region}{'abc'[host % 3]}",
        "rack": str(host % 97),
        "os": ("Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10")[host % 3], "arch": ("x64", "x86")[host % 2],
        "team": ("SF", "NYC", "LON", "CHI")[host % 4], "service": str(host % 19),
        "service_environment": ("production", "staging", "test")[host % 3],
    }  # fmt: skip


def values(load: Load, metric: int) -> np.ndarray:
    """Values of one metric: float64[hosts, steps]."""
    random = np.random.default_rng([7, metric])
    name, shape = load.names[metric], (load.hosts, load.steps)
    if name.startswith("cpu"):
        return np.abs(np.round((random.uniform(0, 100, (load.hosts, 1)) + _walk(random, shape)) % 200 - 100))
    if name.startswith("net"):
        total = np.cumsum(random.poisson(random.integers(1, 5000, (load.hosts, 1)), shape), axis=1, dtype=np.float64)
        if load.rough:
            for host in range(0, load.hosts, 4):
                at = int(random.integers(1, load.steps))
                total[host, at:] -= total[host, at - 1]
        return total
    if name.startswith("mem"):
        return np.round(random.uniform(1e9, 1e10, (load.hosts, 1)) + 4096 * np.round(_walk(random, shape) * 50))
    return 1 / (1 + np.exp(_walk(random, shape) / 30))


def _walk(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.cumsum(random.normal(0, 1, shape), axis=1)


def times(load: Load) -> np.ndarray:
    """Times of the samples of every host, in microseconds, whole milliseconds: int64[hosts, steps]."""
    random = np.random.default_rng([8, load.hosts])
    beat = load.start_us + np.arange(load.steps) * load.step_seconds * 1_000_000
    offsets = random.integers(0, load.step_seconds * 1000, (load.hosts, 1)) * 1000
    found = beat + offsets
    if load.rough:
        found = found + random.integers(-ROUGH_JITTER_US // 1000, ROUGH_JITTER_US // 1000 + 1, found.shape) * 1000
    return found


def present(load: Load) -> np.ndarray:
    """Which samples there are: bool[hosts, steps]."""
    there = np.ones((load.hosts, load.steps), bool)
    if load.rough:
        random = np.random.default_rng([9, load.hosts])
        for host in range(load.hosts):
            for at in random.integers(0, load.steps, 3):
                there[host, at : at + int(random.integers(1, 60))] = False
            if host % 5 == 0:  # it goes in the middle; its successor comes
                there[host, load.steps // 2 :] = False
            if host % 5 == 1:
                there[host, : load.steps // 2] = False
    return there


@dataclass(frozen=True)
class Slice:
    """All samples of some beats: times_us and present of [hosts, k], values of [metrics, hosts, k]."""

    times_us: np.ndarray
    values: np.ndarray
    present: np.ndarray


def slices(load: Load, minutes: int) -> Iterator[Slice]:
    """The data set in the order of time, so many minutes at once. Holds all of it: 8 bytes a sample."""
    all_values = np.stack([values(load, metric) for metric in range(load.metrics)])
    all_times, there = times(load), present(load)
    size = minutes * 60 // load.step_seconds
    for at in range(0, load.steps, size):
        part = slice(at, at + size)
        yield Slice(all_times[:, part], all_values[:, :, part], there[:, part])
