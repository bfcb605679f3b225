"""AlertManager: evaluates the rules at their turn, and carries out what the engine decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from prometheus_client import Counter, Gauge

from workbench import log
from workbench.alert import outbox
from workbench.alert.alert_series import alert_samples
from workbench.alert.engine import AlertRuleEngine, Change
from workbench.alert.recording import Answer, Recorded, Recorder, Step, Write
from workbench.alert.rule_reader import load_rules
from workbench.alert.rule_status import Evaluation, described
from workbench.alert.rules import RecordingRule, Rule, RuleGroup, rule_files, shipped_files
from workbench.alert.turns import GroupTurns
from workbench.config import Settings
from workbench.errors import ConfigError, InputError, StoreError, WorkbenchError
from workbench.schema import KINDS

RELOAD_US = 5_000_000
FORGET_US = 3600 * 1_000_000
LAKE_RETRY_US = 10 * 1_000_000
SERIES = "series ALERTS"
"""Where trouble with them is."""
EVALUATIONS = Counter("workbench_alert_evaluations_total", "Rule evaluations")
FAILURES = Counter("workbench_alert_evaluation_failures_total", "Rule evaluations that failed", ["rule"])
ACTIVE = Gauge("workbench_alert_active", "Alerts by state", ["state"])

logger = log.get(__name__)

Evaluate = Callable[[Any, int], Sequence[Answer]]
"""Evaluates a parsed expression at a time (microseconds UTC); what it raises concerns that rule alone."""
Record = Callable[[pa.RecordBatch], None]


@dataclass(frozen=True)
class Trouble:
    """Something that keeps a rule from doing its work: `where` names file or rule."""

    where: str
    message: str


def _nowhere(samples: Sequence[Recorded]) -> None:
    """Where nothing takes samples, a recording rule fails and says so. Raises StoreError."""
    raise StoreError(f"nothing takes the {len(samples)} samples of this rule")


class AlertManager:
    """Runs the rules of the hub. Not thread-safe: one thread ticks.

    `evaluate` answers expressions, `record` keeps rows of the lake's `alerts` table, `write` keeps the samples of
    recording rules and of the series ALERTS, `queued` is told when something waits to be delivered.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        engine: sa.Engine,
        settings: Settings,
        record: Record,
        *,
        write: Write | None = None,
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
        self._turns = GroupTurns(settings.alert.interval_seconds * 1_000_000)
        self._recorder = Recorder(evaluate, write or _nowhere)
        self._tells_alerts = write is not None
        self._evaluations: dict[str, Evaluation] = {}
        self._troubles: dict[str, Trouble] = {}
        self._stamps: dict[Path, int] | None = None
        self._looked_us = self._forgot_us = 0
        self._unrecorded = True

    def use(self, groups: Sequence[RuleGroup], now_us: int) -> list[Change]:
        """Evaluate these rules from now on; alerts of rules that are gone end."""
        self._restore(now_us)
        self._groups = list(groups)
        keys = {rule.key for group in groups for rule in group.rules}
        self._evaluations = {key: one for key, one in self._evaluations.items() if key in keys}
        return self._commit(self._rules.forget([key for key in self._rules.alerts if key not in keys], now_us))

    def _restore(self, now_us: int) -> None:
        """Take up the alerts of the process before this one."""
        if not self._restored:
            self._rules = AlertRuleEngine(outbox.load_alerts(self._engine, owner="", now_us=now_us))
            if self._tells_alerts:
                self._recorder.resume(self._step(key, now_us) for key in self._rules.alerts)
            self._restored = True

    def tick(self, now_us: int) -> list[Change]:
        """Evaluate the groups whose turn it is; what changed, after it was made durable."""
        changes = self._reload(now_us)
        steps: list[Step] = []
        for group in self._groups:
            if not self._turns.is_due(group, now_us):
                continue
            slot_us = self._turns.slot_us(group, now_us)
            found: list[Change] = []
            for rule in group.rules:
                if isinstance(rule, Rule) or slot_us is not None:
                    found += self._evaluated(group, rule, now_us, slot_us or 0)
            self._turns.take(group, now_us)
            changes += self._commit(found)
            if slot_us is not None:
                steps += self._steps(group, slot_us)
        self._tell_alerts(steps)
        self._end_series(now_us)
        self._keep_history(now_us)
        return changes

    def health(self) -> list[Trouble]:
        """What keeps rules from doing their work right now."""
        return list(self._troubles.values())

    def groups(self) -> list[dict[str, Any]]:
        """Every group with its rules, and what became of each, in the shape of Prometheus' rules API."""
        groups, alerts = list(self._groups), dict(self._rules.alerts)
        return [described(group, self._turns.interval_us(group), self._evaluations, alerts) for group in groups]

    def _steps(self, group: RuleGroup, slot_us: int) -> list[Step]:
        """What the alerting rules of a group say of their alerts; one that failed says nothing."""
        keys = [rule.key for rule in group.rules if isinstance(rule, Rule) and not self._evaluations[rule.key].error]
        return [self._step(key, slot_us - group.query_offset_us) for key in keys]

    def _step(self, key: str, time_us: int) -> Step:
        return Step(key, time_us, alert_samples(self._rules.alerts.get(key, {}).values(), time_us))

    def _tell_alerts(self, steps: Sequence[Step]) -> None:
        """Write the series of alerts, after all that is told of them: what cannot be written keeps no alert back."""
        if not self._tells_alerts:
            return
        try:
            self._recorder.follow(steps)
            if steps:
                self._troubles.pop(SERIES, None)
        except (WorkbenchError, OSError) as error:  # a writer that is too slow is a TimeoutError
            if SERIES not in self._troubles:
                logger.warning("the series of alerts were not written", error=str(error))
            self._troubles[SERIES] = Trouble(SERIES, str(error))

    def _end_series(self, now_us: int) -> None:
        """End the series of rules that are gone; what cannot be written now is tried at the next tick."""
        try:
            self._recorder.forget({rule.key for group in self._groups for rule in group.rules}, now_us)
        except (WorkbenchError, OSError) as error:
            logger.warning("series of a rule that is gone were not ended", error=str(error))

    def _evaluated(self, group: RuleGroup, rule: Rule | RecordingRule, now_us: int, slot_us: int) -> list[Change]:
        """What a rule changes now; whatever it meets, the others go on."""
        EVALUATIONS.inc()
        begun = time.monotonic()
        changes: list[Change] = []
        try:
            if isinstance(rule, RecordingRule):
                self._recorder.apply(group, rule, slot_us)
            else:
                changes = self._apply(group, rule, now_us)
            error = ""
        except Exception as fault:
            FAILURES.labels(rule.key).inc()
            ours = isinstance(fault, WorkbenchError)
            error = str(fault) if ours else f"{type(fault).__name__}: {fault}"
            if rule.key not in self._troubles:
                logger.warning("rule failed", rule=rule.key, error=error, exc_info=not ours)
            self._troubles[rule.key] = Trouble(rule.key, error)
        else:
            self._troubles.pop(rule.key, None)
        self._evaluations[rule.key] = Evaluation(now_us, time.monotonic() - begun, error)
        return changes

    def _apply(self, group: RuleGroup, rule: Rule, now_us: int) -> list[Change]:
        elements = self._evaluate(rule.query, now_us - group.query_offset_us)
        if group.limit and len(elements) > group.limit:
            raise InputError(f"{len(elements)} alerts, more than the group's limit of {group.limit}")
        floats = [(labels, value) for labels, value in elements if not isinstance(value, Mapping)]
        if len(floats) < len(elements):
            raise InputError(
                "the expression gives native histograms, which have no value to tell", hint="Take histogram_count(…)."
            )
        return self._rules.apply(rule, floats, now_us)

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
