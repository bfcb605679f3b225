"""A native histogram as text and as Prometheus' JSON."""

from __future__ import annotations

from typing import Any

from workbench.query.promql.text import format_float, format_general
from workbench.schema import CUSTOM_SCHEMA
from workbench.store import Histograms

_OPEN_LEFT, _OPEN_RIGHT, _OPEN, _CLOSED = range(4)


def as_json(held: Histograms, place: int) -> dict[str, Any]:
    """`count`, `sum` and `buckets` [rule, lower, upper, count] as text; rule 0: (], 1: [), 2: (), 3: []."""
    found: dict[str, Any] = {"count": format_float(held.counts[place]), "sum": format_float(held.sums[place])}
    threshold = float(held.zero_thresholds[place])
    clips = held.schemas[place] != CUSTOM_SCHEMA
    buckets = []
    for rule, low, high, count in buckets_of(held, place):
        # Where a bucket overlaps with the zero bucket, that has what both cover.
        left = threshold if clips and 0 < low < threshold else low
        right = -threshold if clips and -threshold < high < 0 else high
        buckets.append([rule, *map(format_float, (left, right, count))])
    return {**found, "buckets": buckets} if buckets else found


def as_text(held: Histograms, place: int) -> str:
    """As Prometheus prints one: `{count:4, sum:5, (0.5,1]:1, (1,2]:2}`."""
    parts = [f"count:{format_general(held.counts[place])}", f"sum:{format_general(held.sums[place])}"]
    for rule, low, high, count in buckets_of(held, place):
        left = "[" if rule in (_OPEN_RIGHT, _CLOSED) else "("
        right = "]" if rule in (_OPEN_LEFT, _CLOSED) else ")"
        edges = f"{left}{format_general(low)},{format_general(high)}{right}"
        parts.append(f"{edges}:{format_general(count)}")
    return "{" + ", ".join(parts) + "}"


def buckets_of(held: Histograms, place: int) -> list[tuple[int, float, float, float]]:
    """(rule, lower, upper, observations) of the populated buckets, ascending."""
    from workbench.query.histograms.bounds import edges, first_positive

    part = slice(held.bucket_offsets[place], held.bucket_offsets[place + 1])
    keys, counts = held.keys[part], held.buckets[part]
    schema = int(held.schemas[place])
    bounds = held.bounds[held.bound_offsets[place] : held.bound_offsets[place + 1]]
    found = []
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        low, high = edges(key, schema, bounds)
        if schema == CUSTOM_SCHEMA:
            rule = _CLOSED if low == float("-inf") else _OPEN_LEFT
        else:
            rule = _OPEN_LEFT if key > 0 else _OPEN_RIGHT
        found.append((rule, float(low), float(high), count))
    if held.zero_counts[place] > 0:
        threshold = float(held.zero_thresholds[place])
        found.insert(int(first_positive(keys)), (_CLOSED, -threshold, threshold, float(held.zero_counts[place])))
    return [one for one in found if one[3] != 0]
