"""What the simulated platform measures: all metrics of its components with the magnitudes of a small company.

Three requests a second at the gateway, 10,000 content items and 55,000 LLM calls on a weekday, 620 daily users.
"""

from __future__ import annotations

from functools import cache
from itertools import chain

from workbench.simulate.catalogue import business, content, edges, gateway, host, learning, models, quality
from workbench.simulate.catalogue.component import processes
from workbench.simulate.metric import Metric

__all__ = ["metrics"]


@cache
def metrics() -> tuple[Metric, ...]:
    """All metrics of the platform, by instance and name, always in the same order."""
    rooms = (gateway, edges, business, content, models, learning, quality, host)
    found = chain(*(room.metrics() for room in rooms), processes())
    return tuple(sorted(found, key=lambda metric: (metric.service, metric.instance, metric.name)))
