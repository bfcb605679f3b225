"""What people change, plan and announce: deploys, configuration, prompts, prices, flags, goals, the calendar, jobs.

A change that starts or ends an incident is told when it happens; that of a price may be told hours late.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from workbench.simulate.catalogue.company import DOMAINS
from workbench.simulate.catalogue.learning import JOBS
from workbench.simulate.faults.schedule import Incident, iso
from workbench.simulate.grid import CELL_US, CHANGES, generator
from workbench.simulate.metric import NEXT_VERSION, VERSION
from workbench.simulate.rows.counts import Cell
from workbench.simulate.rows.events import Events
from workbench.simulate.rows.items import month_of
from workbench.simulate.shapes import DAY_US, SECOND_US

HOUR_US = 3600 * SECOND_US
LATE_US = 6 * HOUR_US
"""A change of price is told up to so much later."""
OPTIMISER = "dspy_optimizer"
HOLIDAYS = ((1, 1, "New Year"), (5, 1, "Labour Day"), (7, 4, "Independence Day"), (12, 25, "Christmas"))
GOALS = {
    "synth.quality.accuracy": 0.95,
    "synth.users.active": 700.0,
    "synth.llm.cost": 2000.0,
    "synth.revenue": 17_000.0,
}
# kind of incident: (what changes, at its start and at its end; component; what it was, what it is)
CHANGED = {
    "prompt_regression": ("prompt", "dspy_optimizer", "prompt-41", "prompt-42"),
    "validator_fp_surge": ("config", "domain_validator", "threshold=0.80", "threshold=0.55"),
    "memory_leak": ("deployed", "{component}", VERSION, f"{VERSION}+1"),
    "cohort_loss": ("deployed", "api_gateway", VERSION, f"{VERSION}+1"),
    "price_change": ("price", "orchestrator", "1.0", "1.5"),
}


def add_changes(cell: Cell, events: Events) -> None:
    """All that is changed, planned or announced in a cell, and the jobs that the counters count."""
    for incident in cell.platform.schedule.incidents(cell.start_us - LATE_US, cell.end_us):
        _of_incident(cell, events, incident)
    _routine(cell, events)
    _jobs(cell, events)


def _put(cell: Cell, events: Events, name: str, service: str, time_us: int, data: dict[str, Any]) -> None:
    if cell.start_us <= time_us < cell.end_us:
        events.add(name, service, time_us, data.get("service.name"), data)


def _of_incident(cell: Cell, events: Events, incident: Incident) -> None:
    start_us, end_us = incident.start_us, incident.end_us
    if incident.kind in CHANGED:
        what, where, old, new = CHANGED[incident.kind]
        service = where.replace("{component}", incident.target)
        if incident.kind == "price_change":
            chance = generator(cell.platform.seed, CHANGES, start_us // CELL_US)
            start_us += int(chance.random() * min(LATE_US, (end_us - start_us) // 4))
        data = {"service.name": service, "old": old, "new": new, "actor": "deploy-bot"}
        if incident.kind in {"prompt_regression", "price_change"}:
            data |= {"domain" if what == "prompt" else "model": incident.target}
        _put(cell, events, f"change.{what}", service, start_us, data)
        undone = what if what in {"price", "deployed"} else "rolled_back"
        _put(cell, events, f"change.{undone}", service, end_us, {**data, "old": new, "new": old})
    elif incident.kind == "bad_release":
        data = {"service.name": "api_gateway", "service.version": NEXT_VERSION, "old": VERSION, "new": NEXT_VERSION}
        for time_us, share in ((start_us, 0.1), (start_us + (end_us - start_us) // 3, 1.0)):
            _put(cell, events, "change.deployed", "api_gateway", time_us, {**data, "share": share})
        _put(cell, events, "change.rolled_back", "api_gateway", end_us, {**data, "old": NEXT_VERSION, "new": VERSION})
    elif incident.kind == "traffic_surge":
        launch = {"name": "launch", "from": iso(start_us), "until": iso(end_us)}
        _put(cell, events, "calendar.launch", "api_gateway", start_us, launch)


def _routine(cell: Cell, events: Events) -> None:
    """What happens by the clock: replicas twice a day, a flag and a model now and then, goals by the month."""
    day, at = cell.start_us // DAY_US, dt.datetime.fromtimestamp(cell.start_us / SECOND_US, dt.UTC)
    if (at.hour, at.minute) in {(7, 0), (18, 0)}:
        up = at.hour == 7
        scaled = {
            "service.name": "orchestrator",
            "old": "3" if up else "5",
            "new": "5" if up else "3",
            "actor": "autoscaler",
        }
        _put(cell, events, "change.scaled", "orchestrator", cell.start_us + SECOND_US, scaled)
    if at.weekday() == 1 and (at.hour, at.minute) == (9, 0):
        flag = {"service.name": "api_gateway", "old": "off", "new": f"hints-{day % 5}", "actor": "product"}
        _put(cell, events, "change.flag", "api_gateway", cell.start_us + SECOND_US, flag)
    if at.day == 15 and (at.hour, at.minute) == (10, 0):
        model = {
            "service.name": "orchestrator",
            "old": "gpt-4.1-mini",
            "new": "gpt-4.1-mini",
            "share": 0.0,
            "actor": "ml",
        }
        _put(cell, events, "change.model", "orchestrator", cell.start_us + SECOND_US, model)
    if at.day == 1 and (at.hour, at.minute) == (0, 0):
        deployed = {"service.version": VERSION, "old": VERSION, "new": VERSION, "share": 1.0, "actor": "deploy-bot"}
        _put(cell, events, "change.deployed", "api_gateway", cell.start_us, {"service.name": "api_gateway", **deployed})
        until = (at + dt.timedelta(days=32)).replace(day=1)
        for metric, target in GOALS.items():
            goal = {"metric": metric, "target": target, "from": at.isoformat(), "until": until.isoformat()}
            _put(cell, events, "goal.set", "api_gateway", cell.start_us + SECOND_US, goal)
    for month, day_of_month, name in HOLIDAYS:
        if (at.month, at.day, at.hour, at.minute) == (month, day_of_month, 0, 0):
            holiday = {"name": name, "from": at.isoformat(), "until": (at + dt.timedelta(days=1)).isoformat()}
            _put(cell, events, "calendar.holiday", "api_gateway", cell.start_us, holiday)


def _jobs(cell: Cell, events: Events) -> None:
    """Jobs are numbered as items are: created, started and ended where the counters pass their number."""
    random = cell.random(CHANGES)
    for domain in DOMAINS:
        totals = {
            status: cell.total("synth.dspy.jobs", synth__domain=domain, synth__status=status)
            for status in ("pending", "running", *JOBS)
        }
        for status, name in (("pending", "created"), ("running", "started")):
            first, last = totals[status]
            for number in range(first + 1, last + 1):
                _job(cell, events, random, domain, number, name, {})
        ended = sum(totals[status][0] for status in JOBS)
        for status in JOBS:
            for _ in range(totals[status][1] - totals[status][0]):
                ended += 1
                gained = {
                    "gain": round(float(random.normal(0.01, 0.02)), 4),
                    "cost_usd": round(float(random.gamma(4, 0.4)), 4),
                }
                result = gained if status == "completed" else {"reason": status}
                _job(cell, events, random, domain, ended, "completed" if status == "completed" else "failed", result)


def _job(
    cell: Cell, events: Events, random: np.random.Generator, domain: str, number: int, name: str, data: dict[str, Any]
) -> None:
    job = f"j-{domain}-{month_of(cell.start_us)}-{number}"
    # Created, started and ended in this order where it is all within a cell.
    earliest = {"created": 0, "started": CELL_US // 3, "completed": CELL_US * 2 // 3, "failed": CELL_US * 2 // 3}[name]
    time_us = cell.start_us + earliest + int(random.random() * CELL_US / 3)
    events.add(f"job.{name}", OPTIMISER, time_us, job, {"job": job, "kind": "optimise", **data}, ("domain", domain))
