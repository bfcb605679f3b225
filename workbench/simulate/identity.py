"""The identities of the platform's series, exactly as the OTLP door makes them of a request.

So the history, which goes past the door, and the live data, which comes through it, are one series each.
"""

from __future__ import annotations

from workbench import __version__
from workbench.simulate.metric import Series, resource
from workbench.simulate.otlp import SCOPE
from workbench.store import Identity


def registration(series: Series) -> tuple[Identity, str, str]:
    """What `register` takes: identity, description, scope."""
    metric = series.metric
    temporality = "" if metric.type == "gauge" else "cumulative"
    identity = Identity(
        convention="otel",
        name=metric.name,
        type=metric.type,
        unit=metric.unit,
        temporality=temporality,
        resource=resource(metric),
        attributes=metric.attributes,
        part=series.part,
        bound=series.bound,
    )
    return identity, metric.description, f"{SCOPE}@{__version__}"
