"""NotificationChannels: works on the outbox until every channel took what waits for it."""

from __future__ import annotations

import itertools
import threading
import time

import sqlalchemy as sa
from prometheus_client import Counter

from workbench import log
from workbench.alert import outbox
from workbench.alert.channels import channel_name, deliver
from workbench.config import Settings
from workbench.errors import DeliveryError

POLL_SECONDS = 1.0
"""How often the outbox is looked at for what another process queued; our own process wakes us at once."""

SENT = Counter("workbench_alert_notifications_total", "Notifications by channel and outcome", ["channel", "outcome"])

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
        event = self._wakes[channel]
        while not self._stopping.is_set():
            try:
                if self._deliver_due(channel, time.time_ns() // 1000):
                    continue
            except sa.exc.SQLAlchemyError as error:
                logger.error("outbox cannot be read", error=str(error))
            event.wait(POLL_SECONDS)
            event.clear()

    def _deliver_due(self, channel: str, now_us: int) -> int:
        rows = outbox.claim(self._engine, channel, now_us)
        url, taken = self._urls[channel], 0
        for _, group in itertools.groupby(rows, key=lambda row: row.payload["state"]):
            part = list(group)
            try:
                deliver(url, [row.payload for row in part], external_url=self._external_url)
            except DeliveryError as error:
                SENT.labels(channel_name(url), "failed").inc(len(part))
                logger.warning("notification failed", channel=channel_name(url), error=str(error))
                rest = rows[taken:]
                outbox.mark_failed(self._engine, rest, now_us, str(error), longest_us=self._longest_us)
                break
            outbox.mark_sent(self._engine, part, now_us)
            SENT.labels(channel_name(url), "sent").inc(len(part))
            taken += len(part)
        return taken
