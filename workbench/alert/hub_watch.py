"""The alert that the hub cannot raise: that the hub is gone. Decided in the front, by what it sees each second."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.alert.engine import Alert, Change, fingerprint

SILENT_US = 10 * 1_000_000
"""The supervisor starts a hub that died within a few seconds; only a longer silence is worth a page."""

LABELS = {"alertname": "WorkbenchHubDown", "severity": "critical"}
ANNOTATIONS = {
    "summary": "The workbench's hub does not answer: nothing is received, no rule is evaluated.",
    "runbook": "docs/alert.md#workbenchhubdown",
}


@dataclass(frozen=True)
class HubWatch:
    """When the hub answered last (a fresh front begins with the present), and the alert if it is firing."""

    seen_us: int
    alert: Alert | None = None


def watch_step(watch: HubWatch, ready: bool, now_us: int) -> tuple[HubWatch, list[Change]]:
    """What an answer, or none, at `now_us` changes."""
    if ready:
        ended = [Change(watch.alert, "resolved", now_us, "hub_answers")] if watch.alert else []
        return HubWatch(now_us), ended
    # A clock that was set back must not postpone the alarm.
    watch = replace(watch, seen_us=min(watch.seen_us, now_us))
    if watch.alert is not None or now_us - watch.seen_us < SILENT_US:
        return watch, []
    alert = Alert(
        fingerprint(LABELS),
        "watch/hub",
        tuple(LABELS.items()),
        tuple(ANNOTATIONS.items()),
        (now_us - watch.seen_us) / 1e6,
        "firing",
        watch.seen_us,
        now_us,
        now_us,
    )
    return replace(watch, alert=alert), [Change(alert, "firing", now_us, "hub_silent")]
