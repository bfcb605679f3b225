"""The agent process: `python -m workbench.collect` measures this host until it is stopped or its parent is gone."""

from __future__ import annotations

import os
import signal
import threading

from workbench import config, log
from workbench.collect.collector import MetricsCollector
from workbench.collect.delivery import Delivery, HttpDoor, ingest_address
from workbench.collect.process import ProcessMetricsCollector
from workbench.collect.system import SystemMetricsCollector


def main() -> int:
    """Run until SIGTERM or SIGINT. Settings come from the home that `WORKBENCH_HOME` names."""
    settings = config.load()
    log.configure("agent", level=settings.log.level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    delivery = Delivery(HttpDoor(lambda: ingest_address(settings)))
    collector = MetricsCollector([SystemMetricsCollector(), ProcessMetricsCollector(settings.up_file)], delivery)
    log.get(__name__).info("agent_started", parent=parent)
    # A supervisor that crashed leaves its children to another parent: then nobody wants these figures.
    collector.run(stop, alive=lambda: os.getppid() == parent)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
