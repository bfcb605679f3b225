"""A simulated STREAM platform: seeded, with known incidents; what `workbench up` shows before your own data is there.

`python -m workbench.simulate` sends it through the same door as any client, and puts its history behind it. Everything
it sends carries `deployment.environment.name="simulated"`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.simulate.platform import Platform
    from workbench.simulate.schedule import Incident, incidents

# numpy takes its time; who only looks at the package does not wait for it.
_HOMES = {"Incident": "schedule", "Platform": "platform", "incidents": "schedule"}

__all__ = ["Incident", "Platform", "incidents"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
