"""What the simulated platform measures: its components' main metrics with the magnitudes of a small company.

Three requests a second at the gateway, 10,000 content items and 55,000 LLM calls on a weekday, 620 daily users.
"""

from __future__ import annotations

from functools import cache
from itertools import chain

from workbench.simulate.catalogue import business, content, gateway, learning, quality
from workbench.simulate.catalogue.component import processes
from workbench.simulate.metric import Metric

__all__ = ["metrics"]


@cache
def metrics() -> tuple[Metric, ...]:
    """All metrics of the platform, by component and name, always in the same order."""
    found = chain(
        gateway.metrics(), business.metrics(), content.metrics(), learning.metrics(), quality.metrics(), processes()
    )
    return tuple(sorted(found, key=lambda metric: (metric.service, metric.name)))
