"""Processes that own nothing: code of people runs in bubblewrap and asks for data through a broker.

`sandboxed` wraps a command, `Broker` answers it with what its person may see, `Guard` ends what uses too much.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.sandbox.broker import Broker
    from workbench.sandbox.bubblewrap import available, sandboxed
    from workbench.sandbox.caches import own_caches
    from workbench.sandbox.environment import kernel_environment
    from workbench.sandbox.guard import Group, Guard, Limits, each_kernel
    from workbench.sandbox.kernel import ConfinedKernel

_HOMES = {
    "Broker": "broker",
    "ConfinedKernel": "kernel",
    "Group": "guard",
    "Guard": "guard",
    "Limits": "guard",
    "available": "bubblewrap",
    "each_kernel": "guard",
    "kernel_environment": "environment",
    "own_caches": "caches",
    "sandboxed": "bubblewrap",
}

__all__ = [
    "Broker",
    "ConfinedKernel",
    "Group",
    "Guard",
    "Limits",
    "available",
    "each_kernel",
    "kernel_environment",
    "own_caches",
    "sandboxed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
