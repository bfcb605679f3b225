"""The alert of the keeper: the lake nears its disk cap, and will be shortened when it reaches it."""

from __future__ import annotations

from workbench.alert.engine import Alert, Change, fingerprint

NEAR = 0.9
CLEAR = 0.85
"""Below this share of the cap the alert ends; the gap to NEAR keeps it from coming and going."""

LABELS = {"alertname": "WorkbenchDiskCapNear", "severity": "warning"}


def cap_step(alert: Alert | None, used_bytes: int, cap_bytes: int, now_us: int) -> tuple[Alert | None, list[Change]]:
    """The alert after a look at how full the lake is, and what changed."""
    share = used_bytes / cap_bytes if cap_bytes else 0.0
    if alert is not None:
        if share >= CLEAR:
            return alert, []
        return None, [Change(alert, "resolved", now_us, "below_cap")]
    if share < NEAR:
        return None, []
    annotations = {
        "summary": f"Log and lake use {share:.0%} of their disk cap of {cap_bytes / 1e9:.1f} GB",
        "cause": "At the cap the oldest raw samples go first. Raise lake.cap_bytes, or keep less.",
        "runbook": "docs/alert.md#workbenchdiskcapnear",
    }
    made = Alert(
        fingerprint(LABELS),
        "watch/cap",
        tuple(LABELS.items()),
        tuple(annotations.items()),
        share,
        "firing",
        now_us,
        now_us,
        now_us,
    )
    return made, [Change(made, "firing", now_us, "near_cap")]
