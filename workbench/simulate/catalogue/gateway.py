"""The gateway: requests by route, what is routed and rejected, sign-ins, webhooks, its database and caches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import DOMAINS, PLANS, REQUESTS_PER_SECOND, SIGNINS_PER_SECOND
from workbench.simulate.catalogue.component import FAST_BOUNDS, Component
from workbench.simulate.metric import CANARY, Metric, Reaction, Source

GATEWAY = Component("api_gateway")
RELEASED = Component("api_gateway", CANARY)
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
BROKEN = 0.08
"""Share of the requests that a bad release fails."""

# route: (method, share of requests, median seconds)
ROUTES = {
    "/api/v1/jobs/{job_id}": ("GET", 0.52, 0.012),
    "/api/v1/analytics": ("GET", 0.12, 0.045),
    "/health": ("GET", 0.09, 0.004),
    "/api/v1/reasoning": ("POST", 0.08, 0.060),
    "/api/v1/validate": ("POST", 0.05, 0.035),
    "/api/v1/generate": ("POST", 0.04, 0.080),
    "/api/v1/quality": ("POST", 0.04, 0.050),
    "/api/v1/auth": ("POST", 0.04, 0.018),
    "/api/v1/admin": ("GET", 0.02, 0.022),
}
# (route, status): share of all requests that end so; the others end with 200.
FAILURES = {
    ("/api/v1/generate", "429"): 0.013,
    ("/api/v1/generate", "500"): 0.0015,
    ("/api/v1/auth", "401"): 0.007,
    ("/api/v1/validate", "422"): 0.005,
}
UPSTREAMS = {
    "orchestrator": 0.2,
    "validation": 0.1,
    "quality": 0.08,
    "reasoning": 0.12,
    "database": 0.35,
    "redis": 0.15,
}
SIGNINS = {"oauth2": 0.3, "jwt": 0.5, "key": 0.2}
SIGNIN_FAILS = 0.04
STUFFED = 40.0
"""While passwords are tried, as many times as many sign-ins fail."""


def signins(method: str) -> Source:
    """Attempts to sign in by a method. Stolen passwords are tried where passwords are taken."""
    reacts = (Reaction("stuffing", STUFFED * SIGNIN_FAILS / 0.3),) if method == "oauth2" else ()
    return Source(f"signins:{method}", SIGNINS_PER_SECOND * SIGNINS[method], reacts=reacts)


def metrics() -> Iterator[Metric]:
    """Everything the gateway measures of itself."""
    yield from _requests()
    yield from _released()
    yield from _routing()
    yield from _signins()
    yield from _database()
    yield GATEWAY.saturation("http", 0.22)
    yield from GATEWAY.cache("api", 3.0, 0.28)
    yield from GATEWAY.cache("permission", 2.0, 0.70, (Reaction("stampede", -0.65),))


def requests(route: str) -> Source:
    """The requests to a route. Health is asked for by machines, day and night; people come in crowds."""
    share = ROUTES[route][1]
    rhythm: dict[str, Any] = {"drive": "flat", "dispersion": 1.0} if route == "/health" else {"dispersion": 12.0}
    return Source(f"http:{route}", REQUESTS_PER_SECOND * share, **rhythm)


def _requests() -> Iterator[Metric]:
    name, unit, text = "http.server.request.duration", "s", "Duration of HTTP server requests"
    for route, (method, share, median_seconds) in ROUTES.items():
        at = {"http.request.method": method, "http.route": route, "url.scheme": "https"}
        shape: dict[str, Any] = {"bounds": BOUNDS, "spread": 0.8}
        failed = {status: part / share for (where, status), part in FAILURES.items() if where == route}
        good = 1 - sum(failed.values())
        for domain, part in DOMAINS.items() if route == "/api/v1/generate" else [("", 1.0)]:
            served = {**at, "http.response.status_code": "200", **({"synth.domain": domain} if domain else {})}
            reacts = [Reaction("steal", 1.0, "spread")]
            reacts += [Reaction("release", -part)] if route in RELEASED_ROUTES else []
            reacts += [Reaction("overflow", -0.2 * part)] if domain else []
            more = {**shape, "centre": median_seconds, "share": good * part, "reacts": tuple(reacts)}
            yield GATEWAY.histogram(name, unit, text, requests(route), served, **more)
        for status, part in failed.items():
            reacts = {"401": [Reaction("stuffing", STUFFED * part)], "500": [Reaction("overflow", 0.2)]}.get(status, [])
            more = {**shape, "centre": 0.006, "share": part, "reacts": tuple(reacts)}
            at_failed = {**at, "http.response.status_code": status, "error.type": status}
            yield GATEWAY.histogram(name, unit, text, requests(route), at_failed, **more)
    at = {"http.request.method": "GET", "url.scheme": "https"}
    yield GATEWAY.number("http.server.active_requests", "{request}", "Requests in progress", 4.0, at, spread=0.35)


RELEASED_ROUTES = ("/api/v1/jobs/{job_id}", "/api/v1/analytics")


def _released() -> Iterator[Metric]:
    """Requests that the new version serves: none while there is no release."""
    name, unit, text = "http.server.request.duration", "s", "Duration of HTTP server requests"
    for route in RELEASED_ROUTES:
        method, _, median_seconds = ROUTES[route]
        at = {"http.request.method": method, "http.route": route, "url.scheme": "https"}
        for status, part in (("200", 1 - BROKEN), ("500", BROKEN)):
            failed = {"error.type": status} if status == "500" else {}
            ends = {**at, "http.response.status_code": status, **failed}
            shape: dict[str, Any] = {"bounds": BOUNDS, "spread": 0.8, "centre": median_seconds, "share": 0.0}
            reacts = (Reaction("release", part),)
            yield RELEASED.histogram(name, unit, text, requests(route), ends, reacts=reacts, **shape)


def _routing() -> Iterator[Metric]:
    for upstream, share in UPSTREAMS.items():
        source = Source(f"routed:{upstream}", REQUESTS_PER_SECOND * share)
        moved = 0.2 if upstream == "orchestrator" else 0.0
        for outcome, part, sign in (("success", 0.997, -1), ("failure", 0.003, 1)):
            at = {"synth.outcome": outcome, "synth.upstream": upstream}
            reacts = (Reaction("overflow", sign * moved),) if moved else ()
            text = "Requests routed upstream"
            yield GATEWAY.counter("synth.gateway.routed", "{request}", text, source, at, share=part, reacts=reacts)
    for reason, share in (("rate", 0.5), ("auth", 0.3), ("schema", 0.15), ("size", 0.05)):
        for plan, part in PLANS.items():
            at = {"synth.plan": plan, "synth.reason": reason}
            rate = 0.025 * REQUESTS_PER_SECOND * share * part
            yield GATEWAY.counter("synth.gateway.rejected", "{request}", "Requests rejected", rate, at)
    webhooks = Source("webhooks", 0.0524)
    for outcome, attempt, part in (("success", "1", 0.954), ("success", "2", 0.039), ("failure", "4", 0.007)):
        at = {"synth.attempt": attempt, "synth.outcome": outcome}
        lost = {"1": -0.954, "2": -0.039, "4": 0.993}[attempt]
        reacts = (Reaction("expired:hooks.example.edu", lost),)
        text = "Webhook deliveries"
        yield GATEWAY.counter("synth.webhook.deliveries", "{delivery}", text, webhooks, at, share=part, reacts=reacts)


def _signins() -> Iterator[Metric]:
    for method in SIGNINS:
        # Of (1 + a) times as many attempts, all but the usual ones fail: in shares of the usual, success stays.
        more = STUFFED * SIGNIN_FAILS / 0.3
        for outcome, part in (("success", 1 - SIGNIN_FAILS), ("failure", SIGNIN_FAILS)):
            moved = part / (1 + more) - part if outcome == "success" else 1 - (1 - SIGNIN_FAILS) / (1 + more) - part
            reacts = (Reaction("stuffing", moved),) if method == "oauth2" else ()
            skewed = (Reaction("skewed", -0.3 if outcome == "success" else 0.3),) if method == "jwt" else ()
            at = {"synth.method": method, "synth.outcome": outcome}
            yield GATEWAY.counter(
                "synth.gateway.auth",
                "{attempt}",
                "Sign-ins",
                signins(method),
                at,
                share=part,
                reacts=(*reacts, *skewed),
            )


def _database() -> Iterator[Metric]:
    text = "Duration of database operations"
    shape: dict[str, Any] = {"bounds": FAST_BOUNDS, "centre": 0.003, "spread": 0.7}
    for operation, rate in (("SELECT", 1.6), ("INSERT", 0.4)):
        stampede = (Reaction("stampede", 3.0),) if operation == "SELECT" else ()
        source = Source(f"db:{operation}", rate * REQUESTS_PER_SECOND, reacts=stampede)
        at = {"db.operation.name": operation, "db.system.name": "postgresql"}
        full = Reaction("full:sim-1", -0.9 if operation == "INSERT" else -0.2)
        name = "db.client.operation.duration"
        yield GATEWAY.histogram(name, "s", text, source, at, share=0.9998, reacts=(full,), **shape)
        failed, reacts = {**at, "error.type": "53100"}, (Reaction("full:sim-1", -full.gain),)
        yield GATEWAY.histogram(name, "s", text, source, failed, share=0.0002, reacts=reacts, **shape)
    for state, level in (("used", 6.0), ("idle", 14.0)):
        at = {"db.client.connection.pool.name": "main", "db.client.connection.state": state}
        text = "Connections by state"
        yield GATEWAY.number("db.client.connection.count", "{connection}", text, level, at, elasticity=0.4, spread=0.15)
    at = {"db.client.connection.pool.name": "main"}
    waiting: dict[str, Any] = {"spread": 0.5, "reacts": (Reaction("stampede", 60.0, "value"),)}
    name, text = "db.client.connection.pending_requests", "Requests that wait for a connection"
    yield GATEWAY.number(name, "{request}", text, 0.2, at, **waiting)
    yield GATEWAY.saturation("db", 0.3, Reaction("stampede", 0.6, "value"))
