"""The questions: TSBS's devops shapes as PromQL, those of dashboards beside them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from benchmarks.tsbs.data import CPU, Load

HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Shape:
    """A question: expressions asked one after the other, their span and step; `heavy`: 1,000 series or 6 h and more."""

    name: str
    expressions: tuple[str, ...]
    hours: float
    step_seconds: int
    heavy: bool = False

    def paths(self, end_us: int) -> list[str]:
        """What is asked of the API for data that ends there."""
        if not self.hours:
            return [f"/api/v1/query?{urlencode({'query': e, 'time': end_us / 1e6})}" for e in self.expressions]
        span = {"start": end_us / 1e6 - self.hours * 3600, "end": end_us / 1e6, "step": self.step_seconds}
        return [f"/api/v1/query_range?{urlencode({'query': e, **span})}" for e in self.expressions]


def shapes(load: Load) -> list[Shape]:
    """TSBS's shapes over a day of data, and three that it lacks."""
    day, half = min(load.hours, 24), min(load.hours, 12)
    cpu = [f"cpu_usage_{field}" for field in CPU]
    eight = "|".join(f"host_{n * load.hosts // 8}" for n in range(8))
    one, some = '{hostname="host_1"}', f'{{hostname=~"{eight}"}}'

    def each(function: str, names: list[str], which: str, window: str) -> tuple[str, ...]:
        outer = function.partition("_")[0]
        return tuple(f"{outer} by (hostname) ({function}({name}{which}[{window}]))" for name in names)

    return [
        Shape("single-groupby-1-1-1", each("max_over_time", cpu[:1], one, "1m"), 1, 60),
        Shape("single-groupby-1-1-12", each("max_over_time", cpu[:1], one, "1m"), half, 60, True),
        Shape("single-groupby-1-8-1", each("max_over_time", cpu[:1], some, "1m"), 1, 60),
        Shape("single-groupby-5-8-1", each("max_over_time", cpu[:5], some, "1m"), 1, 60),
        Shape("cpu-max-all-1", each("max_over_time", cpu, one, "1h"), min(8, half), 3600, True),
        Shape("cpu-max-all-8", each("max_over_time", cpu, some, "1h"), min(8, half), 3600, True),
        Shape("double-groupby-1", each("avg_over_time", cpu[:1], "", "1h"), half, 3600, True),
        Shape("double-groupby-5", each("avg_over_time", cpu[:5], "", "1h"), half, 3600, True),
        Shape("double-groupby-all", each("avg_over_time", cpu, "", "1h"), half, 3600, True),
        Shape("high-cpu-1", (f"max_over_time({cpu[0]}{one}[1m]) > 90",), half, 60, True),
        Shape("high-cpu-all", (f"max_over_time({cpu[0]}[1m]) > 90",), half, 60, True),
        Shape("lastpoint", ('{__name__=~"cpu_.+"}',), 0, 0, True),
        Shape("groupby-orderby-limit", (f"max(max_over_time({cpu[0]}[1m]))",), 5 / 60, 60, True),
        Shape("sum by rate, a day", ("sum by (region) (rate(net_bytes_0_total[5m]))",), day, 300, True),
        Shape("topk of avg, a day", (f"topk(5, avg_over_time({cpu[0]}[1h]))",), day, 300, True),
        Shape("quantile, a day", (f"quantile by (region) (0.95, {cpu[0]})",), day, 60, True),
    ]


def dashboard(load: Load) -> list[Shape]:
    """Twelve panels over the whole time of a data set, at the step that a page of that width takes."""
    step = max(load.hours * 3600 // 360, 60)
    window = f"{step}s"
    panels = [
        f"avg(avg_over_time(cpu_usage_user[{window}]))",
        f"avg by (region) (avg_over_time(cpu_usage_user[{window}]))",
        f"max by (region) (max_over_time(cpu_usage_system[{window}]))",
        f"min(min_over_time(cpu_usage_idle[{window}]))",
        f"sum(rate(net_bytes_0_total[{window}]))",
        f"sum by (region) (rate(net_bytes_1_total[{window}]))",
        f"topk(5, avg_over_time(cpu_usage_iowait[{window}]))",
        f"sum(max_over_time(mem_bytes_0[{window}]))",
        f"avg by (team) (avg_over_time(mem_bytes_1[{window}]))",
        "count by (os) (cpu_usage_user)",
        f'max_over_time(cpu_usage_user{{hostname="host_1"}}[{window}])',
        f"sum(increase(net_bytes_0_total[{window}]))",
    ]
    return [Shape(f"panel {n}", (panel,), load.hours, step, True) for n, panel in enumerate(panels, start=1)]
