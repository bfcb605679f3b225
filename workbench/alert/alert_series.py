"""The series ALERTS and ALERTS_FOR_STATE, by which questions can be asked of alerts as of anything else.

As Prometheus 3 writes them: one sample of each at every evaluation, for each alert that is pending or firing.
"""

from __future__ import annotations

from collections.abc import Iterable

from workbench.alert.engine import Alert
from workbench.alert.recording import Recorded


def alert_samples(alerts: Iterable[Alert], time_us: int) -> list[Recorded]:
    """Samples at `time_us`: ALERTS is 1 and bears `alertstate`; ALERTS_FOR_STATE is when it began, in whole seconds."""
    samples: list[Recorded] = []
    for alert in alerts:
        state = {**dict(alert.labels), "__name__": "ALERTS", "alertstate": alert.state}
        begun = {**dict(alert.labels), "__name__": "ALERTS_FOR_STATE"}
        samples.append(Recorded(tuple(sorted(state.items())), time_us, 1.0))
        samples.append(Recorded(tuple(sorted(begun.items())), time_us, float(alert.active_us // 1_000_000)))
    return samples
