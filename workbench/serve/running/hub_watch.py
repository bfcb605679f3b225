"""Watching the hub from the front: whether it is ready, and the alert when it stays away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from workbench import log
from workbench.alert import HubWatch, channel_id, commit_changes, load_alerts, watch_step
from workbench.config import Settings
from workbench.serve.running import local_http

EVERY_SECONDS = 1.0

logger = log.get(__name__)

Seen = Callable[[bool, Sequence[str]], None]


async def watch_hub(settings: Settings, engine: sa.Engine, seen: Seen, *, queued: Callable[[], None]) -> None:
    """Ask the hub each second, for ever. `seen` is told whether it is ready, and what troubles its rules."""
    channels = [channel_id(url) for url in settings.alert.notify]
    fired = await asyncio.to_thread(load_alerts, engine, owner="watch/hub")
    watch = HubWatch(_now_us(), fired[0] if fired else None)
    while True:
        status, body = await local_http.get(settings.hub_socket, "/health")
        try:
            troubles = json.loads(body).get("troubles", []) if status == 200 else []
        except ValueError:
            troubles = []
        seen(status == 200, troubles)
        after, changes = watch_step(watch, status == 200, _now_us())
        try:
            # The lake's history of alerts is the hub's to write; the outbox keeps it until there is one.
            await asyncio.to_thread(commit_changes, engine, changes, channels)
        except sa.exc.SQLAlchemyError as error:
            # Not taken over: the next look decides the same once more.
            logger.error("hub watch cannot write", error=str(error))
        else:
            watch = after
            if changes:
                logger.warning("hub watch", state=changes[0].state, reason=changes[0].reason)
                queued()
        await asyncio.sleep(EVERY_SECONDS)


def _now_us() -> int:
    return time.time_ns() // 1000
