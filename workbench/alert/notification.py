"""NotificationChannels: works on the outbox until every channel took what waits for it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from prometheus_client import Counter

from workbench import log
from workbench.alert import outbox
from workbench.alert.channels import channel_name, deliver, warm
from workbench.config import Settings
from workbench.errors import DeliveryError

POLL_SECONDS = 1.0
"""How often the outbox is looked at for what another process queued; our own process wakes us at once."""

SENT = Counter("workbench_alert_notifications_total", "Notifications by channel and outcome", ["channel", "outcome"])

HOLD_SECONDS = 30.0
"""Half of a claim's life: what is not tried by then is given back, before another process takes it for abandoned."""

logger = log.get(__name__)


class NotificationChannels:
    """The channels of `alert.notify`. A failed delivery is tried again for ever, less and less often."""

    def __init__(self, settings: Settings, engine: sa.Engine) -> None:
        self._urls = {outbox.channel_id(url): url for url in settings.alert.notify}
        self._external_url = settings.alert.external_url
        self._longest_us = settings.alert.retry_max_seconds * 1_000_000
        self._engine = engine
        self._stopping = threading.Event()
        # A thread for each channel: one whose receiver hangs must not hold up another.
        self._threads = [
            threading.Thread(target=self._run, args=(channel,), name=f"notify-{channel[:4]}", daemon=True)
            for channel in self._urls
        ]
        self._tried = dict.fromkeys(self._urls, 0)  # the newest notification when a delivery failed last
        self._wakes = {channel: threading.Event() for channel in self._urls}

    def start(self) -> None:
        """Begin to deliver."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the delivery under way."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=2)

    def wake(self) -> None:
        """Look at the outbox now."""
        for event in self._wakes.values():
            event.set()

    def run_once(self, now_us: int) -> int:
        """Deliver what is due on every channel; how many notifications were taken."""
        return sum(self._deliver_due(channel, now_us) for channel in self._urls)

    def _run(self, channel: str) -> None:
        event, cold = self._wakes[channel], True
        while not self._stopping.is_set():
            try:
                if self._deliver_due(channel, time.time_ns() // 1000):
                    continue
            except sa.exc.SQLAlchemyError as error:
                logger.error("outbox cannot be used", error=str(error))
            if not event.wait(POLL_SECONDS) and cold:
                warm(self._urls[channel])  # not before: a process that starts has more urgent things to load
                cold = False
            event.clear()

    def _deliver_due(self, channel: str, now_us: int) -> int:
        rows, newest = outbox.claim(
            self._engine, channel, now_us, longest_us=self._longest_us, tried=self._tried[channel]
        )
        url, taken, begun = self._urls[channel], 0, time.monotonic()
        for _, group in itertools.groupby(rows, key=lambda row: row.payload["state"]):
            part = list(group)
            if time.monotonic() - begun > HOLD_SECONDS:
                outbox.release(self._engine, rows[taken:])
                break
            fault = self._fault(url, [row.payload for row in part])
            if fault:
                SENT.labels(channel_name(url), "failed").inc(len(part))
                logger.warning("notification failed", channel=channel_name(url), error=fault)
                self._tried[channel] = newest
                outbox.mark_failed(self._engine, rows[taken:], now_us, fault, longest_us=self._longest_us)
                break
            outbox.mark_sent(self._engine, part, now_us)
            SENT.labels(channel_name(url), "sent").inc(len(part))
            taken += len(part)
        return taken

    def _fault(self, url: str, payloads: Sequence[Mapping[str, Any]]) -> str:
        """Deliver; why that did not work, empty when it did."""
        try:
            deliver(url, payloads, external_url=self._external_url)
        except DeliveryError as error:
            return str(error)
        except Exception as error:  # a fault of a channel's plugin must not end the thread that would try again
            logger.exception("channel has a fault", channel=channel_name(url))
            return type(error).__name__
        return ""
