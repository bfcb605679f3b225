"""AlertManager: evaluates the rules at their turn, and carries out what the engine decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from prometheus_client import Counter, Gauge

from workbench import log
from workbench.alert import outbox
from workbench.alert.engine import AlertRuleEngine, Change, Element
from workbench.alert.rules import Rule, RuleGroup, load_rules, rule_files, shipped_files
from workbench.config import Settings
from workbench.errors import ConfigError, InputError, WorkbenchError
from workbench.schema import KINDS

RELOAD_US = 5_000_000
FORGET_US = 3600 * 1_000_000
LAKE_RETRY_US = 10 * 1_000_000
PROMPT_US = 1_000_000
"""Groups of this interval or less are evaluated at every tick, and the hub ticks when samples arrive, too."""

EVALUATIONS = Counter("workbench_alert_evaluations_total", "Rule evaluations")
FAILURES = Counter("workbench_alert_evaluation_failures_total", "Rule evaluations that failed", ["rule"])
ACTIVE = Gauge("workbench_alert_active", "Alerts by state", ["state"])

logger = log.get(__name__)

Evaluate = Callable[[Any, int], Sequence[Element]]
"""Evaluates a parsed expression at a time (microseconds UTC); what it raises concerns that rule alone."""
Record = Callable[[pa.RecordBatch], None]


@dataclass(frozen=True)
class Trouble:
    """Something that keeps a rule from doing its work: `where` names file or rule."""

    where: str
    message: str


class AlertManager:
    """Runs the rules of the hub. Not thread-safe: one thread ticks.

    `evaluate` answers expressions, `record` keeps rows of the lake's `alerts` table, `queued` is told when something
    waits to be delivered.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        engine: sa.Engine,
        settings: Settings,
        record: Record,
        *,
        queued: Callable[[], None] = lambda: None,
    ) -> None:
        self._evaluate = evaluate
        self._engine = engine
        self._settings = settings
        self._record = record
        self._queued = queued
        self._channels = [outbox.channel_id(url) for url in settings.alert.notify]
        self._restored = False
        self._rules = AlertRuleEngine()
        self._uncommitted: list[Change] = []
        self._groups: list[RuleGroup] = []
        self._due_us: dict[tuple[str, str], int] = {}
        self._troubles: dict[str, Trouble] = {}
        self._stamps: dict[Path, int] | None = None
        self._looked_us = self._forgot_us = 0
        self._unrecorded = True

    def use(self, groups: Sequence[RuleGroup], now_us: int) -> list[Change]:
        """Evaluate these rules from now on; alerts of rules that are gone end."""
        self._restore(now_us)
        self._groups = list(groups)
        keys = {rule.key for group in groups for rule in group.rules}
        return self._commit(self._rules.forget([key for key in self._rules.alerts if key not in keys], now_us))

    def _restore(self, now_us: int) -> None:
        """Take up the alerts of the process before this one."""
        if not self._restored:
            self._rules = AlertRuleEngine(outbox.load_alerts(self._engine, owner="", now_us=now_us))
            self._restored = True

    def tick(self, now_us: int) -> list[Change]:
        """Evaluate the groups whose turn it is; what changed, after it was made durable."""
        changes = self._reload(now_us)
        for group in self._groups:
            if not self._is_due(group, now_us):
                continue
            found: list[Change] = []
            for rule in group.rules:
                found += self._apply(group, rule, now_us)
            changes += self._commit(found)
        self._keep_history(now_us)
        return changes

    def health(self) -> list[Trouble]:
        """What keeps rules from doing their work right now."""
        return list(self._troubles.values())

    def _is_due(self, group: RuleGroup, now_us: int) -> bool:
        interval_us = group.interval_us or self._settings.alert.interval_seconds * 1_000_000
        if interval_us <= PROMPT_US:
            return True
        key = (str(group.file), group.name)
        due_us = self._due_us.get(key, 0)
        # A clock that was set back must not stop a group until it has caught up.
        if due_us - interval_us <= now_us < due_us:
            return False
        self._due_us[key] = (now_us // interval_us + 1) * interval_us
        return True

    def _apply(self, group: RuleGroup, rule: Rule, now_us: int) -> list[Change]:
        EVALUATIONS.inc()
        try:
            elements = self._evaluate(rule.query, now_us)
            if group.limit and len(elements) > group.limit:
                raise InputError(f"{len(elements)} alerts, more than the group's limit of {group.limit}")
            changes = self._rules.apply(rule, elements, now_us)
        except Exception as error:  # whatever one rule meets, the others go on
            FAILURES.labels(rule.key).inc()
            ours = isinstance(error, WorkbenchError)
            message = str(error) if ours else f"{type(error).__name__}: {error}"
            if rule.key not in self._troubles:
                logger.warning("rule failed", rule=rule.key, error=message, exc_info=not ours)
            self._troubles[rule.key] = Trouble(rule.key, message)
            return []
        self._troubles.pop(rule.key, None)
        return changes

    def _commit(self, changes: list[Change]) -> list[Change]:
        # The engine has moved on already: what the state cannot take now must not be forgotten.
        self._uncommitted += changes
        changes = self._uncommitted
        outbox.commit_changes(self._engine, changes, self._channels)
        self._uncommitted = []
        for change in changes:
            logger.info("alert", state=change.state, reason=change.reason, labels=dict(change.alert.labels))
        if changes:
            self._unrecorded = True
            self._queued()
            states = [alert.state for alerts in self._rules.alerts.values() for alert in alerts.values()]
            for name in ("pending", "firing"):
                ACTIVE.labels(name).set(states.count(name))
        return changes

    def _reload(self, now_us: int) -> list[Change]:
        """Read rule files that changed on disk; a file with faults keeps others working and is shown."""
        if self._stamps is not None and 0 <= now_us - self._looked_us < RELOAD_US:
            return []
        self._looked_us = now_us
        self._unrecorded = True  # the front writes into the outbox too
        stamps = {file: _stamp(file) for file in rule_files(self._settings)}
        if stamps == self._stamps:
            return []
        self._stamps = stamps
        groups: list[RuleGroup] = []
        self._troubles = {}
        for file in stamps:
            try:
                groups += load_rules([file])
            except ConfigError as error:
                self._troubles[str(file)] = Trouble(str(file), error.message)
                logger.error("rule file has faults", file=str(file), faults=error.message)
                groups += self._instead(file)
        return self.use(groups, now_us)

    def _instead(self, file: Path) -> list[RuleGroup]:
        """The rules in the place of a file with faults: those in force under its name, else ours of that name."""
        in_force = [group for group in self._groups if group.file.name == file.name]
        shipped = shipped_files().get(file.name)
        return in_force or (load_rules([shipped]) if shipped else [])

    def _keep_history(self, now_us: int) -> None:
        """Move what changed into the lake; what cannot be moved now waits in the outbox."""
        if self._unrecorded:
            rows = outbox.claim(self._engine, outbox.LAKE, now_us, longest_us=LAKE_RETRY_US).rows
            if rows:
                try:
                    self._record(alert_rows([row.payload for row in rows]))
                except (WorkbenchError, OSError) as error:  # a writer that is too slow is a TimeoutError
                    outbox.mark_failed(self._engine, rows, now_us, str(error), longest_us=LAKE_RETRY_US)
                    return
                outbox.mark_sent(self._engine, rows, now_us)
            self._unrecorded = bool(rows)
        if not 0 <= now_us - self._forgot_us <= FORGET_US:
            dropped = outbox.forget_old(self._engine, now_us, self._channels)
            if dropped:
                logger.warning("notifications that could wait no longer were dropped", number=dropped)
            self._forgot_us = now_us


def _stamp(file: Path) -> int:
    """When a file was written; -1 where it cannot be read, so that its reader tells why."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return -1


def alert_rows(payloads: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Rows of the `alerts` kind from the outbox' payloads."""
    rows = [
        {
            "time": payload["time_us"],
            "fingerprint": payload["fingerprint"],
            "alertname": payload["labels"]["alertname"],
            "state": payload["state"],
            "severity": payload["labels"].get("severity", ""),
            "value": payload["value"],
            "labels": list(payload["labels"].items()),
            "annotations": list(payload["annotations"].items()),
        }
        for payload in payloads
    ]
    return pa.RecordBatch.from_pylist(rows, schema=KINDS["alerts"].schema)
