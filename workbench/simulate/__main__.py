"""The demo process: `python -m workbench.simulate` sends the platform live and loads its history beside that."""

from __future__ import annotations

import threading
import time

from workbench import config, log
from workbench.collect import Delivery, HttpDoor, Lifeline, ingest_address
from workbench.simulate.by_hand import started
from workbench.simulate.grid import STEP_US
from workbench.simulate.live import LiveRows
from workbench.simulate.otlp import Payload
from workbench.simulate.platform import Platform
from workbench.simulate.progress import Progress
from workbench.simulate.shapes import SECOND_US


def main() -> int:
    """Run until it is time to go. Settings come from the home that `WORKBENCH_HOME` names."""
    lifeline = Lifeline()
    settings = config.load()
    log.configure("demo", level=settings.log.level)
    progress = Progress(settings, time.time_ns() // 1000)
    if progress.memory.plans:
        threading.Thread(target=load_past, args=(settings, progress, lifeline), name="history", daemon=True).start()
    send_live(settings, progress, lifeline)
    return 0


def load_past(settings: config.Settings, progress: Progress, lifeline: Lifeline) -> None:
    """Load the history on a platform of its own. What that needs is imported only where there is something to load."""
    from workbench.simulate.loader import hub_writer, load_history

    platform = Platform(settings.demo.seed, started(settings))
    load_history(platform, progress, lambda: hub_writer(settings), lifeline.wait, detail_days=settings.demo.detail_days)


def send_live(settings: config.Settings, progress: Progress, lifeline: Lifeline) -> None:
    """Send every step of the grid as it comes, starting with the last one that has passed."""
    delivery = Delivery(HttpDoor(lambda: ingest_address(settings)), instance="demo")
    platform = Platform(settings.demo.seed, started(settings))
    payload = Payload(platform)
    rows = LiveRows(settings, platform, progress.rows_since_us(time.time_ns() // 1000))
    sent_us = 0
    while not lifeline.ended:
        now_us = time.time_ns() // 1000
        step_us = now_us // STEP_US * STEP_US
        begun = [incident for incident in started(settings) if incident not in platform.schedule.started]
        for incident in begun:
            platform.start(incident)
            rows.forget(incident.start_us)
        if step_us != sent_us:
            delivery.put(*payload.at(step_us))
            sent_us = step_us
            rows.send(step_us)
        progress.write_truth(now_us, again=bool(begun))
        lifeline.wait((STEP_US - now_us % STEP_US) / SECOND_US / 2)
        if delivery.idle and sent_us > progress.memory.live_us:
            progress.delivered(sent_us)
        lifeline.wait((STEP_US - time.time_ns() // 1000 % STEP_US) / SECOND_US)
    delivery.close()
    rows.close()


if __name__ == "__main__":
    raise SystemExit(main())
