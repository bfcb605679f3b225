"""Incidents that were started by hand: a line each in a file beside the truth, read by the running demo.

Who starts one only adds a line; the demo looks at the file at every step, so the incident is on the pages within
seconds, and is part of the same history whenever that is loaded again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from workbench import log
from workbench.config import Settings
from workbench.errors import InputError, WorkbenchError
from workbench.simulate.faults.kinds import KINDS, Kind
from workbench.simulate.faults.schedule import Incident
from workbench.simulate.grid import STEP_US
from workbench.simulate.plan import write_json
from workbench.simulate.shapes import SECOND_US

_LOG = log.get(__name__)


def started_file(settings: Settings) -> Path:
    """Where the incidents that were started by hand stand."""
    return settings.state_dir / "incidents.jsonl"


def started(settings: Settings) -> tuple[Incident, ...]:
    """All incidents that were started by hand, the oldest first. A line that cannot be read is passed over, loudly."""
    found = []
    try:
        lines = started_file(settings).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    for number, line in enumerate(lines, 1):
        try:
            document = json.loads(line)
            incident = Incident(document["kind"], document["start_us"], document["end_us"], document["target"])
            if incident.kind not in KINDS:
                raise ValueError(f"no kind {incident.kind}")
        except (ValueError, KeyError, TypeError) as error:
            _LOG.warning("incident_unreadable", line=number, error=repr(error))
            continue
        found.append(incident)
    return tuple(found)


def start(settings: Settings, kind: str, *, duration_seconds: float | None = None, target: str = "") -> Incident:
    """Start an incident of a kind on the running demo; it begins within 20 s.

    Without a duration it lasts as long as the shortest of its kind; in a shorter one the followers come faster in
    proportion. Raises InputError for a kind or a target that there is not, WorkbenchError where no demo runs.
    """
    chosen = named(kind)
    if target and target not in chosen.targets:
        raise InputError(
            f"{kind} has no target {target}", where="--target", hint=f"There are {', '.join(chosen.targets)}."
        )
    if not (settings.runtime_dir / "demo.json").exists():
        raise WorkbenchError(
            "the simulated platform does not run", where=str(settings.home), hint="Start it: `workbench up`."
        )
    lasts_us = round((duration_seconds or chosen.lasts_seconds[0]) * SECOND_US) // STEP_US * STEP_US
    if lasts_us < STEP_US:
        raise InputError("an incident lasts 10 s at least", where="--duration")
    # One step ahead: the demo must have read of it before the moment is measured.
    start_us = (time.time_ns() // 1000 // STEP_US + 2) * STEP_US
    incident = Incident(kind, start_us, start_us + lasts_us, target or chosen.targets[0])
    known = [(one.kind, one.start_us, one.end_us, one.target) for one in (*started(settings), incident)]
    fields = ("kind", "start_us", "end_us", "target")
    write_json(started_file(settings), *(dict(zip(fields, one, strict=True)) for one in known))
    return incident


def named(kind: str) -> Kind:
    """The kind of that name. Raises InputError, which names those there are."""
    if kind not in KINDS:
        raise InputError(f"there is no incident {kind}", where="--incident", hint=f"There are {', '.join(KINDS)}.")
    return KINDS[kind]
