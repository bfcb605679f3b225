"""Native histograms as scripts write them: `{{schema:1 sum:3 count:22 buckets:[5 10 7]}}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.store.histograms import KEY_BIAS, Histograms

CUSTOM_SCHEMA = -53
HINTS = ("unknown", "reset", "not_reset", "gauge")

_ITEM = re.compile(r"(\w+):(\[[^\]]*\]|[^\s\]]+)")


@dataclass(frozen=True)
class Histogram:
    """Counts by bucket index; bucket i of schema s ends at 2^(i / 2^s), of the custom schema at custom_values[i]."""

    schema: int = 0
    count: float = 0.0
    sum: float = 0.0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: Mapping[int, float] = field(default_factory=dict)
    negative: Mapping[int, float] = field(default_factory=dict)
    custom_values: tuple[float, ...] = ()
    hint: str = ""
    """One of HINTS; empty where the script says nothing."""

    def plus(self, other: Histogram, sign: float = 1.0) -> Histogram:
        """The sum of two (or, by the sign, the difference), at the coarser of the schemas."""
        schema = min(self.schema, other.schema)
        left, right = self.coarser(schema), other.coarser(schema)
        return replace(
            left,
            count=left.count + sign * right.count,
            sum=left.sum + sign * right.sum,
            zero_count=left.zero_count + sign * right.zero_count,
            positive=_added(left.positive, right.positive, sign),
            negative=_added(left.negative, right.negative, sign),
        )

    def coarser(self, schema: int) -> Histogram:
        """The same with the buckets of a lower schema."""
        steps = self.schema - schema
        if steps == 0:
            return self
        return replace(
            self, schema=schema, positive=_merged(self.positive, steps), negative=_merged(self.negative, steps)
        )

    def stored(self) -> dict[str, Any]:
        """As a value of `schema.NATIVE_HISTOGRAM`."""
        positive, negative = (
            {index: count for index, count in sorted(side.items()) if count} for side in (self.positive, self.negative)
        )
        return {
            "schema": self.schema,
            "reset_hint": HINTS.index(self.hint or "unknown"),
            "count": self.count,
            "sum": self.sum,
            "zero_threshold": self.zero_threshold,
            "zero_count": self.zero_count,
            "positive_indexes": list(positive),
            "positive_counts": list(positive.values()),
            "negative_indexes": list(negative),
            "negative_counts": list(negative.values()),
            "custom_bounds": list(self.custom_values),
        }

    def close_to(self, expected: Histogram, same: Callable[[float, float], bool]) -> bool:
        """Whether it is what a script expects, which may leave the hint open."""
        mine, theirs = self.stored(), expected.stored()
        if not expected.hint:
            theirs["reset_hint"] = mine["reset_hint"]
        for name, wanted in theirs.items():
            found = mine[name]
            if name.endswith("_counts"):
                if len(found) != len(wanted) or not all(map(same, found, wanted)):
                    return False
            elif name in ("count", "sum", "zero_count"):
                if not same(float(found), float(wanted)):
                    return False
            elif found != wanted:
                return False
        return True


def histogram_of(held: Histograms, place: int) -> Histogram:
    """One of the histograms of a result."""
    part = slice(held.bucket_offsets[place], held.bucket_offsets[place + 1])
    buckets = dict(zip(held.keys[part].tolist(), held.buckets[part].tolist(), strict=True))
    return Histogram(
        schema=int(held.schemas[place]),
        count=float(held.counts[place]),
        sum=float(held.sums[place]),
        zero_threshold=float(held.zero_thresholds[place]),
        zero_count=float(held.zero_counts[place]),
        positive={key - KEY_BIAS: count for key, count in buckets.items() if key > 0},
        negative={-key - KEY_BIAS: count for key, count in reversed(buckets.items()) if key < 0},
        custom_values=tuple(held.bounds[held.bound_offsets[place] : held.bound_offsets[place + 1]].tolist()),
        hint=HINTS[held.hints[place]],
    )


def parse_histogram(text: str) -> Histogram:
    """Read what stands between the double braces. Raises ValueError."""
    items = dict(_ITEM.findall(text))
    rest = _ITEM.sub("", text).strip()
    if rest:
        raise ValueError(f"not a histogram: {{{{{text}}}}}")
    hint = items.get("counter_reset_hint", "")
    if hint and hint not in HINTS:
        raise ValueError(f"not a counter reset hint: {hint}")
    return Histogram(
        schema=int(items.get("schema", 0)),
        count=float(items.get("count", 0)),
        sum=float(items.get("sum", 0)),
        zero_threshold=float(items.get("z_bucket_w", 0)),
        zero_count=float(items.get("z_bucket", 0)),
        positive=_indexed(items.get("buckets", ""), int(items.get("offset", 0))),
        negative=_indexed(items.get("n_buckets", ""), int(items.get("n_offset", 0))),
        custom_values=tuple(_numbers(items.get("custom_values", ""))),
        hint=hint,
    )


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.strip("[]").split()]


def _indexed(text: str, offset: int) -> dict[int, float]:
    return {offset + place: count for place, count in enumerate(_numbers(text))}


def _added(left: Mapping[int, float], right: Mapping[int, float], sign: float) -> dict[int, float]:
    return {index: left.get(index, 0.0) + sign * right.get(index, 0.0) for index in sorted({*left, *right})}


def _merged(counts: Mapping[int, float], steps: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for index, count in counts.items():
        coarse = ((index - 1) >> steps) + 1
        found[coarse] = found.get(coarse, 0.0) + count
    return found
