"""The agent process: `python -m workbench.collect` measures this host until it is stopped or its parent is gone."""

from __future__ import annotations

from workbench import config, log
from workbench.collect.collector import MetricsCollector
from workbench.collect.delivery import Delivery, HttpDoor, ingest_address
from workbench.collect.lifeline import Lifeline
from workbench.collect.process import ProcessMetricsCollector
from workbench.collect.system import SystemMetricsCollector


def main() -> int:
    """Run until it is time to go. Settings come from the home that `WORKBENCH_HOME` names."""
    lifeline = Lifeline()
    settings = config.load()
    log.configure("agent", level=settings.log.level)
    delivery = Delivery(HttpDoor(lambda: ingest_address(settings)))
    MetricsCollector([SystemMetricsCollector(), ProcessMetricsCollector(settings.up_file)], delivery).run(lifeline.wait)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
