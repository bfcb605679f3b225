"""Calls to language models: duration, errors, tokens, attempts and cost, by model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import (
    CALLS_PER_SECOND,
    DOMAINS,
    INPUT_TOKENS,
    MODELS,
    OUTPUT_TOKENS,
    Model,
)
from workbench.simulate.catalogue.component import CALL_BOUNDS, pairs
from workbench.simulate.catalogue.content import ORCHESTRATOR
from workbench.simulate.metric import Metric, Pairs, Reaction, Source

TOKEN_BOUNDS = (64.0, 256.0, 1024.0, 4096.0, 16384.0)
FIRST_BOUNDS = (0.1, 0.2, 0.4, 0.8, 1.6)
CHUNK_BOUNDS = (0.01, 0.02, 0.03, 0.05, 0.1)
ERRORS = {"429": 0.005, "timeout": 0.002, "500": 0.001}
"""Shares of calls that fail, by `error.type`."""
SUCCESS = 1 - sum(ERRORS.values())
RETRIES = 0.01
COST_QUANTUM = 0.0001
"""Cost is counted in hundredths of a cent."""
COSTLIER = 0.3
"""By how much more an item costs after a regression of its prompt: it takes more calls."""
RUNAWAY = 7.0
"""Of an optimizer that runs away: the calls it makes beside those it used to make."""
STAMPEDE = 3.0


def calls(model: Model) -> Source:
    """The calls to a model."""
    reacts = [Reaction(f"discarding:{domain}", COSTLIER * share) for domain, share in DOMAINS.items()]
    reacts += [Reaction("stampede", STAMPEDE)]
    reacts += [Reaction("runaway", RUNAWAY * part) for role, part in model.roles if role == "optimizer"]
    return Source(f"calls:{model.name}", CALLS_PER_SECOND * model.share, reacts=tuple(reacts))


def attributes(model: Model) -> dict[str, str]:
    """Attributes of what is measured of a model."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.name,
    }


def model_pairs(model: Model, **more: str) -> Pairs:
    """The attributes of a model and more, as a series has them."""
    return pairs({**attributes(model), **more})


def metrics() -> Iterator[Metric]:
    """Everything that is measured of the calls to all models."""
    for model in MODELS:
        yield from _durations(model)
        yield from _tokens(model)
        yield from _attempts(model)
        yield from _costs(model)


def _durations(model: Model) -> Iterator[Metric]:
    name, unit, text = "gen_ai.client.operation.duration", "s", "Duration of LLM calls"
    source, slow = calls(model), Reaction(f"slow:{model.name}", 2.0, "value")
    shape: dict[str, Any] = {"bounds": CALL_BOUNDS, "centre": model.median_seconds, "spread": 0.73}  # p95 / median: 3.3
    down = f"outage:{model.provider}"
    reacts = (slow, Reaction(down, -0.6), Reaction("storm", -0.25))
    yield ORCHESTRATOR.histogram(name, unit, text, source, attributes(model), share=SUCCESS, reacts=reacts, **shape)
    for error, share in ERRORS.items():
        moved = {"500": (Reaction(down, 0.6),), "429": (Reaction("storm", 0.25),)}.get(error, ())
        at = {**attributes(model), "error.type": error}
        yield ORCHESTRATOR.histogram(name, unit, text, source, at, share=share, reacts=moved, **shape)
    for part, bounds, centre, what in (
        ("time_to_first_chunk", FIRST_BOUNDS, 0.4, "Time to the first chunk of an answer"),
        ("time_per_output_chunk", CHUNK_BOUNDS, 0.03, "Time per chunk of an answer"),
    ):
        shape = {"bounds": bounds, "centre": centre, "spread": 0.5, "share": SUCCESS, "reacts": (slow,)}
        yield ORCHESTRATOR.histogram(f"gen_ai.client.operation.{part}", "s", what, source, attributes(model), **shape)


def _tokens(model: Model) -> Iterator[Metric]:
    for kind, (median, spread) in (("input", INPUT_TOKENS), ("output", OUTPUT_TOKENS)):
        at = {**attributes(model), "gen_ai.token.type": kind}
        # Failed calls cost nothing: who fails has no tokens.
        lost = (Reaction(f"outage:{model.provider}", -0.6), Reaction("storm", -0.25))
        shape: dict[str, Any] = {"bounds": TOKEN_BOUNDS, "centre": median, "spread": spread, "reacts": lost}
        name, text = "gen_ai.client.token.usage", "Tokens per LLM call"
        yield ORCHESTRATOR.histogram(name, "{token}", text, calls(model), at, share=SUCCESS, **shape)


def _attempts(model: Model) -> Iterator[Metric]:
    retried = (Reaction("storm", 1.79), Reaction(f"outage:{model.provider}", 1.99))
    for reason, share, reacts in (("first", 1.0, ()), ("retry", RETRIES, retried)):
        at = {**attributes(model), "synth.reason": reason}
        more: dict[str, Any] = {"share": share, "reacts": reacts}
        name, text = "synth.llm.attempts", "Attempts to call an LLM"
        yield ORCHESTRATOR.counter(name, "{attempt}", text, calls(model), at, **more)


def _costs(model: Model) -> Iterator[Metric]:
    """The cost of a model's tokens, divided by role and domain; shares add up to 1 whatever happens."""
    for role, part in model.roles:
        for domain, share in DOMAINS.items():
            reacts = cost_reactions(model, role, domain)
            at: dict[str, str] = {**attributes(model), "synth.domain": domain, "synth.role": role}
            more: dict[str, Any] = {"share": part * share, "quantum": COST_QUANTUM, "priced": model.name}
            name, text = "synth.llm.cost", "Cost of LLM calls"
            yield ORCHESTRATOR.counter(name, "{USD}", text, calls(model), at, reacts=reacts, **more)


def cost_reactions(model: Model, role: str, domain: str) -> tuple[Reaction, ...]:
    """How the share of a role and a domain in a model's calls moves when others make more of them."""
    part, share = dict(model.roles)[role], DOMAINS[domain]
    found = []
    for worse, its_share in DOMAINS.items():
        moved = share * (1 + COSTLIER * (worse == domain)) / (1 + COSTLIER * its_share)
        found.append(Reaction(f"discarding:{worse}", part * (moved - share)))
    optimizing = dict(model.roles).get("optimizer", 0.0)
    if optimizing:
        moved = part * (1 + RUNAWAY * (role == "optimizer")) / (1 + RUNAWAY * optimizing)
        found.append(Reaction("runaway", share * (moved - part)))
    return tuple(found)
