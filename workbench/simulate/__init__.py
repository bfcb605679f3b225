"""A simulated STREAM platform: seeded, with known incidents; what `workbench up` shows before your own data is there.

`python -m workbench.simulate` sends it through the same door as any client, and puts its history behind it. Everything
it sends carries `deployment.environment.name="simulated"`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.simulate.by_hand import start, started
    from workbench.simulate.faults.kinds import KINDS
    from workbench.simulate.faults.schedule import Incident, incidents
    from workbench.simulate.platform import Platform

# numpy takes its time; who only looks at the package does not wait for it.
_HOMES = {
    "KINDS": "faults.kinds",
    "Incident": "faults.schedule",
    "Platform": "platform",
    "incidents": "faults.schedule",
    "start": "by_hand",
    "started": "by_hand",
}

__all__ = ["KINDS", "Incident", "Platform", "incidents", "start", "started"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
