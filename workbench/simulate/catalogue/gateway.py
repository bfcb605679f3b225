"""The gateway: requests by route, what is routed and rejected, sign-ins, webhooks, its database and caches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import PLANS, REQUESTS_PER_SECOND
from workbench.simulate.catalogue.component import FAST_BOUNDS, Component
from workbench.simulate.metric import Metric

GATEWAY = Component("api_gateway")
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

# route: (method, share of requests, median seconds)
ROUTES = {
    "/api/v1/jobs/{job_id}": ("GET", 0.52, 0.012),
    "/api/v1/analytics": ("GET", 0.12, 0.045),
    "/health": ("GET", 0.09, 0.004),
    "/api/v1/reasoning": ("POST", 0.08, 0.060),
    "/api/v1/validate": ("POST", 0.05, 0.035),
    "/api/v1/generate": ("POST", 0.04, 0.080),
}
UPSTREAMS = {
    "orchestrator": 0.2,
    "validation": 0.1,
    "quality": 0.08,
    "reasoning": 0.12,
    "database": 0.35,
    "redis": 0.15,
}


def metrics() -> Iterator[Metric]:
    """Everything the gateway measures of itself."""
    yield from _requests()
    yield from _routing()
    yield GATEWAY.histogram(
        "db.client.operation.duration",
        "s",
        "Duration of database operations",
        2 * REQUESTS_PER_SECOND,
        {"db.operation.name": "SELECT", "db.system.name": "postgresql"},
        bounds=FAST_BOUNDS,
        centre=0.003,
        spread=0.7,
    )
    yield GATEWAY.saturation("http", 0.22)
    yield GATEWAY.saturation("db", 0.3)
    yield from GATEWAY.cache("api", 3.0, 0.28)
    yield from GATEWAY.cache("permission", 2.0, 0.72)


def _requests() -> Iterator[Metric]:
    name, unit, text = "http.server.request.duration", "s", "Duration of HTTP server requests"
    shape: dict[str, Any] = {"bounds": BOUNDS, "spread": 0.8}
    for route, (method, share, median_seconds) in ROUTES.items():
        at = {"http.request.method": method, "http.route": route, "url.scheme": "https"}
        # Health is asked for by machines, day and night, one after the other; people come in crowds.
        rhythm = {"drive": "flat", "dispersion": 1.0} if route == "/health" else {"dispersion": 12.0}
        more = {**shape, "centre": median_seconds, **rhythm}
        served = {**at, "http.response.status_code": "200"}
        yield GATEWAY.histogram(name, unit, text, REQUESTS_PER_SECOND * share * 0.97, served, **more)
        if route == "/api/v1/generate":
            for status, share_failed in (("429", 0.013), ("500", 0.0015)):
                failed = {**at, "http.response.status_code": status, "error.type": status}
                rate = REQUESTS_PER_SECOND * share_failed
                yield GATEWAY.histogram(name, unit, text, rate, failed, **shape, centre=0.006, dispersion=3.0)
    at = {"http.request.method": "GET", "url.scheme": "https"}
    yield GATEWAY.number("http.server.active_requests", "{request}", "Requests in progress", 4.0, at, spread=0.35)


def _routing() -> Iterator[Metric]:
    for upstream, share in UPSTREAMS.items():
        for outcome, part in (("success", 0.997), ("failure", 0.003)):
            at = {"synth.outcome": outcome, "synth.upstream": upstream}
            rate = REQUESTS_PER_SECOND * share * part
            yield GATEWAY.counter("synth.gateway.routed", "{request}", "Requests routed upstream", rate, at)
    for reason, share in (("rate", 0.5), ("auth", 0.3), ("schema", 0.15), ("size", 0.05)):
        for plan, part in PLANS.items():
            at = {"synth.plan": plan, "synth.reason": reason}
            rate = 0.025 * REQUESTS_PER_SECOND * share * part
            yield GATEWAY.counter("synth.gateway.rejected", "{request}", "Requests rejected", rate, at)
    for method, share in (("oauth2", 0.3), ("jwt", 0.5), ("key", 0.2)):
        for outcome, part in (("success", 0.96), ("failure", 0.04)):
            at = {"synth.method": method, "synth.outcome": outcome}
            yield GATEWAY.counter("synth.gateway.auth", "{attempt}", "Sign-ins", 0.1 * share * part, at)
    for outcome, attempt, rate in (("success", "1", 0.05), ("success", "2", 0.002), ("failure", "4", 0.0004)):
        at = {"synth.attempt": attempt, "synth.outcome": outcome}
        yield GATEWAY.counter("synth.webhook.deliveries", "{delivery}", "Webhook deliveries", rate, at)
