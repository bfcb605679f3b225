"""What learns: the prompt optimizer and the coordinator of the learning agents."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.simulate.catalogue.company import DAY_SECONDS, DOMAINS, ITEMS_PER_SECOND
from workbench.simulate.catalogue.component import CALL_BOUNDS, SHORT_BOUNDS, Component
from workbench.simulate.metric import Metric

OPTIMIZER = Component("dspy_optimizer")
COORDINATOR = Component("marl_coordinator")
# agent: mean reward
AGENTS = {"generator": 0.72, "validator": 0.78, "curriculum": 0.66}


def metrics() -> Iterator[Metric]:
    """Everything that the optimizer and the coordinator measure."""
    yield from _optimizer()
    yield from _rounds()
    for agent, reward in AGENTS.items():
        yield from _agent(agent, reward)


def _optimizer() -> Iterator[Metric]:
    for domain, share in DOMAINS.items():
        for status, part in (("completed", 0.9), ("failed", 0.1)):
            at = {"synth.domain": domain, "synth.status": status}
            rate = 6 / DAY_SECONDS * share * part
            yield OPTIMIZER.counter(
                "synth.dspy.jobs", "{job}", "Optimisation jobs", rate, at, drive="flat", dispersion=1.0
            )
        at = {"synth.domain": domain, "synth.kind": "current"}
        shape = {"drive": "flat", "spread": 0.008, "normal": True, "high": 1.0}
        yield OPTIMIZER.gauge("synth.dspy.score", "1", "Score of the optimised prompts", 0.8 + share / 3, at, **shape)
    yield OPTIMIZER.histogram(
        "synth.dspy.module.duration",
        "s",
        "Duration of a DSPy module",
        ITEMS_PER_SECOND,
        {"synth.module": "generate", "synth.outcome": "success"},
        bounds=CALL_BOUNDS,
        centre=2.0,
        spread=0.6,
    )
    yield from OPTIMIZER.cache("dspy", 0.4, 0.3)


def _rounds() -> Iterator[Metric]:
    for outcome, share in (("success", 0.9), ("failure", 0.1)):
        at = {"synth.outcome": outcome}
        yield COORDINATOR.histogram(
            "synth.marl.coordination.duration",
            "s",
            "Duration of a coordination round",
            ITEMS_PER_SECOND * share,
            at,
            bounds=SHORT_BOUNDS,
            centre=0.3,
            spread=0.5,
        )
    yield COORDINATOR.histogram(
        "synth.marl.consensus.quality",
        "1",
        "Quality of the consensus",
        ITEMS_PER_SECOND,
        {"synth.strategy": "weighted_voting"},
        bounds=(0.6, 0.7, 0.8, 0.9),
        centre=0.87,
        spread=0.05,
        normal=True,
    )
    for outcome, share in (("success", 0.95), ("failure", 0.05)):
        rate = 0.22 * ITEMS_PER_SECOND * share
        yield COORDINATOR.counter("synth.marl.conflicts", "{conflict}", "Conflicts", rate, {"synth.outcome": outcome})


def _agent(agent: str, reward: float) -> Iterator[Metric]:
    at = {"synth.agent": agent}
    yield COORDINATOR.histogram(
        "synth.marl.reward",
        "1",
        "Reward of an action",
        ITEMS_PER_SECOND,
        at,
        bounds=(0.4, 0.6, 0.7, 0.8, 0.9),
        centre=reward,
        spread=0.1,
        normal=True,
    )
    yield COORDINATOR.gauge("synth.marl.loss", "1", "Training loss", 0.08, at, drive="flat", spread=0.25)
    yield COORDINATOR.gauge("synth.marl.epsilon", "1", "Share of random actions", 0.05, at, drive="flat", spread=0.03)
    age = {"drive": "flat", "spread": 2.0, "normal": True, "high": 9.9}
    yield COORDINATOR.gauge("synth.marl.heartbeat.age", "s", "Time since the agent was heard", 4.0, at, **age)
    for outcome, share in (("success", 0.94), ("failure", 0.06)):
        done = {**at, "synth.outcome": outcome}
        yield COORDINATOR.counter("synth.marl.actions", "{action}", "Actions of agents", ITEMS_PER_SECOND * share, done)
