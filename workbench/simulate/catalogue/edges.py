"""Calls from component to component and to the world: duration, errors, certificates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import CALLS_PER_SECOND, REQUESTS_PER_SECOND
from workbench.simulate.catalogue.component import Component
from workbench.simulate.metric import Metric, Reaction, Source

BOUNDS = (0.01, 0.05, 0.25, 1.0, 4.0)

# address: (component that calls, method, port, calls per second, median seconds)
EDGES = {
    "api.openai.com": ("orchestrator", "POST", "443", 0.87 * CALLS_PER_SECOND, 1.7),
    "generativelanguage.googleapis.com": ("orchestrator", "POST", "443", 0.12 * CALLS_PER_SECOND, 3.2),
    "hooks.example.edu": ("api_gateway", "POST", "443", 0.053, 0.18),
    "id.example.org": ("api_gateway", "GET", "443", 0.03, 0.09),
    "orchestrator": ("api_gateway", "POST", "8080", 0.2 * REQUESTS_PER_SECOND, 0.03),
    "sandbox": ("domain_validator", "POST", "8090", 0.05, 0.2),
}
TLS_ERROR = "ssl.SSLCertVerificationError"


def metrics() -> Iterator[Metric]:
    """Calls by callee; for those over TLS, errors of their certificate, and when it ends."""
    name, text = "http.client.request.duration", "Duration of HTTP client requests"
    for address, (service, method, port, rate, median_seconds) in EDGES.items():
        one = Component(service)
        at = {"http.request.method": method, "server.address": address, "server.port": port}
        shape: dict[str, Any] = {"bounds": BOUNDS, "centre": median_seconds, "spread": 0.6}
        source, ended = Source(f"edge:{address}", rate), f"expired:{address}"
        yield one.histogram(name, "s", text, source, at, share=1.0, reacts=(Reaction(ended, -1.0),), **shape)
        if port == "443":
            failed = {**at, "error.type": TLS_ERROR}
            yield one.histogram(name, "s", text, source, failed, share=0.0, reacts=(Reaction(ended, 1.0),), **shape)
            until: dict[str, Any] = {"drive": "certificate", "spread": 0.0}
            until["reacts"] = (Reaction(f"forgotten:{address}", 1.0, "value"),)
            what = "When the certificate of an address ends, in seconds since 1970"
            yield one.gauge("synth.tls.not_after", "s", what, 1.0, {"server.address": address}, **until)
