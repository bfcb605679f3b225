"""Content items, from request to rating: one event each for what the counters of content and audits count.

Items of a domain and a segment are numbered through a month: an item is requested where the counter of requests passes
its number, and finished where accepted and discarded together pass it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.simulate.catalogue.company import DOMAINS
from workbench.simulate.catalogue.content import SEGMENT_SHARES
from workbench.simulate.catalogue.quality import VERDICTS
from workbench.simulate.grid import CELLS, ITEMS
from workbench.simulate.metric import VERSION
from workbench.simulate.rows.counts import Cell
from workbench.simulate.rows.events import Events
from workbench.simulate.shapes import DAY_US, SECOND_US

ITEMS_NAME = "synth.content.items"
REASONS = ("too_easy", "solved_by_target", "checker", "topic")
CHANCES = (0.4, 0.25, 0.25, 0.1)
REPORTED = 0.0005
"""Share of published items that somebody complains about; four times as many while a validator was lenient."""
LOOK_BACK = 150


def add_items(cell: Cell, events: Events) -> None:
    """Everything that happens to items in a cell: made, judged, published, rated, audited, reported."""
    random = cell.random(ITEMS)
    worse = cell.platform.schedule.strengths(np.array([cell.start_us + 1]))
    for domain in DOMAINS:
        regressed = f"regression:{domain}" in worse
        for segment in SEGMENT_SHARES:
            _made(cell, events, random, domain, segment, regressed)
        _rated(cell, events, random, domain)
        _audited(cell, events, random, domain)
        if random.random() < REPORTED * 20 * (4 if "complaints" in worse else 1) * DOMAINS[domain]:
            item = _earlier(cell, random, domain)
            data = {"content": item, "reason": "wrong"}
            _say(events, "reported", int(cell.times(random, 1)[0]), item, data, domain)


def item_id(domain: str, segment: str, month: int, number: int) -> str:
    """The id of an item, by its number in the month."""
    return _item_id(domain, segment, month, number)


@lru_cache(4096)
def _item_id(domain: str, segment: str, month: int, number: int) -> str:
    return "c-" + hashlib.blake2s(f"{domain}/{segment}/{month}/{number}".encode(), digest_size=8).hexdigest()


def traceparent(item: str, time_us: int) -> str:
    """The trace that an item was made in (W3C trace context); its calls have the same."""
    return f"00-{trace_id(item)}-{time_us & (2**64 - 1):016x}-01"


def trace_id(item: str) -> str:
    """32 hexadecimal digits, by the item."""
    return hashlib.blake2s(item.encode(), digest_size=16).hexdigest()


def month_of(time_us: int) -> int:
    """Number of the month since 1970."""
    return int(np.datetime64(time_us, "us").astype("datetime64[M]").astype(np.int64))


def finished(cell: Cell, domain: str, segment: str) -> tuple[int, int]:
    """Numbers (first excluded, last included) of the items that are finished in a cell."""
    at = {"synth__domain": domain, "synth__segment": segment}
    accepted, discarded = (cell.total(ITEMS_NAME, **at, synth__status=one) for one in ("accepted", "discarded"))
    return accepted[0] + discarded[0], accepted[1] + discarded[1]


def _made(cell: Cell, events: Events, random: np.random.Generator, domain: str, segment: str, regressed: bool) -> None:
    at = {"synth__domain": domain, "synth__segment": segment}
    first, last = cell.total(ITEMS_NAME, **at, synth__status="requested")
    requested_us = cell.times(random, last - first)
    done_first, done_last = finished(cell, domain, segment)
    published = cell.number(ITEMS_NAME, **at, synth__status="published")
    accepted = cell.number(ITEMS_NAME, **at, synth__status="accepted")
    month, extensions = month_of(cell.start_us), (("domain", domain), ("segment", segment))
    for number, time_us in enumerate(requested_us.tolist(), first + 1):
        item = item_id(domain, segment, month, number)
        data = {"content": item, "batch": _batch(time_us), "attempt": 1}
        trace = ("traceparent", traceparent(item, time_us))
        events.add("content.requested", "orchestrator", time_us, item, data, *extensions, trace)
    count = done_last - done_first
    kept = random.permutation(count) < accepted
    open_to = np.cumsum(kept) * kept  # 1.. for the accepted, in order
    latency_us = (9 * np.exp(0.69 * random.standard_normal(count)) * SECOND_US).astype(np.int64)
    scores = np.clip(0.86 - 0.08 * regressed + 0.05 * random.standard_normal((count, 5)), 0.3, 1.0).round(3)
    reasons = random.choice(len(REASONS), count, p=CHANCES)
    spent = (0.008 * np.exp(0.5 * random.standard_normal(count))).round(5)
    for place in range(count):
        number = done_first + place + 1
        began_us = int(requested_us[number - first - 1]) if first < number <= last else cell.start_us
        item, lasted_us = item_id(domain, segment, month, number), int(latency_us[place])
        done_us = min(began_us + lasted_us, cell.end_us - 4000)
        facts = {
            "verdict": bool(kept[place]),
            "reason": REASONS[reasons[place]],
            "published": bool(kept[place]) and open_to[place] <= published,
            "scores": dict(
                zip(("fidelity", "utility", "safety", "pedagogical", "overall"), scores[place].tolist(), strict=True)
            ),
            "cost_usd": float(spent[place]),
            "latency_s": round(lasted_us / SECOND_US, 3),
        }
        _finish(events, item, done_us, domain, extensions, facts)


def _finish(
    events: Events, item: str, done_us: int, domain: str, extensions: tuple[tuple[str, str], ...], facts: dict[str, Any]
) -> None:
    pairs = (*extensions, ("traceparent", traceparent(item, done_us)))
    made = {"content": item, "attempt": 1, "model": "gpt-4.1-mini", "prompt_version": VERSION}
    made |= {"cost_usd": facts["cost_usd"], "latency_s": facts["latency_s"]}
    events.add("content.generated", "orchestrator", done_us, item, made, *pairs)
    judged: dict[str, Any] = {"content": item, "scores": facts["scores"]}
    verdict = "pass" if facts["verdict"] else "fail"
    events.add("content.validated", "domain_validator", done_us + 1000, item, {**judged, "verdict": verdict}, *pairs)
    if facts["verdict"]:
        events.add("content.accepted", "quality_assurance", done_us + 2000, item, judged, *pairs)
    else:
        judged["rejection_reason"] = facts["reason"]
        events.add("content.discarded", "quality_assurance", done_us + 2000, item, judged, *pairs)
    if facts["published"]:
        events.add("content.published", "api_gateway", done_us + 3000, item, {"content": item}, *pairs)


def _rated(cell: Cell, events: Events, random: np.random.Generator, domain: str) -> None:
    counts = cell.buckets("synth.content.rating", synth__domain=domain)
    stars = np.repeat(np.arange(1, len(counts) + 1), counts)
    for star, time_us in zip(random.permutation(stars).tolist(), cell.times(random, len(stars)).tolist(), strict=True):
        item = _earlier(cell, random, domain)
        _say(events, "rated", time_us, item, {"content": item, "stars": star}, domain)


def _audited(cell: Cell, events: Events, random: np.random.Generator, domain: str) -> None:
    for verdict, truth in VERDICTS:
        at = {"synth__domain": domain, "synth__truth": truth, "synth__verdict": verdict}
        for time_us in cell.times(random, cell.number("synth.quality.verdicts", **at)).tolist():
            item = _earlier(cell, random, domain)
            _say(events, "audited", time_us, item, {"content": item, "verdict": verdict, "truth": truth}, domain)


def _say(events: Events, name: str, time_us: int, item: str, data: dict[str, Any], domain: str) -> None:
    events.add(f"content.{name}", "quality_assurance", time_us, item, data, ("domain", domain))


def _earlier(cell: Cell, random: np.random.Generator, domain: str) -> str:
    """An item of the domain that was finished about a day before (or, early in a month, since its first)."""
    place = cell.place - CELLS
    if month_of(place * DAY_US // CELLS) != month_of(cell.start_us):
        place = cell.place
    segment = list(SEGMENT_SHARES)[int(random.random() < SEGMENT_SHARES["school"])]
    last, _ = finished(Cell(cell.platform, place), domain, segment)
    number = max(1, last - int(random.integers(LOOK_BACK)))
    return item_id(domain, segment, month_of(cell.start_us), number)


def _batch(time_us: int) -> str:
    return f"b-{time_us // (3600 * SECOND_US):x}"
