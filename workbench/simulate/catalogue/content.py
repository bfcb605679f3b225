"""The orchestrator: calls to language models, their tokens and cost, the items they become, the queues between."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.simulate.catalogue.company import CALLS_PER_SECOND, DOMAINS, ITEMS_PER_SECOND, MODELS, Model
from workbench.simulate.catalogue.component import CALL_BOUNDS, Component
from workbench.simulate.metric import Metric

ORCHESTRATOR = Component("orchestrator")
ITEM_BOUNDS = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
TOKEN_BOUNDS = (64.0, 256.0, 1024.0, 4096.0, 16384.0)
CENT_SHARE = 0.01
"""Cost is counted in hundredths of a cent."""


def metrics() -> Iterator[Metric]:
    """Everything the orchestrator measures."""
    for model in MODELS:
        yield from _calls(model)
    for domain, share in DOMAINS.items():
        yield from _items(domain, share)
    yield ORCHESTRATOR.number(
        "synth.queue.depth",
        "{item}",
        "Items waiting",
        8.0,
        {"synth.queue": "generate"},
        spread=0.3,
        reacts="backlog",
        gain=45.0,
    )
    for queue, depth in (("validate", 3.0), ("publish", 1.5)):
        yield ORCHESTRATOR.number(
            "synth.queue.depth", "{item}", "Items waiting", depth, {"synth.queue": queue}, spread=0.3
        )
    yield ORCHESTRATOR.saturation("worker", 0.35)
    yield ORCHESTRATOR.saturation("llm", 0.3)
    yield from ORCHESTRATOR.cache("llm", CALLS_PER_SECOND, 0.2)


def _calls(model: Model) -> Iterator[Metric]:
    at = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": model.provider, "gen_ai.request.model": model.name}
    rate = CALLS_PER_SECOND * model.share
    yield ORCHESTRATOR.histogram(
        "gen_ai.client.operation.duration",
        "s",
        "Duration of LLM calls",
        rate,
        at,
        bounds=CALL_BOUNDS,
        centre=model.median_seconds,
        spread=0.73,  # p95 is 3.3 times the median
        reacts=f"slow:{model.name}",
        gain=2.0,
    )
    for kind, median, spread in (("input", 1020.0, 1.0), ("output", 129.0, 0.85)):
        shape = {"bounds": TOKEN_BOUNDS, "centre": median, "spread": spread}
        used = {**at, "gen_ai.token.type": kind}
        yield ORCHESTRATOR.histogram("gen_ai.client.token.usage", "{token}", "Tokens per LLM call", rate, used, **shape)
    for reason, part in (("first", 1.0), ("retry", 0.01)):
        tried = {**at, "synth.reason": reason}
        yield ORCHESTRATOR.counter("synth.llm.attempts", "{attempt}", "Attempts to call an LLM", rate * part, tried)
    dollars = CENT_SHARE / 100
    for domain, share in DOMAINS.items():
        spent = {**at, "synth.domain": domain, "synth.role": model.role}
        cost = rate * share * model.dollars_per_call / dollars
        yield ORCHESTRATOR.counter(
            "synth.llm.cost", "{USD}", "Cost of LLM calls", cost, spent, quantum=dollars, dispersion=15.0
        )


def _items(domain: str, share: float) -> Iterator[Metric]:
    rate = ITEMS_PER_SECOND * share
    for segment, part in (("teacher", 0.6), ("school", 0.4)):
        for status, kept in (("requested", 1.0), ("accepted", 0.72), ("discarded", 0.28), ("published", 0.6)):
            at = {"synth.domain": domain, "synth.segment": segment, "synth.status": status}
            yield ORCHESTRATOR.counter(
                "synth.content.items", "{item}", "Content items by status", rate * part * kept, at
            )
    yield ORCHESTRATOR.histogram(
        "synth.content.duration",
        "s",
        "Time from request to content item",
        rate,
        {"synth.domain": domain, "synth.outcome": "success"},
        bounds=ITEM_BOUNDS,
        centre=9.0,
        spread=0.69,
        reacts="backlog",
        gain=1.2,
    )
