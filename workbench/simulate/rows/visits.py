"""What people do: sign up, come, use features, look at pages, pay, leave; consent and privacy; experiments."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from workbench.simulate.catalogue.company import FEATURES, PAGES
from workbench.simulate.grid import VISITS
from workbench.simulate.people import CHANNELS, PAGES_PER_SESSION, Day, cohort_of, treated
from workbench.simulate.rows.counts import Cell
from workbench.simulate.rows.events import Events
from workbench.simulate.shapes import DAY_US, SECOND_US

GATEWAY = "api_gateway"
PURPOSES = ("product_analytics", "marketing")
SELDOM = {"user.downgraded": 0.6, "consent.withdrawn": 1.0, "privacy.access": 0.5, "privacy.erasure": 0.2}
"""How often a day."""
EXPOSED = 0.5


def add_visits(cell: Cell, events: Events, *, detail: bool) -> None:
    """What people do in a cell; without `detail`, all but the single uses and pages."""
    number, random = cell.start_us // DAY_US, cell.random(VISITS)
    day = cell.platform.people.day(number)
    _joined(cell, events, number)
    for (of_day, k), time_us in zip(
        day.left[_within(cell, day.left_us)], day.left_us[_within(cell, day.left_us)], strict=True
    ):
        _user(cell, events, "user.churned", int(time_us), int(of_day), int(k), {})
    started = _within(cell, day.start_us)
    _sessions(cell, events, day, started, random)
    _ended(cell, events, day, number)
    if detail:
        _used(cell, events, day)
        _pages(cell, events, day, started, random)
    _seldom(cell, events, day, random)


def session_id(user: str, start_us: int) -> str:
    """The id of a session, by who began it and when."""
    return "s-" + hashlib.blake2s(f"{user}/{start_us}".encode(), digest_size=8).hexdigest()


def _within(cell: Cell, times_us: np.ndarray) -> np.ndarray:
    return np.flatnonzero((times_us >= cell.start_us) & (times_us < cell.end_us))


def _user(cell: Cell, events: Events, name: str, time_us: int, of_day: int, k: int, data: dict[str, Any]) -> str:
    user, plan, segment, country = cell.platform.people.user(of_day, k)
    whole = {"user": user, "plan": plan, "segment": segment, "country": country, **data}
    events.add(name, GATEWAY, time_us, user, whole, ("plan", plan), ("segment", segment))
    return user


def _joined(cell: Cell, events: Events, number: int) -> None:
    cohort = cohort_of(cell.platform.seed, number)
    for k in _within(cell, cohort.time_us).tolist():
        time_us = int(cohort.time_us[k])
        data = {"channel": list(CHANNELS)[cohort.channel[k]]}
        user = _user(cell, events, "user.signed_up", time_us, number, k, data)
        for purpose in PURPOSES[: 1 + k % 2]:
            given = {"user": user, "purpose": purpose, "basis": "consent"}
            events.add("consent.granted", GATEWAY, time_us + 1000, user, given)


def _sessions(cell: Cell, events: Events, day: Day, started: np.ndarray, random: np.random.Generator) -> None:
    flag = f"editor-hints-{cell.start_us // (30 * DAY_US)}"
    for row in started.tolist():
        (of_day, k), start_us = day.users[row].tolist(), int(day.start_us[row])
        user, plan, segment, _ = cell.platform.people.user(of_day, k)
        data: dict[str, Any] = {"session.id": session_id(user, start_us), "user": user}
        before = np.flatnonzero((day.users[:row] == day.users[row]).all(axis=1))
        if len(before):
            data["session.previous_id"] = session_id(user, int(day.start_us[before[-1]]))
        events.add("session.start", GATEWAY, start_us, user, data, ("plan", plan), ("segment", segment))
        if random.random() < EXPOSED:
            variant = "treatment" if treated(of_day, k, start_us // DAY_US) else "control"
            shown = {"feature_flag.key": flag, "feature_flag.result.variant": variant, "feature_flag.context.id": user}
            events.add(
                "experiment.exposed", GATEWAY, start_us + 1000, user, shown, ("plan", plan), ("segment", segment)
            )


def _ended(cell: Cell, events: Events, day: Day, number: int) -> None:
    for which in (cell.platform.people.day(number - 1), day):
        ended_us = which.start_us + (which.duration_seconds * SECOND_US).astype(np.int64)
        for row in _within(cell, ended_us).tolist():
            user, plan, segment, _ = cell.platform.people.user(*which.users[row].tolist())
            data: dict[str, Any] = {"session.id": session_id(user, int(which.start_us[row])), "user": user}
            data["duration_s"] = float(which.duration_seconds[row])
            events.add("session.end", GATEWAY, int(ended_us[row]), user, data, ("plan", plan), ("segment", segment))


def _used(cell: Cell, events: Events, day: Day) -> None:
    names = list(FEATURES)
    for row in _within(cell, day.used_us).tolist():
        session = int(day.used_in[row])
        user, plan, segment, _ = cell.platform.people.user(*day.users[session].tolist())
        data = {"feature": names[day.feature[row]], "session.id": session_id(user, int(day.start_us[session]))}
        events.add("feature.used", GATEWAY, int(day.used_us[row]), user, data, ("plan", plan), ("segment", segment))


def _pages(cell: Cell, events: Events, day: Day, started: np.ndarray, random: np.random.Generator) -> None:
    for row in started.tolist():
        user, plan, segment, _ = cell.platform.people.user(*day.users[row].tolist())
        start_us = int(day.start_us[row])
        longest_us = min(int(day.duration_seconds[row] * SECOND_US), cell.end_us - start_us - 1)
        for _ in range(1 + int(random.poisson(PAGES_PER_SESSION - 1))):
            data = {"page": PAGES[int(random.integers(len(PAGES)))], "session.id": session_id(user, start_us)}
            time_us = start_us + int(random.random() * longest_us)
            events.add("page.viewed", GATEWAY, time_us, user, data, ("plan", plan), ("segment", segment))


def _seldom(cell: Cell, events: Events, day: Day, random: np.random.Generator) -> None:
    """Upgrades are as many as new subscriptions are paid; the rest happens now and then."""
    upgrades = [
        (plan, time_us)
        for plan in ("premium", "enterprise")
        for time_us in cell.times(random, cell.number("synth.revenue", synth__kind="new", synth__plan=plan)).tolist()
    ]
    seldom = [
        (name, time_us)
        for name, per_day in SELDOM.items()
        for time_us in cell.times(random, int(random.poisson(per_day / 288))).tolist()
    ]
    if not len(day.users):
        return
    for plan, time_us in upgrades:
        of_day, k = day.users[int(random.integers(len(day.users)))].tolist()
        _user(cell, events, "user.upgraded", time_us, of_day, k, {"plan": plan})
    for name, time_us in seldom:
        of_day, k = day.users[int(random.integers(len(day.users)))].tolist()
        user = cell.platform.people.user(of_day, k)[0]
        request = f"r-{time_us // SECOND_US:x}"
        if name == "user.downgraded":
            _user(cell, events, name, time_us, of_day, k, {"plan": "default"})
        elif name == "consent.withdrawn":
            events.add(name, GATEWAY, time_us, user, {"user": user, "purpose": PURPOSES[0], "basis": "consent"})
        else:
            events.add(name, GATEWAY, time_us, user, {"user": user, "request": request, "basis": "GDPR"})
            if name == "privacy.erasure":
                events.add("user.erased", GATEWAY, time_us + 2000, user, {"user": user, "request": request})
