"""Security events shaped by OCSF 1.x: sign-ins, accounts, rights, keys, exports.

The data of an event is the OCSF object: `class_uid`, `activity_id`, `type_uid` = class_uid x 100 + activity_id. There
are as many sign-ins as the gateway counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.simulate.catalogue.gateway import SIGNINS
from workbench.simulate.faults.schedule import Incident
from workbench.simulate.grid import CELL_US, SECURITY, generator
from workbench.simulate.people import MOST_SIGNUPS, cohort_of
from workbench.simulate.rows.counts import Cell
from workbench.simulate.rows.events import Events
from workbench.simulate.shapes import DAY_US, SECOND_US

# class: class_uid
CLASSES = {
    "account_change": 3001,
    "authentication": 3002,
    "user_access": 3005,
    "web_resources": 6001,
    "api_activity": 6003,
    "datastore": 6005,
}
LOGON, LOGOFF, PASSWORD, LOCK, MFA, EXPORT, CREATE = 1, 2, 3, 9, 10, 7, 1
TRIED_SUCCEEDS = 0.005
EXPORT_BYTES = 40_000
STOLEN_TIMES = 50
CITIES = {
    "US": ("New York", 40.7, -74.0), "GB": ("London", 51.5, -0.1), "DE": ("Berlin", 52.5, 13.4),
    "CA": ("Toronto", 43.7, -79.4), "IN": ("Delhi", 28.6, 77.2), "BR": ("Sao Paulo", -23.6, -46.6),
}  # fmt: skip
ODD = (("RO", "Bucharest", 44.4, 26.1), ("VN", "Hanoi", 21.0, 105.8), ("NG", "Lagos", 6.5, 3.4))
# (class, activity, times a day, words)
ROUTINE = (
    ("account_change", PASSWORD, 5.0, "Password changed"),
    ("account_change", MFA, 2.0, "Second factor enabled"),
    ("user_access", 1, 1.5, "Rights assigned"),
    ("datastore", 2, 4.0, "Backup read"),
    ("api_activity", CREATE, 1.0, "Key created"),
)

User = tuple[str, str]


def add_security(cell: Cell, events: Events, *, detail: bool) -> None:
    """The security events of a cell; without `detail`, all but the ordinary sign-ins and exports."""
    random = cell.random(SECURITY)
    present = cell.platform.schedule.incidents(cell.start_us, cell.end_us)
    if detail:
        _sign_ins(cell, events, random, stuffed=any(one.kind == "credential_stuffing" for one in present))
        _exports(cell, events, random)
    for name, activity, per_day, words in ROUTINE:
        for time_us in cell.times(random, int(random.poisson(per_day / 288))).tolist():
            user = some_user(cell, random)
            _event(events, name, activity, time_us, user, at_home(user, random), message=words)
    for incident in present:
        attack = ATTACKS.get(incident.kind)
        if attack is not None:
            attack(cell, events, incident)


def some_user(cell: Cell, random: np.random.Generator) -> User:
    """Pseudonym and country of somebody who signed up in the last weeks or today."""
    number = cell.start_us // DAY_US
    while True:
        of_day = number - 1 - int(random.integers(60))
        count = len(cohort_of(cell.platform.seed, of_day).plan)
        k = int(random.integers(MOST_SIGNUPS))
        if k < count:
            user, _, _, country = cell.platform.people.user(of_day, k)
            return user, country


def at_home(user: User, random: np.random.Generator) -> dict[str, Any]:
    """The usual place of a user, and an address there."""
    city, latitude, longitude = CITIES[user[1]]
    place = {"country": user[1], "city": city, "lat": latitude, "long": longitude}
    # Addresses for documentation (RFC 5737): nobody's.
    return {"ip": f"203.0.113.{sum(user[0].encode()) % 250 + 1}", "location": place}


def abroad(random: np.random.Generator) -> dict[str, Any]:
    """An odd place, and one of many addresses (RFC 2544, for benchmarks)."""
    country, city, latitude, longitude = ODD[int(random.integers(len(ODD)))]
    ip = f"198.18.{int(random.integers(256))}.{int(random.integers(1, 255))}"
    return {"ip": ip, "location": {"country": country, "city": city, "lat": latitude, "long": longitude}}


def _event(
    events: Events, name: str, activity: int, time_us: int, user: User, where: dict[str, Any], **more: Any
) -> None:
    uid = CLASSES[name]
    data = {
        "class_uid": uid,
        "activity_id": activity,
        "type_uid": uid * 100 + activity,
        "time": time_us // 1000,
        "severity_id": 1,
        "status_id": 1,
        "user": {"uid": user[0]},
        "src_endpoint": where,
        **more,
    }
    events.add(f"security.{name}", "api_gateway", time_us, user[0], data)


def _sign_ins(cell: Cell, events: Events, random: np.random.Generator, *, stuffed: bool) -> None:
    for method in SIGNINS:
        for outcome, status in (("success", 1), ("failure", 2)):
            count = cell.number("synth.gateway.auth", synth__method=method, synth__outcome=outcome)
            for time_us in cell.times(random, count).tolist():
                tried = stuffed and method == "oauth2" and outcome == "failure"
                user = some_user(cell, random)
                where = abroad(random) if tried else at_home(user, random)
                succeeds = tried and random.random() < TRIED_SUCCEEDS
                ends = {"status_id": 1 if succeeds else status, "auth_protocol": method}
                _event(events, "authentication", LOGON, time_us, user, where, **ends)


def _exports(cell: Cell, events: Events, random: np.random.Generator) -> None:
    counts = [
        cell.number("synth.feature.uses", synth__feature="export", synth__segment=segment)
        for segment in ("teacher", "student", "school", "publisher", "integration")
    ]
    for time_us in cell.times(random, sum(counts)).tolist():
        user = some_user(cell, random)
        size = int(EXPORT_BYTES * np.exp(0.8 * random.standard_normal()))
        _event(events, "web_resources", EXPORT, time_us, user, at_home(user, random), web_resources=[{"size": size}])


def _victim(cell: Cell, incident: Incident) -> tuple[User, np.random.Generator]:
    """Whom an incident is about, and its own chance: the same in all cells."""
    random = generator(cell.platform.seed, SECURITY, -1 - incident.start_us // CELL_US)
    there = Cell(cell.platform, incident.start_us // CELL_US)
    return some_user(there, random), random


def _taken_over(cell: Cell, events: Events, incident: Incident) -> None:
    """An hour later those whose password was found sign in from odd places; locks follow the failures."""
    random = generator(cell.platform.seed, SECURITY, -1 - cell.place)
    signals = {name: (start_us, end_us) for name, _, start_us, end_us in incident.effects()}
    start_us, end_us = signals["taken_over"]
    if start_us < cell.end_us and cell.start_us < end_us:
        for time_us in cell.times(random, int(random.poisson(0.5))).tolist():
            _event(
                events,
                "authentication",
                LOGON,
                time_us,
                some_user(cell, random),
                abroad(random),
                auth_protocol="oauth2",
            )
    if incident.start_us < cell.end_us and cell.start_us < incident.end_us:
        for time_us in cell.times(random, int(random.poisson(2.0))).tolist():
            user = some_user(cell, random)
            _event(events, "account_change", LOCK, time_us, user, at_home(user, random), message="Account locked")


def _travels(cell: Cell, events: Events, incident: Incident) -> None:
    """A sign-in at home, and one far away 20 minutes later; over a VPN the second says so."""
    user, random = _victim(cell, incident)
    far = abroad(random)
    if incident.target == "vpn":
        far |= {"is_vpn": True}
    for time_us, where in ((incident.start_us, at_home(user, random)), (incident.start_us + 1200 * SECOND_US, far)):
        if cell.start_us <= time_us < cell.end_us:
            _event(events, "authentication", LOGON, time_us, user, where, auth_protocol="oauth2")


def _exfiltrates(cell: Cell, events: Events, incident: Incident) -> None:
    user, chance = _victim(cell, incident)
    where = at_home(user, chance)
    if cell.start_us <= incident.start_us < cell.end_us:
        _event(events, "api_activity", CREATE, incident.start_us, user, where, message="Key created")
    random = generator(cell.platform.seed, SECURITY, -1 - cell.place)
    for time_us in cell.times(random, 6).tolist():
        if incident.start_us < time_us < incident.end_us:
            size = int(EXPORT_BYTES * STOLEN_TIMES * np.exp(0.3 * random.standard_normal()))
            _event(events, "web_resources", EXPORT, time_us, user, where, web_resources=[{"size": size}])


ATTACKS: dict[str, Callable[[Cell, Events, Incident], None]] = {
    "credential_stuffing": _taken_over,
    "impossible_travel": _travels,
    "data_exfiltration": _exfiltrates,
}
