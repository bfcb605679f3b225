"""What learns: the prompt optimizer and the coordinator of the learning agents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import DAY_SECONDS, DOMAINS, ITEMS_PER_SECOND, ROUNDS_PER_SECOND
from workbench.simulate.catalogue.component import CALL_BOUNDS, SHORT_BOUNDS, Component
from workbench.simulate.metric import Metric, Reaction, Source

OPTIMIZER = Component("dspy_optimizer")
COORDINATOR = Component("marl_coordinator")
# agent: mean reward
AGENTS = {"generator": 0.72, "validator": 0.78, "curriculum": 0.66}
STRATEGIES = {"weighted_voting": 0.6, "majority": 0.25, "negotiation": 0.15}
JOBS = {"completed": 0.86, "failed": 0.09, "cancelled": 0.05}
"""How optimisation jobs end."""


def jobs(domain: str) -> Source:
    """The optimisation jobs of a domain: six a day over all."""
    return Source(f"jobs:{domain}", 6 / DAY_SECONDS * DOMAINS[domain], drive="flat", dispersion=1.0)


def metrics() -> Iterator[Metric]:
    """Everything that the optimizer and the coordinator measure."""
    for domain, share in DOMAINS.items():
        yield from _jobs(domain, share)
    for module, rate in (("generate", 1.0), ("refine", 0.5), ("judge", 0.8)):
        shape: dict[str, Any] = {"bounds": CALL_BOUNDS, "centre": 2.0, "spread": 0.6}
        at = {"synth.module": module, "synth.outcome": "success"}
        name, text = "synth.dspy.module.duration", "Duration of a DSPy module"
        yield OPTIMIZER.histogram(name, "s", text, rate * ITEMS_PER_SECOND, at, **shape)
    yield from OPTIMIZER.cache("dspy", 0.4, 0.3)
    yield from _rounds()
    for agent, reward in AGENTS.items():
        yield from _agent(agent, reward)


def _jobs(domain: str, share: float) -> Iterator[Metric]:
    for status, part in (("pending", 1.0), ("running", 1.0), *JOBS.items()):
        at = {"synth.domain": domain, "synth.status": status}
        text = "Optimisation jobs that reached a status"
        yield OPTIMIZER.counter("synth.dspy.jobs", "{job}", text, jobs(domain), at, share=part)
    shape: dict[str, Any] = {"bounds": (600.0, 1200.0, 2400.0, 3600.0), "centre": 1500.0, "spread": 0.45}
    at = {"synth.domain": domain, "synth.outcome": "success"}
    name, text = "synth.dspy.job.duration", "Duration of optimisation jobs"
    yield OPTIMIZER.histogram(name, "s", text, jobs(domain), at, share=JOBS["completed"], **shape)
    trials: dict[str, Any] = {"drive": "flat", "dispersion": 6.0, "reacts": (Reaction("runaway", 9.0),)}
    rate = 120 / DAY_SECONDS * share
    yield OPTIMIZER.counter(
        "synth.dspy.trials", "{trial}", "Trials of prompts", rate, {"synth.domain": domain}, **trials
    )
    for kind, below in (("baseline", 0.08), ("current", 0.0), ("best", -0.02)):
        score: dict[str, Any] = {"drive": "flat", "spread": 0.008, "normal": True, "high": 1.0}
        if kind == "current":
            score["reacts"] = (Reaction(f"regression:{domain}", -0.06, "value"),)
        at = {"synth.domain": domain, "synth.kind": kind}
        text = "Score of the optimised prompts"
        yield OPTIMIZER.gauge("synth.dspy.score", "1", text, 0.8 + share / 3 - below, at, **score)
    at = {"error.type": "parse", "synth.domain": domain}
    falls = (Reaction("failing", 30.0),)
    rate = 0.008 * ITEMS_PER_SECOND * share
    yield OPTIMIZER.counter("synth.dspy.fallbacks", "{fallback}", "Fall-backs to plain prompts", rate, at, reacts=falls)


def _rounds() -> Iterator[Metric]:
    rounds = Source("rounds", ROUNDS_PER_SECOND)
    for outcome, share, stuck, failing in (
        ("success", 0.9, -0.9, -0.12),
        ("failure", 0.1, -0.1, 0.12),
        ("fallback", 0.0, 1.0, 0.0),
    ):
        timing: dict[str, Any] = {"bounds": SHORT_BOUNDS, "centre": 0.3, "spread": 0.5, "share": share}
        timing["reacts"] = (Reaction("deadlock", stuck), Reaction("failing_rounds", failing))
        name, text = "synth.marl.coordination.duration", "Duration of a coordination round"
        yield COORDINATOR.histogram(name, "s", text, rounds, {"synth.outcome": outcome}, **timing)
    for strategy, share in STRATEGIES.items():
        at = {"synth.strategy": strategy}
        found: dict[str, Any] = {"share": share, "reacts": (Reaction("deadlock", -share),)}
        timing = {"bounds": SHORT_BOUNDS, "centre": 0.05, "spread": 0.6, **found}
        name, text = "synth.marl.consensus.duration", "Time to a consensus"
        yield COORDINATOR.histogram(name, "s", text, rounds, at, **timing)
        score: dict[str, Any] = {"bounds": (0.6, 0.7, 0.8, 0.9), "centre": 0.87, "spread": 0.05, **found}
        name, text = "synth.marl.consensus.quality", "Quality of the consensus"
        yield COORDINATOR.histogram(name, "1", text, rounds, at, normal=True, high=1.0, **score)
    for outcome, share in (("success", 0.95), ("failure", 0.05)):
        name, text = "synth.marl.conflicts", "Conflicts between agents"
        yield COORDINATOR.counter(name, "{conflict}", text, rounds, {"synth.outcome": outcome}, share=0.22 * share)
    for kind in ("resource", "communication", "consensus", "circular_wait", "starvation", "livelock"):
        locked: dict[str, Any] = {
            "share": 0.0,
            "reacts": (Reaction("deadlock", 0.1),) if kind == "circular_wait" else (),
        }
        name, text = "synth.marl.deadlocks", "Deadlocks that were found"
        yield COORDINATOR.counter(name, "{deadlock}", text, rounds, {"synth.kind": kind}, **locked)
    yield COORDINATOR.saturation("gpu", 0.4, Reaction("hot", 0.1, "value"))


def _agent(agent: str, reward: float) -> Iterator[Metric]:
    at = {"synth.agent": agent}
    silent = Reaction("deadlock", -1.0)
    value: dict[str, Any] = {"bounds": (0.4, 0.6, 0.7, 0.8, 0.9), "centre": reward, "spread": 0.1, "normal": True}
    value |= {"high": 1.0, "reacts": (silent, Reaction("diverging", -0.2, "value"))}
    actions = Source(f"actions:{agent}", ROUNDS_PER_SECOND)
    yield COORDINATOR.histogram("synth.marl.reward", "1", "Reward of an action", actions, at, **value)
    timing: dict[str, Any] = {"bounds": (0.002, 0.004, 0.006, 0.009, 0.013, 0.02), "centre": 0.006, "spread": 0.4}
    timing["reacts"] = (silent, Reaction("hot", 0.7, "value"))
    yield COORDINATOR.histogram("synth.marl.action.duration", "s", "Duration of an action", actions, at, **timing)
    for outcome, share in (("success", 0.94), ("failure", 0.06)):
        stopped = (Reaction("deadlock", -share),)
        done = {**at, "synth.outcome": outcome}
        name, text = "synth.marl.actions", "Actions of agents"
        yield COORDINATOR.counter(name, "{action}", text, actions, done, share=share, reacts=stopped)
    for result, share in (("sent", 1.45), ("received", 1.4), ("broadcast", 0.14), ("failed", 0.01)):
        name, text = "synth.marl.messages", "Messages of agents"
        told = {**at, "synth.result": result}
        yield COORDINATOR.counter(
            name, "{message}", text, actions, told, share=share, reacts=(Reaction("deadlock", -share),)
        )
    loss: dict[str, Any] = {"drive": "flat", "spread": 0.25, "reacts": (Reaction("diverging", 9.0),)}
    yield COORDINATOR.gauge("synth.marl.loss", "1", "Training loss", 0.08, at, **loss)
    yield COORDINATOR.gauge("synth.marl.epsilon", "1", "Share of random actions", 0.05, at, drive="flat", spread=0.03)
    age: dict[str, Any] = {"drive": "flat", "spread": 1.4, "normal": True}
    age["reacts"] = (Reaction(f"silent:{agent}", 1.0, "value"),)
    yield COORDINATOR.gauge("synth.marl.heartbeat.age", "s", "Time since the agent was heard", 4.0, at, **age)
    yield from _states(agent)


def _states(agent: str) -> Iterator[Metric]:
    """1 for the state an agent is in, 0 for the others: it trains but for an incident."""
    moved = {
        "training": (Reaction("diverging", -1.0, "value"), Reaction(f"silent:{agent}", -1.0, "value")),
        "diverging": (Reaction("diverging", 1.0, "value"),),
        "stalled": (Reaction(f"silent:{agent}", 1.0, "value"),),
    }
    for state in ("initializing", "training", "converged", "diverging", "stalled", "evaluating", "stopped"):
        at = {"synth.agent": agent, "synth.state": state}
        shape: dict[str, Any] = {"drive": "flat", "spread": 0.0, "high": 1.0, "quantum": 1.0}
        text = "Whether an agent is in a state of learning"
        level = 1.0 if state == "training" else 0.0
        yield COORDINATOR.gauge(
            "synth.marl.learning.state", "{agent}", text, level, at, reacts=moved.get(state, ()), **shape
        )
