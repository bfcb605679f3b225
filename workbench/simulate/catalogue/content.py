"""The orchestrator: the items it makes, the queues between, and the calls to others that this takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import CALLS_PER_SECOND, DOMAINS, ITEMS_PER_SECOND
from workbench.simulate.catalogue.component import Component
from workbench.simulate.metric import Metric, Reaction, Source

ORCHESTRATOR = Component("orchestrator")
ITEM_BOUNDS = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
WAIT_BOUNDS = (0.1, 0.5, 1.0, 2.0, 5.0, 30.0)
SEGMENT_SHARES = {"teacher": 0.6, "school": 0.4}
"""Who asks for content, and how much of it."""
DISCARDED, PUBLISHED = 0.28, 0.6
STATUSES = {"requested": 1.0, "accepted": 1 - DISCARDED, "discarded": DISCARDED, "published": PUBLISHED}
"""Shares of what was requested; an accepted item may be published too, all others are discarded."""


def items(domain: str, segment: str) -> Source:
    """The items of a domain that a segment asks for."""
    rate = ITEMS_PER_SECOND * DOMAINS[domain] * SEGMENT_SHARES[segment]
    return Source(f"items:{domain}:{segment}", rate)


def metrics() -> Iterator[Metric]:
    """Items, queues, pools, caches of the orchestrator."""
    for domain, share in DOMAINS.items():
        yield from _items(domain, share)
    yield from _queues()
    yield ORCHESTRATOR.saturation("worker", 0.35, Reaction("buildup", 0.4, "value"))
    yield ORCHESTRATOR.saturation("llm", 0.3, Reaction("storm", 0.5, "value"), Reaction("backlog", 0.2, "value"))
    yield from ORCHESTRATOR.cache("llm", CALLS_PER_SECOND, 0.2)


def _items(domain: str, share: float) -> Iterator[Metric]:
    discarding = Reaction(f"discarding:{domain}", 0.15)
    accepting = Reaction(f"discarding:{domain}", -0.15)
    moved = {"accepted": (accepting,), "discarded": (discarding,), "published": (accepting,)}
    for segment in SEGMENT_SHARES:
        source = items(domain, segment)
        for status, kept in STATUSES.items():
            at = {"synth.domain": domain, "synth.segment": segment, "synth.status": status}
            more: dict[str, Any] = {"share": kept, "reacts": moved.get(status, ())}
            yield ORCHESTRATOR.counter("synth.content.items", "{item}", "Content items by status", source, at, **more)
    taken = Source(f"made:{domain}", ITEMS_PER_SECOND * share)
    failing = (("success", 0.99, -1.0), ("failure", 0.01, 1.0))
    for outcome, part, sign in failing:
        at = {"synth.domain": domain, "synth.outcome": outcome}
        reacts = (
            Reaction("backlog", 1.2, "value"),
            Reaction("failing", 0.3 * sign),
            Reaction("overflow", 0.2 * sign),
        )
        shape: dict[str, Any] = {"bounds": ITEM_BOUNDS, "centre": 9.0, "spread": 0.69, "share": part, "reacts": reacts}
        text = "Time from request to content item"
        yield ORCHESTRATOR.histogram("synth.content.duration", "s", text, taken, at, **shape)


def _queues() -> Iterator[Metric]:
    depths = {
        "generate": (8.0, (Reaction("backlog", 45.0, "value"),)),
        "validate": (3.0, (Reaction("buildup", 300.0, "value"),)),
        "publish": (1.5, ()),
        "optimise": (0.8, (Reaction("runaway", 12.0, "value"),)),
        "webhooks": (1.0, ()),
    }
    for queue, (depth, reacts) in depths.items():
        at = {"synth.queue": queue}
        more: dict[str, Any] = {"spread": 0.3, "reacts": reacts}
        yield ORCHESTRATOR.number("synth.queue.depth", "{item}", "Items waiting", depth, at, **more)
    for queue, signal, gain in (("generate", "backlog", 5.0), ("validate", "buildup", 40.0), ("publish", "", 0.0)):
        reacts = (Reaction(signal, gain, "value"),) if signal else ()
        shape: dict[str, Any] = {"bounds": WAIT_BOUNDS, "centre": 0.6, "spread": 0.73, "reacts": reacts}
        at = {"synth.queue": queue}
        yield ORCHESTRATOR.histogram("synth.queue.wait", "s", "Time in a queue", ITEMS_PER_SECOND, at, **shape)
