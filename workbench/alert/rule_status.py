"""What became of every rule, in the shape of Prometheus' `/api/v1/rules`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workbench.alert.engine import Alert
from workbench.alert.rules import RecordingRule, Rule, RuleGroup

NEVER = "0001-01-01T00:00:00Z"
"""How Prometheus writes the time of what has not happened yet."""


@dataclass(frozen=True)
class Evaluation:
    """The last evaluation of a rule: when (microseconds UTC), how long it took, and what went wrong."""

    time_us: int
    seconds: float
    error: str = ""


def described(
    group: RuleGroup,
    interval_us: int,
    evaluations: Mapping[str, Evaluation],
    alerts: Mapping[str, Mapping[str, Alert]],
) -> dict[str, Any]:
    """A group with its rules; `evaluations` and `alerts` are by the rules' keys."""
    known = [evaluations[rule.key] for rule in group.rules if rule.key in evaluations]
    return {
        "name": group.name,
        "file": str(group.file),
        "interval": interval_us / 1e6,
        "limit": group.limit,
        "queryOffset": group.query_offset_us / 1e6,
        "evaluationTime": sum(one.seconds for one in known),
        "lastEvaluation": _time(max((one.time_us for one in known), default=None)),
        "rules": [_rule(rule, evaluations.get(rule.key), alerts.get(rule.key, {})) for rule in group.rules],
    }


def _rule(rule: Rule | RecordingRule, last: Evaluation | None, alerts: Mapping[str, Alert]) -> dict[str, Any]:
    common = {
        "name": rule.name,
        "query": str(rule.query),
        "health": "unknown" if last is None else "err" if last.error else "ok",
        "lastError": last.error if last else "",
        "evaluationTime": last.seconds if last else 0.0,
        "lastEvaluation": _time(last.time_us if last else None),
    }
    if isinstance(rule, RecordingRule):
        return {**common, "type": "recording", "labels": dict(rule.labels)}
    active = [alert for alert in list(alerts.values()) if alert.state in ("pending", "firing")]
    return {
        **common,
        "type": "alerting",
        "labels": {name: template.source for name, template in rule.labels},
        "annotations": {name: template.source for name, template in rule.annotations},
        "duration": rule.for_us / 1e6,
        "keepFiringFor": rule.keep_firing_us / 1e6,
        "state": state_of([alert.state for alert in active]),
        "alerts": [_alert(alert) for alert in active],
    }


def state_of(states: Sequence[str]) -> str:
    """The state of a rule whose alerts have these."""
    return "firing" if "firing" in states else "pending" if "pending" in states else "inactive"


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "activeAt": _time(alert.active_us),
        "value": format(alert.value, "g"),
    }


def _time(time_us: int | None) -> str:
    if time_us is None:
        return NEVER
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
