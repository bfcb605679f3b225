"""The durable outbox: changes of alerts and the notifications they ask for, written in one transaction.

A notification is a row for each channel. It is claimed for a while by whoever delivers it, so that two processes can
work on the same outbox, and it stays until the channel took it: delivery is at least once, never none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from workbench.alert.engine import Alert, Change
from workbench.store import state

LAKE = "lake"
"""The channel of rows that become rows of the lake's `alerts` table."""
CLAIM_US = 60 * 1_000_000
KEEP_US = 7 * 24 * 3600 * 1_000_000
BATCH = 64


def channel_id(url: str) -> str:
    """What names a channel in the outbox: a digest, as its address may hold a password."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def commit_changes(
    engine: sa.Engine, changes: Sequence[Change], channels: Sequence[str], *, history: bool = True
) -> None:
    """Write what changed and what has to be said about it, all or nothing. `channels` are their ids."""
    if not changes:
        return
    with engine.begin() as connection:
        for change in changes:
            _write_state(connection, change)
            receivers = [LAKE] if history and change.state != "inactive" else []
            if change.state in ("firing", "resolved"):
                receivers += channels
            for channel in receivers:
                row = _row(change, channel)
                known = sa.select(state.outbox.c.id).where(state.outbox.c.dedup_key == row["dedup_key"])
                if connection.execute(known).first() is None:
                    connection.execute(sa.insert(state.outbox).values(row))


def load_alerts(engine: sa.Engine, *, owner: str) -> list[Alert]:
    """The alerts that were pending or firing when their process ended; `owner` is the beginning of their rules' keys.

    An empty owner means all that rules raised, not the watches of front and keeper.
    """
    table = state.alert_states
    query = sa.select(table).where(table.c.state.in_(("pending", "firing")))
    query = query.where(table.c.rule.startswith(owner) if owner else sa.not_(table.c.rule.startswith("watch/")))
    with engine.connect() as connection:
        return [
            Alert(
                row.fingerprint,
                row.rule,
                tuple(sorted(row.labels.items())),
                tuple(row.annotations.items()),
                math.nan if row.value is None else row.value,
                row.state,
                row.active_us,
                row.fired_us,
                row.fired_us or row.active_us,
            )
            for row in connection.execute(query)
        ]


def claim(engine: sa.Engine, channel: str, now_us: int) -> list[Any]:
    """Due notifications of a channel, the oldest first, ours for CLAIM_US; only those that nobody else holds.

    They go in their order, as an end must not arrive before its beginning: what waits for its next attempt is taken
    along as soon as something new is due.
    """
    table = state.outbox
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            # Take the write lock before looking, so that two processes cannot see the same rows free.
            connection.execute(sa.update(table).where(sa.false()).values(attempts=0))
        query = sa.select(table).where(table.c.channel == channel, table.c.state == "queued").order_by(table.c.id)
        rows = connection.execute(query.limit(BATCH)).all()
        if (
            not rows
            or min(row.next_attempt_us for row in rows) > now_us
            or any(row.claimed_until_us > now_us for row in rows)
        ):
            return []
        ids = [row.id for row in rows]
        connection.execute(sa.update(table).where(table.c.id.in_(ids)).values(claimed_until_us=now_us + CLAIM_US))
        return list(rows)


def mark_sent(engine: sa.Engine, rows: Sequence[Any], now_us: int) -> None:
    """The channel took them."""
    _update(engine, rows, state="sent", sent_us=now_us, claimed_until_us=0, last_error=None)


def mark_failed(engine: sa.Engine, rows: Sequence[Any], now_us: int, error: str, *, longest_us: int) -> None:
    """The channel did not; they are tried again after a pause that doubles up to `longest_us`."""
    pause_us = min(longest_us, 1_000_000 * 2 ** min(rows[0].attempts, 20))
    _update(
        engine,
        rows,
        attempts=rows[0].attempts + 1,
        next_attempt_us=now_us + pause_us,
        claimed_until_us=0,
        last_error=error[:500],
    )


def forget_old(engine: sa.Engine, now_us: int, channels: Sequence[str]) -> int:
    """Delete what was sent, and alerts that ended, long ago; and what waits for a channel that is not there any more.

    Returns the number of the latter. `channels` are the ids of those that are there.
    """
    table = state.outbox
    with engine.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.state == "sent", table.c.sent_us < now_us - KEEP_US))
        dropped = connection.execute(
            sa.delete(table).where(
                table.c.state == "queued",
                table.c.created_us < now_us - KEEP_US,
                table.c.channel.not_in([LAKE, *channels]),
            )
        ).rowcount
        alerts = state.alert_states
        connection.execute(
            sa.delete(alerts).where(alerts.c.state == "resolved", alerts.c.resolved_us < now_us - KEEP_US)
        )
    return int(dropped)


def _write_state(connection: sa.Connection, change: Change) -> None:
    table, alert = state.alert_states, change.alert
    connection.execute(sa.delete(table).where(table.c.fingerprint == alert.fingerprint))
    if change.state == "inactive":
        return
    connection.execute(
        sa.insert(table).values(
            fingerprint=alert.fingerprint,
            rule=alert.rule,
            state=change.state,
            labels=dict(alert.labels),
            annotations=dict(alert.annotations),
            value=alert.value if math.isfinite(alert.value) else None,
            active_us=alert.active_us,
            fired_us=alert.fired_us,
            resolved_us=change.time_us if change.state == "resolved" else None,
        )
    )


def _row(change: Change, channel: str) -> dict[str, Any]:
    alert = change.alert
    return {
        "dedup_key": f"{channel}:{alert.fingerprint}:{alert.active_us}:{change.state}",
        "channel": channel,
        "payload": {
            "fingerprint": alert.fingerprint,
            "state": change.state,
            "reason": change.reason,
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "value": alert.value if math.isfinite(alert.value) else None,
            "time_us": change.time_us,
            "active_us": alert.active_us,
            "fired_us": alert.fired_us,
        },
        "state": "queued",
        "created_us": change.time_us,
        "attempts": 0,
        "next_attempt_us": 0,
        "claimed_until_us": 0,
    }


def _update(engine: sa.Engine, rows: Sequence[Any], **values: Any) -> None:
    ids = [row.id for row in rows]
    with engine.begin() as connection:
        connection.execute(sa.update(state.outbox).where(state.outbox.c.id.in_(ids)).values(**values))
