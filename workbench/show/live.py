"""Live pages: one producer for all who look at the same thing.

While somebody watches, the newest values are evaluated soon after new samples arrive (in a thread, at most every
INTERVAL_SECONDS, and never more than a fifth of the time), serialised once, and the same bytes go to every viewer.
With nobody watching nothing is evaluated. The wire format is server-sent events.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import prometheus_client

from workbench import log
from workbench.errors import Busy
from workbench.show.filters import Filters
from workbench.show.snapshot import Evaluator

INTERVAL_SECONDS = 0.5
POLL_SECONDS = 0.05
HEARTBEAT_SECONDS = 10.0
# An evaluation that took d seconds is followed by a rest of at least REST * d.
REST = 4.0
QUEUE_EVENTS = 16
CHANNELS_MAX = 64
VIEWERS_MAX = 500

TICKS = prometheus_client.Counter("workbench_show_ticks_total", "Evaluations of a live page for all its viewers")
DROPPED = prometheus_client.Counter("workbench_show_slow_viewers_total", "Streams closed because the viewer lagged")
VIEWERS = prometheus_client.Gauge("workbench_show_viewers", "Open live streams")

_log = log.get("show.live")
HEARTBEAT = b": still here\n\n"


@dataclass(eq=False)
class _Viewer:
    """One open stream; `lagging` is set instead of waiting for somebody who does not read."""

    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE_EVENTS))
    lagging: bool = False

    def offer(self, event: bytes) -> None:
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.lagging = True


@dataclass
class _Channel:
    """All viewers of one choice of filters on one dashboard, and what feeds them."""

    viewers: set[_Viewer] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    last: bytes = b""
    last_id: str = ""


class RealTimeUpdater:
    """Hands out streams of server-sent events, and evaluates once per tick for all of them."""

    def __init__(self) -> None:
        self._channels: dict[tuple[Evaluator, Filters], _Channel] = {}
        self._run = uuid.uuid4().hex[:8]
        self._number = 0
        self.evaluations = 0

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return sum(len(channel.viewers) for channel in self._channels.values())

    async def stream(self, evaluator: Evaluator, filters: Filters, last_event_id: str = "") -> AsyncIterator[bytes]:
        """Events until the reader goes away or lags: `tick` with new values; `gap` first, where ticks were missed.

        A reader who comes back (`last_event_id`) learns by `gap` that it has to fetch a snapshot. Raises Busy with too
        many viewers or too many different choices at once.
        """
        key = (evaluator, filters)
        if self.viewers >= VIEWERS_MAX or (key not in self._channels and len(self._channels) >= CHANNELS_MAX):
            raise Busy("too many live pages are open", retry_after_seconds=10)
        channel = self._channels.setdefault(key, _Channel())
        viewer = _Viewer()
        channel.viewers.add(viewer)
        VIEWERS.inc()
        if channel.task is None:
            channel.task = asyncio.create_task(self._produce(channel, evaluator, filters))
        try:
            yield b"retry: 2000\n\n"
            if last_event_id and last_event_id != channel.last_id:
                yield b"event: gap\ndata: {}\n\n"
            if channel.last:
                yield channel.last
            while not viewer.lagging:
                try:
                    yield await asyncio.wait_for(viewer.queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield HEARTBEAT
            DROPPED.inc()
        finally:
            VIEWERS.dec()
            channel.viewers.discard(viewer)
            if not channel.viewers and self._channels.get(key) is channel:
                del self._channels[key]
                if channel.task is not None:
                    channel.task.cancel()

    async def close(self) -> None:
        """Stop every producer."""
        tasks = [channel.task for channel in self._channels.values() if channel.task is not None]
        self._channels.clear()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _produce(self, channel: _Channel, evaluator: Evaluator, filters: Filters) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            seen_us = int(evaluator.context.view.latest_us)
            try:
                tick = await asyncio.to_thread(evaluator.tick, filters, evaluator.context.now_us())
            except Exception:
                # The stream outlives one failed evaluation; viewers see the age of the data grow.
                _log.exception("live evaluation failed", dashboard=evaluator.dashboard.name)
            else:
                self.evaluations += 1
                TICKS.inc()
                self._publish(channel, tick)
            took = clock() - started
            await asyncio.sleep(max(INTERVAL_SECONDS - took, REST * took))
            # Quiet sources do not make work; ages still have to grow, so once a second at the latest.
            while int(evaluator.context.view.latest_us) == seen_us and clock() - started < 1.0:
                await asyncio.sleep(POLL_SECONDS)

    def _publish(self, channel: _Channel, tick: dict[str, object]) -> None:
        self._number += 1
        channel.last_id = f"{self._run}-{self._number}"
        channel.last = b"id: %s\nevent: tick\ndata: %s\n\n" % (channel.last_id.encode(), orjson.dumps(tick))
        for viewer in list(channel.viewers):
            viewer.offer(channel.last)
