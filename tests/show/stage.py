"""A small platform with known numbers: what the tests of the pages stand on instead of a store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from workbench.query import Result, parse
from workbench.show import ShowContext, load_dashboard
from workbench.show.context import SHIPPED_DASHBOARDS
from workbench.show.filters import parse_filters
from workbench.show.sources import selectors
from workbench.store import Identity, Series

DOMAINS = ("science", "technology", "reading", "engineering", "arts", "mathematics")
COMPONENTS = ("api_gateway", "orchestrator", "dspy_optimizer", "marl_coordinator", "quality_assurance")
ROUTES = ("/api/v1/jobs/{job_id}", "/api/v1/generate", "/api/v1/analytics", "/health")
MODELS = ("gpt-4o", "gpt-4o-mini", "gemini-2.5-pro")
# Prometheus name prefix -> (label, values, base, swing)
SHAPES: dict[str, tuple[str, tuple[str, ...], float, float]] = {
    "system_cpu_utilization": ("cpu_mode", ("user", "system", "iowait", "steal"), 0.12, 0.1),
    "system_memory_usage": ("system_memory_state", ("used", "cached", "buffers", "free"), 6e9, 8e8),
    "system_memory_utilization": ("system_memory_state", ("used",), 0.62, 0.04),
    "system_filesystem": ("system_filesystem_mountpoint", ("/", "/data"), 0.7, 0.17),
    "system_network": ("network_io_direction", ("receive", "transmit"), 4e5, 3e5),
    "system_disk": ("disk_io_direction", ("read", "write"), 2e6, 2e6),
    "system_cpu_load": ("", ("",), 1.3, 0.8),
    "system_process": ("", ("",), 214, 9),
    "system_linux": ("", ("",), 3104, 200),
    "process_cpu": ("instance", ("hub", "front", "agent", "keeper", "demo"), 0.02, 0.015),
    "process_memory": ("instance", ("hub", "front", "agent", "keeper", "demo"), 1.4e8, 4e7),
    "process_unix": ("instance", ("hub", "front", "agent", "keeper", "demo"), 42, 6),
    "target_info": ("job", COMPONENTS, 1, 0),
    "http_server": ("http_route", ROUTES, 0.7, 0.4),
    "synth_queue": ("synth_queue", ("generate", "validate", "publish"), 8, 6),
    "synth_llm": ("gen_ai_request_model", MODELS, 1.3, 0.9),
    "synth_content": ("synth_status", ("requested", "accepted", "discarded"), 260, 160),
    "synth_quality": ("synth_domain", DOMAINS, 0.955, 0.02),
    "synth_users": ("", ("",), 620, 40),
}

PLAIN = ("", ("",), 1.0, 0.5)


class Registry:
    """One series for each selector of the overview, those of the platform simulated."""

    def __init__(self) -> None:
        wanted = {selector for query in _overview_queries() for selector in selectors(query)}
        self._series = [
            Series(number, _identity(selector), "", "", "test", 0)
            for number, selector in enumerate(sorted(wanted, key=str))
        ]
        self.generation = len(self._series)

    def since(self, generation: int) -> list[Series]:
        return self._series[generation:]

    def get(self, number: int) -> Series:
        return self._series[number]


class View:
    """A view whose newest sample is always a moment old, and whose registry holds two series."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.registry = Registry()
        self.lake_version = "17"
        self._clock = clock

    @property
    def latest_us(self) -> int:
        return int(self._clock() * 1e6) // 250_000 * 250_000

    def samples(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> Any:
        return SimpleNamespace(times_us=np.array([end_us - 300_000]))


class Stage:
    """Evaluates every expression by the shape of its metric name, and counts what it was asked."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.view = View(clock)
        self.clock = clock
        self.calls: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.answer: Callable[[str], Result | None] = lambda expr: None
        self.alerts: list[dict[str, Any]] = []
        self.notices: list[str] = []

    @property
    def asked(self) -> list[str]:
        return [expr for _, expr in self.calls]

    def context(self, **changes: Any) -> ShowContext:
        return ShowContext(
            view=self.view,  # type: ignore[arg-type]
            evaluate_instant=self.instant,
            evaluate_range=self.range,
            **{
                "alerts": lambda: self.alerts,
                "notices": lambda: self.notices,
                "navigation": lambda _: (("Live", "/live/overview"), ("Reports", "/reports/")),
                "clock": self.clock,
                **changes,
            },
        )

    def instant(self, expr: str, time_us: int) -> Result:
        return self._evaluate("vector", expr, np.array([time_us], np.int64))

    def range(self, expr: str, start_us: int, end_us: int, step_us: int) -> Result:
        return self._evaluate("matrix", expr, np.arange(start_us, end_us + 1, step_us, dtype=np.int64))

    def _evaluate(self, kind: str, expr: str, times_us: np.ndarray) -> Result:
        with self.lock:
            self.calls.append((kind, expr))
        parse(expr)
        answered = self.answer(expr)
        if answered is not None:
            return answered
        name = selectors(expr)[0].name
        label, values, base, swing = next((shape for prefix, shape in SHAPES.items() if name.startswith(prefix)), PLAIN)
        grouped = " by (" in expr
        if "(job)" in expr:
            label, values = "job", COMPONENTS
        labels = [{label: value} for value in values] if label and grouped else [{}]
        seconds = times_us / 1e6
        rows = [
            (base + swing * (np.sin(seconds / (200 + 90 * n) + n) + 0.04 * np.sin(seconds * (1.7 + n))))
            / (n + 1) ** 0.5
            for n in range(len(labels))
        ]
        if ".." in expr:
            rows = [row / base / 400 for row in rows]
        elif "seconds_sum" in expr:
            rows = [row / 20 for row in rows]
        elif base == 0.955:
            rows = [row * (n + 1) ** 0.5 for n, row in enumerate(rows)]
        found = np.abs(np.array(rows))
        return result(kind, labels, times_us, found)


def result(kind: str, labels: list[dict[str, str]], times_us: np.ndarray, values: np.ndarray) -> Result:
    return Result(kind, labels, times_us, values, np.isfinite(values), "17")


def _overview_queries() -> list[str]:
    dashboard = load_dashboard(SHIPPED_DASHBOARDS / "overview.yaml")
    filters, _ = parse_filters(dashboard, [])
    return [filters.fill(query.expr, tile, charts=False) for tile in dashboard.tiles for query in tile.queries]


def _identity(selector: Any) -> Identity:
    # A regular expression that is a plain alternation is met by its first branch.
    labels = {
        m.label: m.value.split("|")[0] for m in selector.matchers if m.operator in ("=", "=~") and m.value != ".*"
    }
    labels["host.name"] = "alpha"
    if labels.get("job") not in ("host", "workbench"):
        labels["deployment_environment_name"] = "simulated"
        if selector.name.startswith("http_server"):
            labels["http_response_status_code"] = "500"
    name = labels.pop("__name__")
    return Identity("prometheus", name, "gauge", "", "", (), tuple(sorted(labels.items())))
