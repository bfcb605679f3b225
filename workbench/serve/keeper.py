"""The keeper: compaction and retention beside the hub, never in its way."""

from __future__ import annotations

import os
import signal
import threading
import time

from workbench import log
from workbench.errors import WorkbenchError
from workbench.serve.process import child_main
from workbench.store import apply_retention, compact, open_lake

COMPACT_EVERY_SECONDS = 60
RETAIN_EVERY_SECONDS = 3600
NICE = 10

logger = log.get(__name__)


def main() -> None:
    """Run until SIGTERM."""
    child = child_main("keeper")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    os.nice(NICE)
    retained = 0.0
    while not stop.wait(COMPACT_EVERY_SECONDS):
        now_us = time.time_ns() // 1000
        try:
            lake = open_lake(child.settings)
            done = compact(lake, now_us)
            if done:
                logger.info("compacted", what=done)
            if time.monotonic() - retained > RETAIN_EVERY_SECONDS:
                report = apply_retention(lake, child.settings, now_us)
                retained = time.monotonic()
                logger.info("retention applied", report=str(report))
        except (WorkbenchError, OSError) as error:
            # The next round tries again; nothing that the hub took is at stake.
            logger.warning("maintenance failed", error=str(error))


if __name__ == "__main__":
    main()
