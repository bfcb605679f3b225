"""The life of an alert as a pure function: results of a rule in, new state and changes out. No clock, no disk.

inactive -> pending (the condition holds, `for` has not passed) -> firing -> resolved
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from workbench.alert.rules import Rule
from workbench.alert.templates import Template
from workbench.errors import InputError

State = Literal["pending", "firing", "resolved", "inactive"]
Labels = tuple[tuple[str, str], ...]

Element = tuple[Mapping[str, str], float]
"""One element of a rule's result: labels and value."""


@dataclass(frozen=True)
class Alert:
    """An alert that is pending or firing. Times are microseconds UTC; `seen_us` is when its condition held last."""

    fingerprint: str
    rule: str
    labels: Labels
    annotations: Labels
    value: float
    state: State
    active_us: int
    fired_us: int | None
    seen_us: int


@dataclass(frozen=True)
class Change:
    """A change of an alert's state at `time_us`, with the reason by name."""

    alert: Alert
    state: State
    time_us: int
    reason: str


def fingerprint(labels: Mapping[str, str], rule: str = "") -> str:
    """16 hexadecimal digits that name an alert: its labels, whatever their order, and the key of its rule.

    Two rules may give the same labels; the end of one alert must not end the other.
    """
    text = json.dumps([rule, sorted(labels.items())], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class AlertRuleEngine:
    """Holds the alerts that are pending or firing, and moves them on. Deterministic: the clock is an argument."""

    def __init__(self, alerts: Sequence[Alert] = ()) -> None:
        self.alerts: dict[str, dict[str, Alert]] = {}
        for alert in alerts:
            self.alerts.setdefault(alert.rule, {})[alert.fingerprint] = alert

    def apply(self, rule: Rule, elements: Sequence[Element], now_us: int) -> list[Change]:
        """What the result of a rule at `now_us` changes. Raises InputError; then nothing has changed."""
        after, changes = step(rule, self.alerts.get(rule.key, {}), elements, now_us)
        self.alerts[rule.key] = after
        return changes

    def forget(self, keys: Sequence[str], now_us: int) -> list[Change]:
        """End the alerts of rules that are gone."""
        gone = [alert for key in keys for alert in self.alerts.pop(key, {}).values()]
        return [_ended(alert, now_us, "rule_gone") for alert in gone]


def step(
    rule: Rule, before: Mapping[str, Alert], elements: Sequence[Element], now_us: int
) -> tuple[dict[str, Alert], list[Change]]:
    """The alerts of one rule after its result at `now_us`, and what changed. Raises InputError for a bad result."""
    after: dict[str, Alert] = {}
    changes: list[Change] = []
    for element_labels, value in elements:
        found = _alert(rule, element_labels, value, now_us)
        if found.fingerprint in after:
            raise InputError("two elements have the same labels", where=rule.key, hint="Keep a label that differs.")
        known = before.get(found.fingerprint)
        alert, change = _held(rule, known, found, now_us)
        after[alert.fingerprint] = alert
        changes += change
    for name, alert in before.items():
        if name in after:
            continue
        # Where the clock was set back, the wait begins anew: it must not last until the old time is reached again.
        seen_us = min(alert.seen_us, now_us)
        if alert.state == "firing" and now_us - seen_us < rule.keep_firing_us:
            after[name] = replace(alert, seen_us=seen_us)
        else:
            changes.append(_ended(alert, now_us, "condition_ended"))
    return after, changes


def _held(rule: Rule, known: Alert | None, found: Alert, now_us: int) -> tuple[Alert, list[Change]]:
    """The condition holds: an alert begins, waits on, fires, or goes on firing."""
    if known is not None and known.state == "firing":
        return replace(found, state="firing", active_us=known.active_us, fired_us=known.fired_us), []
    active_us = min(known.active_us, now_us) if known else now_us
    if now_us - active_us >= rule.for_us:
        firing = replace(found, state="firing", active_us=active_us, fired_us=now_us)
        reason = "held_long_enough" if rule.for_us else "condition_began"
        return firing, [Change(firing, "firing", now_us, reason)]
    pending = replace(found, active_us=active_us)
    return pending, [] if known else [Change(pending, "pending", now_us, "condition_began")]


def _ended(alert: Alert, now_us: int, reason: str) -> Change:
    return Change(alert, "resolved" if alert.state == "firing" else "inactive", now_us, reason)


def _alert(rule: Rule, element_labels: Mapping[str, str], value: float, now_us: int) -> Alert:
    own = {name: text for name, text in element_labels.items() if name != "__name__"}
    made = {name: _filled_in(template, own, value) for name, template in rule.labels}
    labels = {name: text for name, text in {**own, **made, "alertname": rule.alert}.items() if text}
    annotations = tuple((name, _filled_in(template, own, value)) for name, template in rule.annotations)
    return Alert(
        fingerprint(labels, rule.key),
        rule.key,
        tuple(sorted(labels.items())),
        annotations,
        value,
        "pending",
        now_us,
        None,
        now_us,
    )


def _filled_in(template: Template, labels: Mapping[str, str], value: float) -> str:
    """A template's text; as in Prometheus, a fault in it stands in its place, and the alert fires all the same."""
    try:
        return template.render(labels, value)
    except InputError as error:
        return f"<error expanding template: {error.message}>"
