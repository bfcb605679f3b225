"""What the simulated STREAM platform measures: its components' main metrics with the magnitudes of a small company.

Three requests a second at the gateway, 10,000 content items and 55,000 LLM calls on a weekday, 620 daily users.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from workbench.simulate.metric import HOSTS, Metric

DOMAINS = {"mathematics": 0.34, "science": 0.20, "technology": 0.18, "reading": 0.13, "engineering": 0.09, "arts": 0.06}
SEGMENTS = {"teacher": 0.42, "student": 0.27, "school": 0.18, "publisher": 0.05, "integration": 0.08}
PLANS = {"default": 0.80, "premium": 0.18, "enterprise": 0.02}
AGENTS = ("generator", "validator", "curriculum")
# model: (provider, share of calls, median seconds, dollars per call, role that calls it)
MODELS = {
    "gpt-4o-mini": ("openai", 0.45, 1.5, 0.0003, "checker"),
    "gpt-4.1-mini": ("openai", 0.35, 1.8, 0.0008, "engineer"),
    "gemini-2.5-pro": ("gcp.gemini", 0.12, 3.2, 0.0060, "judge"),
    "o4-mini": ("openai", 0.08, 4.0, 0.0022, "target"),
}
REQUESTS_PER_SECOND = 3.0
CALLS_PER_SECOND = 0.64
ITEMS_PER_SECOND = 10_000 / 86_400
DAY_SECONDS = 86_400
MONTH_SECONDS = 30 * DAY_SECONDS

# route: (method, share of requests, median seconds)
ROUTES = {
    "/api/v1/jobs/{job_id}": ("GET", 0.52, 0.012),
    "/api/v1/analytics": ("GET", 0.12, 0.045),
    "/health": ("GET", 0.09, 0.004),
    "/api/v1/reasoning": ("POST", 0.08, 0.060),
    "/api/v1/validate": ("POST", 0.05, 0.035),
    "/api/v1/generate": ("POST", 0.04, 0.080),
}
REQUEST_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
CALL_BOUNDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
ITEM_BOUNDS = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
TOKEN_BOUNDS = (64.0, 256.0, 1024.0, 4096.0, 16384.0)
FAST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
SHORT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SCORE_BOUNDS = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def _metric(
    service: str, type_: Any, name: str, unit: str, text: str, level: float, attributes: dict[str, str], **more: Any
) -> Metric:
    return Metric(service, name, type_, unit, text, tuple(sorted(attributes.items())), level, **more)


def _gateway() -> Iterator[Metric]:
    def add(*values: Any, **more: Any) -> Metric:
        return _metric("api_gateway", *values, **more)

    duration = ("histogram", "http.server.request.duration", "s", "Duration of HTTP server requests")
    for route, (method, share, median) in ROUTES.items():
        at = {
            "http.request.method": method,
            "http.response.status_code": "200",
            "http.route": route,
            "url.scheme": "https",
        }
        kind: dict[str, Any] = {"bounds": REQUEST_BOUNDS, "centre": median, "spread": 0.8, "dispersion": 12.0}
        kind["drive"] = "flat" if route == "/health" else "traffic"
        yield add(*duration, REQUESTS_PER_SECOND * share * 0.97, at, **kind)
        if route == "/api/v1/generate":
            for status, rate in (("429", 0.040), ("500", 0.0045)):
                failed = {**at, "http.response.status_code": status, "error.type": status}
                yield add(*duration, rate, failed, **{**kind, "centre": 0.006, "dispersion": 3.0})
    at = {"http.request.method": "GET", "url.scheme": "https"}
    yield add("updowncounter", "http.server.active_requests", "{request}", "Requests in progress", 4.0, at, spread=0.35)
    for upstream, share in zip(
        ("orchestrator", "validation", "quality", "reasoning", "database", "redis"),
        (0.2, 0.1, 0.08, 0.12, 0.35, 0.15),
        strict=True,
    ):
        for outcome, part in (("success", 0.997), ("failure", 0.003)):
            at = {"synth.outcome": outcome, "synth.upstream": upstream}
            yield add(
                "counter",
                "synth.gateway.routed",
                "{request}",
                "Requests routed upstream",
                REQUESTS_PER_SECOND * share * part,
                at,
            )
    for reason, share in (("rate", 0.5), ("auth", 0.3), ("schema", 0.15), ("size", 0.05)):
        for plan, part in PLANS.items():
            at = {"synth.plan": plan, "synth.reason": reason}
            yield add(
                "counter",
                "synth.gateway.rejected",
                "{request}",
                "Requests rejected at the gateway",
                0.075 * share * part,
                at,
            )
    for method, share in (("oauth2", 0.3), ("jwt", 0.5), ("key", 0.2)):
        for outcome, part in (("success", 0.96), ("failure", 0.04)):
            at = {"synth.method": method, "synth.outcome": outcome}
            yield add("counter", "synth.gateway.auth", "{attempt}", "Sign-ins at the gateway", 0.1 * share * part, at)
    for outcome, attempt, rate in (("success", "1", 0.05), ("success", "2", 0.002), ("failure", "4", 0.0004)):
        at = {"synth.attempt": attempt, "synth.outcome": outcome}
        yield add("counter", "synth.webhook.deliveries", "{delivery}", "Webhook deliveries", rate, at)
    at = {"db.operation.name": "SELECT", "db.system.name": "postgresql"}
    more: dict[str, Any] = {"bounds": FAST_BOUNDS, "centre": 0.003, "spread": 0.7}
    yield add("histogram", "db.client.operation.duration", "s", "Duration of database operations", 6.0, at, **more)
    for pool, level in (("http", 0.22), ("db", 0.3)):
        yield _saturation("api_gateway", pool, level)
    yield from _cache("api_gateway", "api", 3.0, 0.28)
    yield from _cache("api_gateway", "permission", 2.0, 0.72)


def _business() -> Iterator[Metric]:
    def add(*values: Any, **more: Any) -> Metric:
        return _metric("api_gateway", *values, **more)

    for window, users, drive, elasticity in (
        ("1d", 620, "season", 1.0),
        ("7d", 1600, "season", 0.6),
        ("30d", 2500, "growth", 1.0),
    ):
        for segment, share in SEGMENTS.items():
            at = {"synth.segment": segment, "synth.window": window}
            more = {"drive": drive, "elasticity": elasticity, "spread": 0.01}
            yield add(
                "gauge", "synth.users.active", "{user}", "Users seen within the window", users * share, at, **more
            )
    for segment, share in SEGMENTS.items():
        at = {"synth.segment": segment}
        yield add(
            "counter",
            "synth.users.signups",
            "{user}",
            "Users who signed up",
            30 * share / DAY_SECONDS,
            at,
            dispersion=1.5,
        )
        yield add(
            "counter",
            "synth.users.churned",
            "{user}",
            "Users who left",
            14 * share / DAY_SECONDS,
            at,
            drive="flat",
            dispersion=1.5,
        )
    for feature, share in (
        ("generate", 0.3),
        ("review", 0.25),
        ("export", 0.1),
        ("analytics", 0.15),
        ("share", 0.12),
        ("settings", 0.08),
    ):
        yield add(
            "counter",
            "synth.feature.uses",
            "{use}",
            "Uses of a feature",
            20_000 * share / DAY_SECONDS,
            {"synth.feature": feature},
        )
    for plan, paying, price in (("premium", 554, 19.0), ("enterprise", 6, 900.0)):
        for state, share in (("paying", 1.0), ("trial", 0.12), ("past_due", 0.02)):
            at = {"synth.plan": plan, "synth.state": state}
            more = {"drive": "growth", "spread": 0.002}
            yield add(
                "updowncounter",
                "synth.subscriptions",
                "{subscription}",
                "Subscriptions by state",
                paying * share,
                at,
                **more,
            )
        for kind, share in (("new", 0.06), ("renewal", 0.9), ("expansion", 0.03)):
            at = {"synth.kind": kind, "synth.plan": plan}
            more = {"quantum": price, "drive": "growth", "dispersion": 1.5}
            yield add("counter", "synth.revenue", "{USD}", "Revenue booked", paying * share / MONTH_SECONDS, at, **more)


def _orchestrator() -> Iterator[Metric]:
    def add(*values: Any, **more: Any) -> Metric:
        return _metric("orchestrator", *values, **more)

    for model, (provider, share, median, dollars, role) in MODELS.items():
        at = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model}
        rate = CALLS_PER_SECOND * share
        more: dict[str, Any] = {
            "bounds": CALL_BOUNDS,
            "centre": median,
            "spread": 0.73,
            "reacts": f"slow:{model}",
            "gain": 2.0,
        }
        yield add("histogram", "gen_ai.client.operation.duration", "s", "Duration of LLM calls", rate, at, **more)
        for kind, tokens, spread in (("input", 1020.0, 1.0), ("output", 129.0, 0.85)):
            more = {"bounds": TOKEN_BOUNDS, "centre": tokens, "spread": spread}
            yield add(
                "histogram",
                "gen_ai.client.token.usage",
                "{token}",
                "Tokens per LLM call",
                rate,
                {**at, "gen_ai.token.type": kind},
                **more,
            )
        for reason, part in (("first", 1.0), ("retry", 0.01)):
            yield add(
                "counter",
                "synth.llm.attempts",
                "{attempt}",
                "Attempts to call an LLM",
                rate * part,
                {**at, "synth.reason": reason},
            )
        for domain, part in DOMAINS.items():
            spent = {**at, "synth.domain": domain, "synth.role": role}
            yield add(
                "counter",
                "synth.llm.cost",
                "{USD}",
                "Cost of LLM calls",
                rate * part * dollars / 1e-4,
                spent,
                quantum=1e-4,
                dispersion=15.0,
            )
    for domain, part in DOMAINS.items():
        for segment, share in (("teacher", 0.6), ("school", 0.4)):
            for status, kept in (("requested", 1.0), ("accepted", 0.72), ("discarded", 0.28), ("published", 0.6)):
                at = {"synth.domain": domain, "synth.segment": segment, "synth.status": status}
                yield add(
                    "counter",
                    "synth.content.items",
                    "{item}",
                    "Content items by status",
                    ITEMS_PER_SECOND * part * share * kept,
                    at,
                )
        at = {"synth.domain": domain, "synth.outcome": "success"}
        more = {"bounds": ITEM_BOUNDS, "centre": 9.0, "spread": 0.69, "reacts": "backlog", "gain": 1.2}
        yield add(
            "histogram",
            "synth.content.duration",
            "s",
            "Time from request to content item",
            ITEMS_PER_SECOND * part,
            at,
            **more,
        )
    for queue, depth, gain in (("generate", 8.0, 45.0), ("validate", 3.0, 0.0), ("publish", 1.5, 0.0)):
        more = {"spread": 0.3, "reacts": "backlog" if gain else "", "gain": gain}
        yield add(
            "updowncounter", "synth.queue.depth", "{item}", "Items waiting", depth, {"synth.queue": queue}, **more
        )
    for pool, level in (("worker", 0.35), ("llm", 0.3)):
        yield _saturation("orchestrator", pool, level)
    yield from _cache("orchestrator", "llm", 0.64, 0.2)


def _learning() -> Iterator[Metric]:
    """The optimizer and the coordinator of the learning agents."""
    for domain, part in DOMAINS.items():
        for status, share in (("completed", 0.9), ("failed", 0.1)):
            at = {"synth.domain": domain, "synth.status": status}
            more = {"drive": "flat", "dispersion": 1.0}
            yield _metric(
                "dspy_optimizer",
                "counter",
                "synth.dspy.jobs",
                "{job}",
                "Optimisation jobs",
                6 * part * share / DAY_SECONDS,
                at,
                **more,
            )
        at = {"synth.domain": domain, "synth.kind": "current"}
        more = {"drive": "flat", "spread": 0.008, "normal": True, "high": 1.0}
        yield _metric(
            "dspy_optimizer",
            "gauge",
            "synth.dspy.score",
            "1",
            "Score of the optimised prompts",
            0.8 + part / 3,
            at,
            **more,
            quantum=0.0,
        )
    at = {"synth.module": "generate", "synth.outcome": "success"}
    more = {"bounds": CALL_BOUNDS, "centre": 2.0, "spread": 0.6}
    yield _metric(
        "dspy_optimizer", "histogram", "synth.dspy.module.duration", "s", "Duration of a DSPy module", 0.12, at, **more
    )
    yield from _cache("dspy_optimizer", "dspy", 0.4, 0.3)

    def add(*values: Any, **more: Any) -> Metric:
        return _metric("marl_coordinator", *values, **more)

    for outcome, share in (("success", 0.9), ("failure", 0.1)):
        more = {"bounds": SHORT_BOUNDS, "centre": 0.3, "spread": 0.5}
        at = {"synth.outcome": outcome}
        yield add(
            "histogram",
            "synth.marl.coordination.duration",
            "s",
            "Duration of a coordination round",
            ITEMS_PER_SECOND * share,
            at,
            **more,
        )
    at = {"synth.strategy": "weighted_voting"}
    more = {"bounds": (0.6, 0.7, 0.8, 0.9), "centre": 0.87, "spread": 0.05, "normal": True}
    yield add(
        "histogram", "synth.marl.consensus.quality", "1", "Quality of the consensus", ITEMS_PER_SECOND, at, **more
    )
    for outcome, share in (("success", 0.95), ("failure", 0.05)):
        at = {"synth.outcome": outcome}
        yield add(
            "counter",
            "synth.marl.conflicts",
            "{conflict}",
            "Conflicts between agents",
            0.22 * ITEMS_PER_SECOND * share,
            at,
        )
    for agent, reward in zip(AGENTS, (0.72, 0.78, 0.66), strict=True):
        at = {"synth.agent": agent}
        flat = {"drive": "flat", "quantum": 0.0}
        more = {"bounds": (0.4, 0.6, 0.7, 0.8, 0.9), "centre": reward, "spread": 0.1, "normal": True}
        yield add("histogram", "synth.marl.reward", "1", "Reward of an action", ITEMS_PER_SECOND, at, **more)
        yield add("gauge", "synth.marl.loss", "1", "Training loss", 0.08, at, spread=0.25, **flat)
        yield add("gauge", "synth.marl.epsilon", "1", "Share of random actions", 0.05, at, spread=0.03, **flat)
        yield add(
            "gauge",
            "synth.marl.heartbeat.age",
            "s",
            "Time since the agent was heard",
            4.0,
            at,
            spread=2.0,
            normal=True,
            high=9.9,
            **flat,
        )
        for outcome, share in (("success", 0.94), ("failure", 0.06)):
            done = {**at, "synth.outcome": outcome}
            yield add("counter", "synth.marl.actions", "{action}", "Actions of agents", ITEMS_PER_SECOND * share, done)


def _quality() -> Iterator[Metric]:
    """Validation, quality assurance and reasoning traces."""
    for domain, part in DOMAINS.items():
        rate = ITEMS_PER_SECOND * part
        at = {"synth.domain": domain}
        if domain in {"mathematics", "science", "technology"}:
            more: dict[str, Any] = {"bounds": FAST_BOUNDS, "centre": 0.006, "spread": 0.6}
            done = {**at, "synth.outcome": "success"}
            yield _metric(
                "domain_validator",
                "histogram",
                "synth.validation.duration",
                "s",
                "Duration of a validation",
                rate,
                done,
                **more,
            )
        for verdict, share in (("pass", 0.92), ("fail", 0.08)):
            seen = {**at, "synth.check": "fidelity", "synth.verdict": verdict}
            yield _metric(
                "domain_validator",
                "counter",
                "synth.validation.results",
                "{validation}",
                "Validations by verdict",
                rate * share,
                seen,
            )
        more = {"bounds": SCORE_BOUNDS, "centre": 0.86, "spread": 0.05, "normal": True}
        whole = {**at, "synth.dimension": "overall"}
        yield _metric(
            "quality_assurance", "histogram", "synth.qa.score", "1", "Quality score of an item", rate, whole, **more
        )
        for verdict, truth, share in (
            ("pass", "good", 0.88),
            ("pass", "bad", 0.02),
            ("fail", "good", 0.03),
            ("fail", "bad", 0.07),
        ):
            seen = {**at, "synth.truth": truth, "synth.verdict": verdict}
            yield _metric(
                "quality_assurance",
                "counter",
                "synth.quality.verdicts",
                "{verdict}",
                "Audited verdicts",
                0.03 * rate * share,
                seen,
                dispersion=1.5,
            )
        flat: dict[str, Any] = {"drive": "flat", "normal": True, "quantum": 0.0, "high": 1.0}
        yield _metric(
            "quality_assurance",
            "gauge",
            "synth.quality.accuracy",
            "1",
            "Audited verdicts that were right",
            0.955,
            at,
            spread=0.006,
            **flat,
        )
        yield _metric(
            "quality_assurance",
            "gauge",
            "synth.quality.false_positive",
            "1",
            "Bad items passed, of those audited",
            0.02,
            at,
            spread=0.003,
            **flat,
        )
    for severity, share in (("critical", 0.01), ("high", 0.07), ("medium", 0.27), ("low", 0.4), ("suggestion", 0.25)):
        at = {"synth.severity": severity}
        yield _metric(
            "quality_assurance",
            "counter",
            "synth.qa.feedback",
            "{feedback}",
            "Feedback given",
            0.3 * ITEMS_PER_SECOND * share,
            at,
        )
    more = {"bounds": SHORT_BOUNDS, "centre": 0.25, "spread": 0.7}
    yield _metric(
        "quality_assurance",
        "histogram",
        "synth.qa.duration",
        "s",
        "Duration of quality assurance",
        ITEMS_PER_SECOND,
        {},
        **more,
    )
    more = {"bounds": CALL_BOUNDS, "centre": 1.6, "spread": 0.6}
    at = {"synth.outcome": "success"}
    yield _metric(
        "reasoning_tracer",
        "histogram",
        "synth.reasoning.duration",
        "s",
        "Duration of a reasoning trace",
        0.24,
        at,
        **more,
    )
    more = {"bounds": SCORE_BOUNDS[1:], "centre": 0.83, "spread": 0.06, "normal": True}
    at = {"synth.dimension": "coherence"}
    yield _metric(
        "reasoning_tracer",
        "histogram",
        "synth.reasoning.quality",
        "1",
        "Quality of a reasoning trace",
        0.24,
        at,
        **more,
    )
    yield from _cache("reasoning_tracer", "reasoning", 0.24, 0.25)


def _processes() -> Iterator[Metric]:
    for service in HOSTS:
        for mode, share in (("user", 0.8), ("system", 0.2)):
            at = {"cpu.mode": mode}
            yield _metric(
                service,
                "counter",
                "process.cpu.time",
                "s",
                "CPU time of the process by mode",
                30 * share,
                at,
                quantum=0.01,
                dispersion=1.0,
            )
        more: dict[str, Any] = {"drive": "traffic", "elasticity": 0.1, "spread": 0.03, "quantum": 4096.0}
        yield _metric(
            service,
            "updowncounter",
            "process.memory.usage",
            "By",
            "Physical memory in use by the process",
            0.8 * 2**30,
            {},
            **more,
        )
        more = {"drive": "traffic", "elasticity": 0.2, "spread": 0.05}
        yield _metric(
            service, "updowncounter", "process.thread.count", "{thread}", "Threads of the process", 42.0, {}, **more
        )


def _saturation(service: str, pool: str, level: float) -> Metric:
    more = {"elasticity": 0.5, "spread": 0.15, "quantum": 0.0, "high": 1.0}
    return _metric(
        service, "gauge", "synth.saturation", "1", "Used share of a pool", level, {"synth.pool": pool}, **more
    )


def _cache(service: str, cache_name: str, rate: float, hits: float) -> Iterator[Metric]:
    for result, share in (("hit", hits), ("miss", 1 - hits)):
        at = {"synth.cache": cache_name, "synth.result": result}
        yield _metric(service, "counter", "synth.cache.requests", "{request}", "Look-ups in a cache", rate * share, at)


@cache
def metrics() -> tuple[Metric, ...]:
    """All metrics of the platform, always in the same order."""
    rooms = (_gateway, _business, _orchestrator, _learning, _quality, _processes)
    return tuple(
        sorted((metric for room in rooms for metric in room()), key=lambda metric: (metric.service, metric.name))
    )
