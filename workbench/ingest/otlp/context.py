"""What the points of a metric share."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.ingest.otlp.values import Pairs
from workbench.ingest.points import Member
from workbench.store import Identity


@dataclass(frozen=True)
class MetricContext:
    """A metric of a resource: all of a series' identity but the attributes of its points."""

    kind: int
    name: str
    type: str
    unit: str
    temporality: str
    resource: Pairs
    description: str
    scope: str

    def member(self, attributes: Pairs, part: str = "", bound: float | None = None) -> Member:
        """The series with those attributes."""
        identity = Identity(
            "otel", self.name, self.type, self.unit, self.temporality, self.resource, attributes, part, bound
        )
        return Member(identity, self.description, self.scope)
