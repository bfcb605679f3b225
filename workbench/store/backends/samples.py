"""Selectors as text, and samples cut into requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from workbench.store.backends.protocols import LabelledSamples, LabelMatcher

EVERY = '{__name__=~".+"}'


def selector(matchers: Sequence[LabelMatcher]) -> str:
    """Matchers in PromQL's syntax; of none the selector of all series that have a name."""
    if not matchers:
        return EVERY
    # JSON's escapes are among those of PromQL's strings; a name that is no identifier stands in quotes.
    parts = [f"{_label(label)}{operator}{json.dumps(value, ensure_ascii=False)}" for label, operator, value in matchers]
    return "{" + ",".join(parts) + "}"


def _label(name: str) -> str:
    return name if name.isascii() and name.replace(":", "_").isidentifier() else json.dumps(name, ensure_ascii=False)


def by_size(samples: LabelledSamples, limit: int) -> Iterator[LabelledSamples]:
    """The same samples in parts of at most `limit`; a series that is longer is cut, its earlier times first."""
    bounds = np.unique(np.concatenate((samples.offsets, np.arange(0, len(samples.times_us), limit))))
    start = 0
    while start < len(samples.times_us):
        # The last bound within reach; between two bounds lie `limit` samples at most.
        end = int(bounds[np.searchsorted(bounds, start + limit, side="right") - 1])
        yield _between(samples, start, end)
        start = end


def _between(samples: LabelledSamples, start: int, end: int) -> LabelledSamples:
    first = int(np.searchsorted(samples.offsets, start, side="right")) - 1
    last = int(np.searchsorted(samples.offsets, end, side="left"))
    offsets = np.clip(samples.offsets[first : last + 1], start, end) - start
    return LabelledSamples(samples.labels[first:last], offsets, samples.times_us[start:end], samples.values[start:end])
