"""The keeper: compaction, index, roll-ups, retention and looks at data quality beside the hub, never in its way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from workbench import log
from workbench.alert import cap_step, channel_id, commit_changes, load_alerts
from workbench.errors import WorkbenchError
from workbench.serve.process import child_main
from workbench.serve.quality.looking import look_and_keep
from workbench.store import Lake, apply_retention, build_index, compact, state, update_rollups

RETAIN_EVERY_SECONDS = 3600
# After a large import, compaction must not wait for the whole of its index.
BUILD_SECONDS = 30
NICE = 10

logger = log.get(__name__)


def main() -> None:
    """Run until SIGTERM."""
    settings = child_main("keeper").settings
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    os.nice(NICE)
    engine = state.engine(settings)
    lake = Lake(settings)
    channels = [channel_id(url) for url in settings.alert.notify]
    alert = next(iter(load_alerts(engine, owner="watch/cap")), None)
    retain_at, look_at = 0.0, 0.0
    while not stop.wait(settings.lake.compact_every_seconds):
        now_us = time.time_ns() // 1000
        try:
            lake.refresh()
            if not lake.lake_version:
                continue
            compact(lake, now_us)
            build_index(lake, now_us, stop=_after(BUILD_SECONDS, stop))
            update_rollups(lake, now_us)
            if settings.quality.every_seconds and time.monotonic() >= look_at:
                look_at = time.monotonic() + settings.quality.every_seconds
                for fault in look_and_keep(settings, engine, now_us):
                    logger.warning("file of checks left out", fault=fault)
            if time.monotonic() >= retain_at:
                retain_at = time.monotonic() + RETAIN_EVERY_SECONDS
                # A look first: who is to be warned is warned before anything is shortened.
                plan = apply_retention(lake, settings, now_us, engine=engine, dry_run=True)
                alert, changes = cap_step(alert, plan.used_bytes, plan.cap_bytes, now_us)
                commit_changes(engine, changes, channels)
                logger.info("retention applied", done=str(apply_retention(lake, settings, now_us, engine=engine)))
        except (WorkbenchError, OSError) as error:
            # The next round tries again; nothing that the hub took is at stake.
            logger.warning("maintenance failed", error=str(error))


def _after(seconds: float, stop: threading.Event) -> Callable[[], bool]:
    """Whether so much time has passed since now, or the process is to end."""
    until = time.monotonic() + seconds
    return lambda: stop.is_set() or time.monotonic() > until


if __name__ == "__main__":
    main()
