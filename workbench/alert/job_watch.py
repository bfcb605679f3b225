"""The alert of a scheduled job that failed: raised when a run is given up, ended by the next one that is done."""

from __future__ import annotations

from workbench.alert.engine import Alert, Change, fingerprint


def owner(job: str) -> str:
    """The key under which the alert of a job is kept."""
    return f"watch/job/{job}"


def step(alert: Alert | None, job: str, title: str, error: str, now_us: int) -> list[Change]:
    """What the end of a run changes; `error` is empty where it is done, `alert` the one that fires already."""
    if not error:
        return [Change(alert, "resolved", now_us, "run_done")] if alert else []
    labels = {"alertname": "WorkbenchJobFailed", "scheduled_job": job, "severity": "warning"}
    annotations = {
        "summary": f"{title} failed: {error[:500]}",
        "runbook": "docs/jobs.md#when-a-run-fails",
    }
    active_us = alert.active_us if alert else now_us
    fired = Alert(
        fingerprint(labels),
        owner(job),
        tuple(sorted(labels.items())),
        tuple(annotations.items()),
        1.0,
        "firing",
        active_us,
        alert.fired_us if alert else now_us,
        now_us,
    )
    return [] if alert else [Change(fired, "firing", now_us, "run_failed")]
