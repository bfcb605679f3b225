"""The durable outbox: changes of alerts and the notifications they ask for, written in one transaction.

A notification is a row for each channel. It is claimed for a while by whoever delivers it, so that two processes can
work on the same outbox, and it stays until the channel took it: delivery is at least once, never none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from workbench.alert.engine import Alert, Change
from workbench.store import state

LAKE = "lake"
"""The channel of rows that become rows of the lake's `alerts` table."""
CLAIM_US = 60 * 1_000_000
KEEP_US = 7 * 24 * 3600 * 1_000_000
BATCH = 512
"""Notifications that are taken at once: what a storm is told in."""
MOST_QUEUED = 100_000
"""Notifications that may wait for one channel; beyond that the oldest go, as a disk is finite and a message stale."""
PART = 200
"""Rows of one statement; SQLite before 3.32 takes no more than 999 parameters."""


def channel_id(url: str) -> str:
    """What names a channel in the outbox: a digest, as its address may hold a password."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def commit_changes(
    engine: sa.Engine, changes: Sequence[Change], channels: Sequence[str], *, history: bool = True
) -> None:
    """Write what changed and what has to be said about it, all or nothing. `channels` are their ids."""
    if not changes:
        return
    rows: dict[str, dict[str, Any]] = {}
    for change in changes:
        receivers = [LAKE] if history and change.state != "inactive" else []
        if change.state in ("firing", "resolved"):
            receivers += channels
        for channel in receivers:
            row = _row(change, channel)
            rows.setdefault(row["dedup_key"], row)
    last = {change.alert.fingerprint: change for change in changes}
    with engine.begin() as connection:
        _write_states(connection, last)
        key = state.outbox.c.dedup_key
        known = {
            name
            for part in _parts(list(rows))
            for name in connection.execute(sa.select(key).where(key.in_(part))).scalars()
        }
        new = [row for name, row in rows.items() if name not in known]
        if new:
            connection.execute(sa.insert(state.outbox), new)


def load_alerts(engine: sa.Engine, *, owner: str, now_us: int = 0) -> list[Alert]:
    """The alerts that were pending or firing when their process ended; `owner` is the beginning of their rules' keys.

    An empty owner means all that rules raised, not the watches of front and keeper. Whether a condition held until
    the end is not written down; it counts as held until `now_us`, so that `keep_firing_for` begins with the restart.
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
                max(now_us, row.fired_us or row.active_us),
            )
            for row in connection.execute(query)
        ]


class Claim(NamedTuple):
    """Notifications that are ours for CLAIM_US, the oldest first, and the id of the newest that waits behind them."""

    rows: Sequence[Any]
    newest: int


def claim(engine: sa.Engine, channel: str, now_us: int, *, longest_us: int, tried: int | None = None) -> Claim:
    """Claim what is due on a channel; nothing while somebody else holds some of it.

    They go in their order, as an end must not arrive before its beginning: the oldest decides when it is time, and
    something newer than `tried` makes it time at once. `longest_us` bounds the pause between attempts, also where the
    clock was set back. Each failure halves what is taken: what is too large for a receiver gets through in parts.
    """
    table = state.outbox
    mine = sa.and_(table.c.channel == channel, table.c.state == "queued")

    def look(connection: sa.Connection) -> Claim:
        oldest, newest = connection.execute(
            sa.select(sa.func.min(table.c.id), sa.func.max(table.c.id)).where(mine)
        ).one()
        if oldest is None:
            return Claim([], 0)
        query = sa.select(table).where(mine, table.c.id >= oldest).order_by(table.c.id)
        head = connection.execute(query.limit(1)).one()
        # Whoever holds it may have looked at the clock after us, but not by a minute.
        waits = now_us < head.next_attempt_us <= now_us + longest_us + CLAIM_US
        held = now_us < head.claimed_until_us <= now_us + 2 * CLAIM_US
        if held or (waits and (tried is None or newest <= tried)):
            return Claim([], newest)
        return Claim(connection.execute(query.limit(max(1, BATCH >> head.attempts))).all(), newest)

    # A look without the write lock first: nearly always nothing is due.
    with engine.connect() as connection:
        found = look(connection)
    if not found.rows:
        return found
    with engine.begin() as connection:
        state.take_turns(connection, table)
        found = look(connection)
        _update_in(connection, found.rows, claimed_until_us=now_us + CLAIM_US)
        return found


def release(engine: sa.Engine, rows: Sequence[Any]) -> None:
    """Give back what was claimed and not tried."""
    _update(engine, rows, claimed_until_us=0)


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
    """Delete what was sent, and alerts that ended, long ago; and what can wait no longer.

    That is what waits for a channel that is not there any more (`channels` are the ids of those that are), and the
    oldest of more than MOST_QUEUED of one channel. Returns how many of these.
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
        for channel in [LAKE, *channels]:
            queued = sa.and_(table.c.channel == channel, table.c.state == "queued")
            oldest = sa.select(table.c.id).where(queued).order_by(table.c.id.desc()).offset(MOST_QUEUED).limit(1)
            first = connection.execute(oldest).scalar()
            if first is not None:
                dropped += connection.execute(sa.delete(table).where(queued, table.c.id <= first)).rowcount
        alerts = state.alert_states
        connection.execute(
            sa.delete(alerts).where(alerts.c.state == "resolved", alerts.c.resolved_us < now_us - KEEP_US)
        )
    return int(dropped)


def _write_states(connection: sa.Connection, last: Mapping[str, Change]) -> None:
    """The last change of each alert by fingerprint takes the place of what was there."""
    table = state.alert_states
    for part in _parts(list(last)):
        connection.execute(sa.delete(table).where(table.c.fingerprint.in_(part)))
    rows = [
        {
            "fingerprint": alert.fingerprint,
            "rule": alert.rule,
            "state": change.state,
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "value": alert.value if math.isfinite(alert.value) else None,
            "active_us": alert.active_us,
            "fired_us": alert.fired_us,
            "resolved_us": change.time_us if change.state == "resolved" else None,
        }
        for change in last.values()
        if change.state != "inactive"
        for alert in [change.alert]
    ]
    if rows:
        connection.execute(sa.insert(table), rows)


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
    with engine.begin() as connection:
        _update_in(connection, rows, **values)


def _update_in(connection: sa.Connection, rows: Sequence[Any], **values: Any) -> None:
    for ids in _parts([row.id for row in rows]):
        connection.execute(sa.update(state.outbox).where(state.outbox.c.id.in_(ids)).values(**values))


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), PART):
        yield items[start : start + PART]
