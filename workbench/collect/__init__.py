"""Measure this host and the workbench's own processes, and send it as OTLP.

The agent is `python -m workbench.collect`. Importing this package loads neither psutil nor protobuf: names are
resolved when they are first used, so that a monitored program pays only for what it runs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.collect.collector import MetricsCollector
    from workbench.collect.delivery import Answer, Delivery, HttpDoor, ingest_address
    from workbench.collect.instruments import Collector, Instrument, Observation
    from workbench.collect.lifeline import Lifeline
    from workbench.collect.otlp import encode
    from workbench.collect.process import ProcessMetricsCollector
    from workbench.collect.system import SystemMetricsCollector

_HOMES = {
    "Answer": "delivery",
    "Collector": "instruments",
    "Delivery": "delivery",
    "HttpDoor": "delivery",
    "Instrument": "instruments",
    "Lifeline": "lifeline",
    "MetricsCollector": "collector",
    "Observation": "instruments",
    "ProcessMetricsCollector": "process",
    "SystemMetricsCollector": "system",
    "encode": "otlp",
    "ingest_address": "delivery",
}

__all__ = [
    "Answer",
    "Collector",
    "Delivery",
    "HttpDoor",
    "Instrument",
    "Lifeline",
    "MetricsCollector",
    "Observation",
    "ProcessMetricsCollector",
    "SystemMetricsCollector",
    "encode",
    "ingest_address",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
