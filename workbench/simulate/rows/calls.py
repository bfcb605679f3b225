"""LLM calls as rows of `usage`: as many as the metrics count, each with its tokens, its duration and what it cost."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.schema import KINDS
from workbench.simulate.catalogue import models
from workbench.simulate.catalogue.company import DOMAINS, INPUT_TOKENS, MODELS, OUTPUT_TOKENS, Model
from workbench.simulate.catalogue.content import SEGMENT_SHARES
from workbench.simulate.grid import CALLS
from workbench.simulate.metric import Metric
from workbench.simulate.prices import PRICES
from workbench.simulate.rows.counts import Cell
from workbench.simulate.rows.events import ids
from workbench.simulate.rows.items import finished, item_id, month_of, trace_id

NORMAL = NormalDist()


def add_calls(cell: Cell, rows: list[dict[str, Any]]) -> None:
    """The calls of a cell to all models."""
    random = cell.random(CALLS)
    made = {
        domain: [
            item_id(domain, segment, month_of(cell.start_us), number)
            for segment in SEGMENT_SHARES
            for number in range(*(end + 1 for end in finished(cell, domain, segment)))
        ]
        for domain in DOMAINS
    }
    for model in MODELS:
        _of_model(cell, random, model, made, rows)


def usage_table(rows: list[dict[str, Any]]) -> pa.Table:
    """As a table of `usage`, in order of time."""
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["time"]), schema=KINDS["usage"].schema)


def _at(model: Model, **more: str) -> dict[str, str]:
    return {**{key.replace(".", "__"): value for key, value in models.attributes(model).items()}, **more}


def _of_model(
    cell: Cell, random: np.random.Generator, model: Model, made: dict[str, list[str]], rows: list[dict[str, Any]]
) -> None:
    name = "gen_ai.client.operation.duration"
    took, errors = [_drawn(cell, random, name, _at(model), model.median_seconds, 0.73)], [""]
    for error in models.ERRORS:
        took.append(_drawn(cell, random, name, _at(model, error__type=error), model.median_seconds, 0.73))
        errors.append(error)
    good = len(took[0])
    tokens = [
        _fitting(_drawn(cell, random, "gen_ai.client.token.usage", _at(model, gen_ai__token__type=kind), *shape), good)
        for kind, shape in (("input", INPUT_TOKENS), ("output", OUTPUT_TOKENS))
    ]
    count = sum(map(len, took))
    if not count:
        return
    failed = np.repeat(errors, [len(one) for one in took])
    sent, received = (np.concatenate([np.rint(one), np.zeros(count - good)]).astype(np.int64) for one in tokens)
    times_us = random.permutation(cell.times(random, count))
    retried = cell.number("synth.llm.attempts", **_at(model, synth__reason="retry"))
    attempts = 1 + (random.permutation(count) < min(retried, count))
    roles, domains = _who(cell, random, model, count)
    prices = _price(cell, model, times_us)
    cost = (sent * prices[0] + received * prices[1]).round(9)
    seconds = np.concatenate(took).round(4)
    names = ids(times_us, random)
    for row in range(count):
        items = made[domains[row]]
        item = items[int(random.integers(len(items)))] if items else ""
        extra = [
            ("attempt", str(attempts[row])),
            ("content", item),
            ("deployment.environment.name", "simulated"),
            ("price_map", "2026-09"),
            ("trace_id", trace_id(item) if item else ""),
        ]
        rows.append(
            {
                "time": int(times_us[row]),
                "service_name": "orchestrator",
                "role": roles[row],
                "provider": model.provider,
                "request_model": model.name,
                "response_model": model.name,
                "operation": "chat",
                "domain": domains[row],
                "input_tokens": int(sent[row]),
                "output_tokens": int(received[row]),
                "latency_seconds": float(seconds[row]),
                "error_type": str(failed[row]),
                "cost_usd": float(cost[row]),
                "attributes": extra,
                "hash": f"sim-{names[row]}",
            }
        )


def _price(cell: Cell, model: Model, times_us: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """US dollars for a token sent and received, at each time."""
    price = PRICES[model.name]
    risen = cell.platform.schedule.strengths(times_us).get(f"price:{model.name}", np.zeros(len(times_us)))
    return price.per_token("input") * (1 + price.rise * risen), price.per_token("output") * (1 + price.rise * risen)


def _who(cell: Cell, random: np.random.Generator, model: Model, count: int) -> tuple[list[str], list[str]]:
    """Role and domain of each call, as the counters of cost divide them."""
    keys = [(role, domain) for role, _ in model.roles for domain in DOMAINS]
    spent = np.array(
        [cell.number("synth.llm.cost", **_at(model, synth__domain=d, synth__role=r)) for r, d in keys], float
    )
    spent = spent if spent.sum() else np.array([dict(model.roles)[r] * DOMAINS[d] for r, d in keys])
    chosen = random.choice(len(keys), count, p=spent / spent.sum()).tolist()
    return [keys[row][0] for row in chosen], [keys[row][1] for row in chosen]


def _drawn(
    cell: Cell, random: np.random.Generator, name: str, at: dict[str, str], median: float, spread: float
) -> np.ndarray:
    """A value for each event in each bucket of a log-normal histogram: distributed as within the bucket, shuffled."""
    metric, counts = cell.metric(name, **at), cell.buckets(name, **at)
    edges = _edges(metric, median, spread)
    lower, upper = np.repeat(edges[:-1], counts), np.repeat(edges[1:], counts)
    places = lower + (upper - lower) * random.random(len(lower))
    # What lies past the last bound only in an incident stays within what a double can tell from 1.
    found = [median * np.exp(spread * NORMAL.inv_cdf(min(max(place, 1e-12), 1 - 1e-12))) for place in places.tolist()]
    return random.permutation(np.array(found))


def _edges(metric: Metric, median: float, spread: float) -> np.ndarray:
    """Share of a log-normal below each bound, 0 and 1 at the ends."""
    return np.array([0.0, *(NORMAL.cdf(float(np.log(bound / median)) / spread) for bound in metric.bounds), 1.0])


def _fitting(values: np.ndarray, count: int) -> np.ndarray:
    """As many values as there are calls: the buckets of two histograms are rounded each on its own."""
    return np.resize(values, count) if len(values) else np.zeros(count)
