"""The business: who is active, who comes and goes, what is used, what is paid. The gateway reports it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import DAY_SECONDS, FEATURES, MONTH_SECONDS, PLANS, SEGMENTS
from workbench.simulate.catalogue.component import Component
from workbench.simulate.metric import Metric

GATEWAY = Component("api_gateway")
SESSION_BOUNDS = (60.0, 180.0, 600.0, 1800.0, 7200.0)


def metrics() -> Iterator[Metric]:
    """Users, sessions, features, subscriptions, revenue. People are counted one by one (see `people`)."""
    for segment, share in SEGMENTS.items():
        for plan, part in PLANS.items():
            yield from _users(segment, plan, share * part)
        at = {"synth.segment": segment}
        shape: dict[str, Any] = {"bounds": SESSION_BOUNDS, "centre": 540.0, "spread": 1.0}
        counted = {"drive": "flat", "given": f"sessions:{segment}"}
        rate = 870 / DAY_SECONDS * share
        yield GATEWAY.histogram("synth.session.duration", "s", "Duration of sessions", rate, at, **shape, **counted)
        for feature, used in FEATURES.items():
            at = {"synth.feature": feature, "synth.segment": segment}
            counted = {"drive": "flat", "given": f"uses:{feature}:{segment}"}
            rate = 20_000 * used * share / DAY_SECONDS
            yield GATEWAY.counter("synth.feature.uses", "{use}", "Uses of a feature", rate, at, **counted)
    for plan, paying, dollars_a_month in (("premium", 554, 19.0), ("enterprise", 6, 900.0)):
        yield from _plan(plan, paying, dollars_a_month)


def _users(segment: str, plan: str, share: float) -> Iterator[Metric]:
    for window, users, drive, elasticity in (
        ("1d", 620, "season", 1.0),
        ("7d", 1600, "season", 0.6),
        ("30d", 2500, "growth", 1.0),
    ):
        at = {"synth.plan": plan, "synth.segment": segment, "synth.window": window}
        shape: dict[str, Any] = {"drive": drive, "elasticity": elasticity, "spread": 0.01, "quantum": 1.0}
        yield GATEWAY.gauge("synth.users.active", "{user}", "Users seen within the window", users * share, at, **shape)
    at = {"synth.plan": plan, "synth.segment": segment}
    for name, text, rate, given in (
        ("synth.users.signups", "Users who signed up", 30 * share / DAY_SECONDS, "signups"),
        ("synth.users.churned", "Users who left", 14 * share / DAY_SECONDS, "churned"),
    ):
        yield GATEWAY.counter(name, "{user}", text, rate, at, drive="flat", given=f"{given}:{plan}:{segment}")


def _plan(plan: str, paying: int, dollars_a_month: float) -> Iterator[Metric]:
    for state, share in (("paying", 1.0), ("trial", 0.12), ("past_due", 0.02)):
        at = {"synth.plan": plan, "synth.state": state}
        name, text = "synth.subscriptions", "Subscriptions by state"
        yield GATEWAY.number(name, "{subscription}", text, paying * share, at, drive="growth", spread=0.002)
    for kind, share in (("new", 0.06), ("renewal", 0.9), ("expansion", 0.03), ("refund", 0.01)):
        at = {"synth.kind": kind, "synth.plan": plan}
        payments: dict[str, Any] = {"quantum": dollars_a_month, "drive": "growth", "dispersion": 1.5}
        rate = paying * share / MONTH_SECONDS
        yield GATEWAY.counter("synth.revenue", "{USD}", "Revenue booked", rate, at, **payments)
