"""The business: who is active, who comes and goes, what is used, what is paid. The gateway reports it."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.simulate.catalogue.company import DAY_SECONDS, MONTH_SECONDS, SEGMENTS
from workbench.simulate.catalogue.component import Component
from workbench.simulate.metric import Metric

GATEWAY = Component("api_gateway")
FEATURES = {"generate": 0.30, "review": 0.25, "analytics": 0.15, "share": 0.12, "export": 0.10, "settings": 0.08}


def metrics() -> Iterator[Metric]:
    """Users, features, subscriptions, revenue."""
    for segment, share in SEGMENTS.items():
        yield from _users(segment, share)
    for feature, share in FEATURES.items():
        at = {"synth.feature": feature}
        yield GATEWAY.counter("synth.feature.uses", "{use}", "Uses of a feature", 20_000 * share / DAY_SECONDS, at)
    for plan, paying, dollars_a_month in (("premium", 554, 19.0), ("enterprise", 6, 900.0)):
        yield from _plan(plan, paying, dollars_a_month)


def _users(segment: str, share: float) -> Iterator[Metric]:
    for window, users, drive, elasticity in (
        ("1d", 620, "season", 1.0),
        ("7d", 1600, "season", 0.6),
        ("30d", 2500, "growth", 1.0),
    ):
        at = {"synth.segment": segment, "synth.window": window}
        shape = {"drive": drive, "elasticity": elasticity, "spread": 0.01, "quantum": 1.0}
        yield GATEWAY.gauge("synth.users.active", "{user}", "Users seen within the window", users * share, at, **shape)
    at = {"synth.segment": segment}
    few = {"drive": "season", "dispersion": 1.5}
    yield GATEWAY.counter("synth.users.signups", "{user}", "Users who signed up", 30 * share / DAY_SECONDS, at, **few)
    yield GATEWAY.counter("synth.users.churned", "{user}", "Users who left", 14 * share / DAY_SECONDS, at, **few)


def _plan(plan: str, paying: int, dollars_a_month: float) -> Iterator[Metric]:
    for state, share in (("paying", 1.0), ("trial", 0.12), ("past_due", 0.02)):
        at = {"synth.plan": plan, "synth.state": state}
        shape = {"drive": "growth", "spread": 0.002}
        yield GATEWAY.number(
            "synth.subscriptions", "{subscription}", "Subscriptions by state", paying * share, at, **shape
        )
    for kind, share in (("new", 0.06), ("renewal", 0.9), ("expansion", 0.03)):
        at = {"synth.kind": kind, "synth.plan": plan}
        payments = {"quantum": dollars_a_month, "drive": "growth", "dispersion": 1.5}
        yield GATEWAY.counter(
            "synth.revenue", "{USD}", "Revenue booked", paying * share / MONTH_SECONDS, at, **payments
        )
