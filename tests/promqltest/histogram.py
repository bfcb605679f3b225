"""Native histograms as scripts write them: `{{schema:1 sum:3 count:22 buckets:[5 10 7]}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
