"""Every metric of the catalogue is there, with the magnitude that a small company has, when nothing goes wrong."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.simulate.moments import DAY_US, alone, platform, rows, us
from workbench.simulate import Platform
from workbench.simulate.metric import HOST_AGENT

MONDAY = us("2026-09-07")
TIMES = MONDAY + np.arange(0, 5 * DAY_US + 1, DAY_US // 48)
SEASON = 1.35  # what September is above an ordinary month
DAYS = 5

# name, attributes, how it is looked at, least, most; `per day` is of an ordinary weekday
PER_DAY, PER_SECOND, LEVEL, MEDIAN, P95, MEAN = "per day", "per second", "level", "median", "p95", "mean of values"
TABLE = [
    ("system.cpu.time", {}, "per second, always", 23.5, 24.5),  # 3 hosts of 8 cores
    ("system.cpu.utilization", {"cpu__mode": "user"}, LEVEL, 0.2, 0.6),
    ("system.memory.usage", {}, "sum", 0.9 * 3 * 32 * 2**30, 1.1 * 3 * 32 * 2**30),
    ("system.memory.utilization", {"system__memory__state": "used"}, LEVEL, 0.5, 0.75),
    ("system.paging.operations", {}, PER_SECOND, 0.1, 5),
    ("system.disk.io", {}, PER_SECOND, 3 * 2e6, 3 * 40e6),
    ("system.filesystem.usage", {}, "sum", 0.98 * 600e9, 1.02 * 600e9),
    ("system.filesystem.utilization", {}, LEVEL, 0.35, 0.8),
    ("system.network.io", {}, PER_SECOND, 3 * 1e6, 3 * 10e6),
    ("system.network.errors", {}, PER_SECOND, 0, 0.01),
    ("system.network.packet.dropped", {}, PER_SECOND, 0, 0.01),
    ("hw.gpu.utilization", {}, LEVEL, 0.3, 0.8),
    ("hw.gpu.memory.utilization", {}, LEVEL, 0.3, 0.8),
    ("hw.temperature", {}, LEVEL, 55, 75),
    ("synth.gpu.clock", {}, LEVEL, 1.38e9, 1.42e9),
    ("synth.clock.offset", {}, LEVEL, -0.005, 0.005),
    ("synth.tls.not_after", {}, LEVEL, TIMES[-1] / 1e6 + 14 * 86_400, TIMES[0] / 1e6 + 91 * 86_400),
    ("process.cpu.time", {}, "per second, always", 7 * 0.1, 7 * 0.5),
    ("process.memory.usage", {}, LEVEL, 0.3 * 2**30, 2 * 2**30),
    ("process.thread.count", {}, LEVEL, 20, 80),
    ("process.unix.file_descriptor.count", {}, LEVEL, 60, 300),
    ("http.server.request.duration", {}, PER_SECOND, 2.7, 3.3),
    ("http.server.request.duration", {}, MEDIAN, 0.012, 0.025),
    ("http.server.request.duration", {}, P95, 0.08, 0.16),
    ("http.server.active_requests", {}, LEVEL, 1, 40),
    ("http.client.request.duration", {"server__address": "api.openai.com"}, MEDIAN, 1, 2.5),
    ("db.client.operation.duration", {}, MEDIAN, 0.0025, 0.0035),
    ("db.client.connection.count", {}, LEVEL, 4, 20),
    ("db.client.connection.pending_requests", {}, LEVEL, 0, 1),
    ("synth.saturation", {}, LEVEL, 0.1, 0.6),
    ("synth.queue.depth", {}, LEVEL, 0, 40),
    ("synth.queue.wait", {}, P95, 1, 3),
    ("synth.cache.requests", {"synth__cache": "api", "synth__result": "hit"}, PER_SECOND, 0.6, 1.1),
    ("synth.gateway.routed", {}, PER_SECOND, 2.7, 3.3),
    ("synth.gateway.rejected", {}, PER_SECOND, 0.06, 0.09),
    ("synth.gateway.auth", {}, PER_SECOND, 0.09, 0.11),
    ("synth.webhook.deliveries", {}, PER_SECOND, 0.04, 0.06),
    ("gen_ai.client.operation.duration", {}, PER_SECOND, 0.58, 0.7),
    ("gen_ai.client.operation.duration", {}, MEDIAN, 1.5, 2.2),
    ("gen_ai.client.operation.duration", {}, P95, 5, 8),
    ("gen_ai.client.token.usage", {"gen_ai__token__type": "input"}, MEAN, 1155, 1700),
    ("gen_ai.client.token.usage", {"gen_ai__token__type": "output"}, MEAN, 180, 230),
    ("gen_ai.client.operation.time_to_first_chunk", {}, MEDIAN, 0.3, 0.5),
    ("gen_ai.client.operation.time_per_output_chunk", {}, MEDIAN, 0.025, 0.035),
    ("synth.llm.attempts", {}, PER_SECOND, 0.58, 0.72),
    ("synth.llm.cost", {}, PER_DAY, 64, 96),
    ("synth.users.active", {"synth__window": "1d"}, "sum", 0.9 * 620 * SEASON, 1.1 * 620 * SEASON),
    ("synth.users.active", {"synth__window": "30d"}, "sum", 0.9 * 2500, 1.1 * 2500),
    ("synth.users.signups", {}, PER_DAY, 22, 38),
    ("synth.users.churned", {}, PER_DAY, 7, 21),
    ("synth.session.duration", {}, MEDIAN, 400, 700),
    ("synth.session.duration", {}, PER_DAY, 600, 1100),
    ("synth.feature.uses", {}, PER_DAY, 15_000, 25_000),
    ("synth.content.items", {"synth__status": "requested"}, PER_DAY, 9_000, 11_000),
    ("synth.content.duration", {}, MEDIAN, 8, 10.5),
    ("synth.content.duration", {}, P95, 24, 33),
    ("synth.subscriptions", {"synth__state": "paying"}, "sum", 530, 590),
    ("synth.revenue", {}, "per day, always", 0.5 * 16_000 / 30, 1.6 * 16_000 / 30),
    ("synth.quality.verdicts", {}, PER_DAY, 250, 350),
    ("synth.quality.accuracy", {}, LEVEL, 0.93, 0.98),
    ("synth.quality.false_positive", {}, LEVEL, 0.01, 0.03),
    ("synth.content.rating", {}, MEAN, 4.0, 4.4),
    ("synth.content.rating", {}, PER_DAY, 500, 700),
    ("synth.dspy.jobs", {"synth__status": "pending"}, "per day, always", 3, 9),
    ("synth.dspy.job.duration", {}, MEDIAN, 600, 3600),
    ("synth.dspy.trials", {}, "per day, always", 80, 160),
    ("synth.dspy.score", {}, LEVEL, 0.7, 0.95),
    ("synth.dspy.module.duration", {}, MEDIAN, 1.6, 2.4),
    ("synth.dspy.fallbacks", {}, PER_DAY, 40, 120),
    ("synth.marl.coordination.duration", {}, MEDIAN, 0.25, 0.35),
    ("synth.marl.consensus.duration", {}, MEDIAN, 0.04, 0.06),
    ("synth.marl.consensus.quality", {}, MEAN, 0.8, 0.95),
    ("synth.marl.conflicts", {}, PER_DAY, 0.2 * 10_000, 0.24 * 10_000),
    ("synth.marl.messages", {}, PER_DAY, 8.5 * 10_000, 9.5 * 10_000),
    ("synth.marl.actions", {}, PER_DAY, 2.8 * 10_000, 3.2 * 10_000),
    ("synth.marl.action.duration", {}, MEDIAN, 0.004, 0.010),
    ("synth.marl.reward", {}, MEAN, 0.5, 0.9),
    ("synth.marl.loss", {}, LEVEL, 0.01, 0.5),
    ("synth.marl.epsilon", {}, LEVEL, 0.01, 1),
    ("synth.marl.heartbeat.age", {}, LEVEL, 1, 10),
    ("synth.marl.learning.state", {"synth__state": "training"}, LEVEL, 1, 1),
    ("synth.marl.deadlocks", {}, PER_DAY, 0, 0),
    ("synth.validation.duration", {}, MEDIAN, 0.001, 0.015),
    ("synth.validation.results", {"synth__check": "fidelity", "synth__verdict": "pass"}, PER_DAY, 8_700, 9_700),
    ("synth.qa.duration", {}, P95, 0.5, 1.0),
    ("synth.qa.score", {"synth__dimension": "overall"}, MEAN, 0.75, 0.95),
    ("synth.qa.feedback", {}, PER_DAY, 2_700, 3_300),
    ("synth.reasoning.duration", {}, MEDIAN, 0.7, 2.5),
    ("synth.reasoning.quality", {}, MEAN, 0.7, 0.95),
]


@cache
def values() -> np.ndarray:
    """Five weekdays on which nothing goes wrong."""
    with alone():
        return Platform(42).values(TIMES)


def grown(found: list[int]) -> float:
    return float((values()[found, -1] - values()[found, 0]).sum())


def quantile(name: str, at: dict[str, str], share: float) -> float:
    """By straight lines on a log scale between the bounds, over all attributes."""
    found = rows(name, "bucket", **at)
    bounds = np.array([platform().series[row].bound for row in found])
    total = grown(rows(name, "count", **at))
    below = [sum(grown([row]) for row in np.array(found)[bounds == bound]) / total for bound in np.unique(bounds)]
    edges = np.log(np.unique(bounds)[:-1])
    return float(np.exp(np.interp(share, below[:-1], edges)))


@pytest.mark.parametrize(
    ("name", "at", "how", "least", "most"), TABLE, ids=[f"{name} {how}" for name, _, how, *_ in TABLE]
)
def test_it_has_its_magnitude(name, at, how, least, most):
    counts = any(series.metric.name == name and series.part == "count" for series in platform().series)
    found = rows(name, "count" if counts else "", **at)
    if how in (MEDIAN, P95):
        value = quantile(name, at, 0.5 if how is MEDIAN else 0.95)
    elif how is MEAN:
        value = grown(rows(name, "sum", **at)) / grown(found)
    elif how is LEVEL:
        means = values()[found].mean(axis=1)
        assert least <= means.min(), means.min()
        value = means.max()
    elif how == "sum":
        value = values()[found].sum(axis=0).mean()
    else:
        value = grown(found) / DAYS / (86_400 if "second" in how else 1) / (1 if "always" in how else SEASON)
    assert least <= value <= most, f"{value:.4g} is not between {least:.4g} and {most:.4g}"


def test_no_metric_is_forgotten():
    assert {name for name, *_ in TABLE} == {metric.name for metric in platform().metrics}


def test_failures_are_as_seldom_as_they_should_be():
    name = "http.server.request.duration"
    total = grown(rows(name, "count"))
    shares = {
        status: grown(rows(name, "count", http__response__status_code=status)) / total
        for status in ("401", "422", "429", "500")
    }
    assert shares["500"] == pytest.approx(0.0015, rel=0.2)
    assert shares["401"] + shares["422"] + shares["429"] == pytest.approx(0.025, rel=0.1)
    calls = grown(rows("gen_ai.client.operation.duration", "count"))
    for error, share in (("429", 0.005), ("timeout", 0.002), ("500", 0.001)):
        failed = grown(rows("gen_ai.client.operation.duration", "count", error__type=error))
        assert failed / calls == pytest.approx(share, rel=0.2)
    rounds = grown(rows("synth.marl.coordination.duration", "count"))
    assert grown(rows("synth.marl.coordination.duration", "count", synth__outcome="success")) / rounds > 0.85
    name = "synth.webhook.deliveries"
    assert grown(rows(name, synth__outcome="success")) / grown(rows(name)) == pytest.approx(0.993, abs=0.002)


def test_hosts_are_measured_as_hosts_and_not_as_components():
    for series in platform().series:
        of_host = series.metric.name.split(".")[0] in {"system", "hw"}
        if of_host:
            assert series.metric.service == HOST_AGENT
