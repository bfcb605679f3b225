"""The front door for people, the doors for machines, and the processes of `workbench up`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.serve.access import rows
    from workbench.serve.identity import audit, people, users
    from workbench.serve.pages import job_times
    from workbench.serve.quality import declarations, looking
    from workbench.serve.running import home, ports

_FACE = {
    "audit": "identity",
    "declarations": "quality",
    "home": "running",
    "job_times": "pages",
    "looking": "quality",
    "people": "identity",
    "ports": "running",
    "rows": "access",
    "users": "identity",
}
"""What the command line uses, and the folder that it lies in; loaded when it is asked for."""

__all__ = ["audit", "declarations", "home", "job_times", "looking", "people", "ports", "rows", "users"]


def __getattr__(name: str) -> Any:
    if name in _FACE:
        return import_module(f"workbench.serve.{_FACE[name]}.{name}")
    raise AttributeError(name)
