"""Which metrics an incident moves: those that react to its signals, the first movers first."""

from __future__ import annotations

from functools import lru_cache

from workbench.simulate.catalogue import metrics
from workbench.simulate.columns import SURGE
from workbench.simulate.faults.schedule import Incident
from workbench.simulate.metric import Metric


def affected(incident: Incident) -> list[str]:
    """Names of the metrics that an incident moves, in the order of its effects; empty where only rows tell of it."""
    found: dict[str, None] = {}
    for signal, *_ in sorted(incident.effects(), key=lambda effect: effect[2]):
        found |= dict.fromkeys(_reacting(signal))
    return list(found)


@lru_cache(256)
def _reacting(signal: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(metric.name for metric in metrics() if _reacts(metric, signal)))


def _reacts(metric: Metric, signal: str) -> bool:
    reactions = (*metric.reacts, *(metric.source.reacts if metric.source else ()))
    if any(one.signal == signal for one in reactions) or signal == f"price:{metric.priced}":
        return True
    drive, elasticity = (metric.source or metric).drive, (metric.source or metric).elasticity
    return signal == SURGE and drive == "traffic" and elasticity != 0
