"""What checks: validation by domain, quality assurance, audits and ratings, reasoning traces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.company import DOMAINS, ITEMS_PER_SECOND
from workbench.simulate.catalogue.component import CALL_BOUNDS, FAST_BOUNDS, SCORE_BOUNDS, SHORT_BOUNDS, Component
from workbench.simulate.metric import Metric, Reaction, Source

VALIDATOR = Component("domain_validator")
ASSURANCE = Component("quality_assurance")
TRACER = Component("reasoning_tracer")
TRACES_PER_SECOND = 0.24
AUDITED = 0.03
RATED = 0.06
# (verdict, truth): (share of the audited, what a lenient validator moves)
VERDICTS = {
    ("pass", "good"): (0.88, -0.10),
    ("pass", "bad"): (0.02, 0.10),
    ("fail", "good"): (0.03, 0.0),
    ("fail", "bad"): (0.07, 0.0),
}
# check: (share of the items that it looks at, share that pass)
CHECKS = {
    "fidelity": (1.0, 0.92),
    "utility": (1.0, 0.95),
    "safety": (1.0, 0.995),
    "pedagogy": (1.0, 0.93),
    "cas": (0.34, 0.95),
    "units": (0.29, 0.96),
    "code": (0.18, 0.9),
}
# dimension of quality: mean score
DIMENSIONS = {"fidelity": 0.87, "utility": 0.84, "safety": 0.94, "pedagogical": 0.82, "overall": 0.86}
REASONING = {"coherence": 0.83, "flow": 0.81, "consistency": 0.88, "completeness": 0.79, "pedagogy": 0.8}
SEVERITIES = {"critical": 0.01, "high": 0.07, "medium": 0.27, "low": 0.4, "suggestion": 0.25}


def audits(domain: str) -> Source:
    """The audited items of a domain; complaints double them."""
    rate = AUDITED * ITEMS_PER_SECOND * DOMAINS[domain]
    return Source(f"audits:{domain}", rate, dispersion=1.5, reacts=(Reaction("complaints", 1.0),))


def ratings(domain: str) -> Source:
    """The ratings of items of a domain."""
    return Source(f"ratings:{domain}", RATED * ITEMS_PER_SECOND * DOMAINS[domain], dispersion=1.5)


def metrics() -> Iterator[Metric]:
    """Everything that validator, quality assurance and reasoning tracer measure."""
    for domain, share in DOMAINS.items():
        yield from _validation(domain, share * ITEMS_PER_SECOND)
        yield from _assurance(domain, share * ITEMS_PER_SECOND)
        yield from _audits(domain)
    timing: dict[str, Any] = {"bounds": SHORT_BOUNDS, "centre": 0.25, "spread": 0.7}
    yield ASSURANCE.histogram("synth.qa.duration", "s", "Duration of quality assurance", ITEMS_PER_SECOND, {}, **timing)
    yield from _traces()


def _validation(domain: str, rate: float) -> Iterator[Metric]:
    if domain in {"mathematics", "science", "technology"}:  # the others have no checks of their own yet
        timing: dict[str, Any] = {"bounds": FAST_BOUNDS, "centre": 0.006, "spread": 0.6}
        at = {"synth.domain": domain, "synth.outcome": "success"}
        yield VALIDATOR.histogram("synth.validation.duration", "s", "Duration of a validation", rate, at, **timing)
    for check, (looked_at, passed) in CHECKS.items():
        source = Source(f"check:{check}:{domain}", rate * looked_at)
        for verdict, share in (("pass", passed), ("fail", 1 - passed)):
            at = {"synth.check": check, "synth.domain": domain, "synth.verdict": verdict}
            name, text = "synth.validation.results", "Validations by verdict"
            yield VALIDATOR.counter(name, "{validation}", text, source, at, share=share)


def _assurance(domain: str, rate: float) -> Iterator[Metric]:
    scored = Source(f"scored:{domain}", rate)
    for dimension, mean in DIMENSIONS.items():
        shape: dict[str, Any] = {"bounds": SCORE_BOUNDS, "centre": mean, "spread": 0.05, "normal": True, "high": 1.0}
        if dimension in {"overall", "fidelity", "pedagogical"}:
            shape["reacts"] = (Reaction(f"regression:{domain}", -0.08, "value"),)
        at = {"synth.domain": domain, "synth.dimension": dimension}
        yield ASSURANCE.histogram("synth.qa.score", "1", "Quality score", scored, at, **shape)
    for severity, share in SEVERITIES.items():
        at = {"synth.domain": domain, "synth.severity": severity}
        yield ASSURANCE.counter("synth.qa.feedback", "{feedback}", "Feedback given", 0.3 * rate * share, at)


def _audits(domain: str) -> Iterator[Metric]:
    at = {"synth.domain": domain}
    for (verdict, truth), (share, moved) in VERDICTS.items():
        seen = {**at, "synth.truth": truth, "synth.verdict": verdict}
        reacts = (Reaction("lenient", moved),) if moved else ()
        name, text = "synth.quality.verdicts", "Audited verdicts"
        yield ASSURANCE.counter(name, "{verdict}", text, audits(domain), seen, share=share, reacts=reacts)
    for name, text, level, spread, gain in (
        ("synth.quality.accuracy", "Audited verdicts that were right", 0.955, 0.006, -0.10),
        ("synth.quality.false_positive", "Bad items passed, of those audited", 0.02, 0.003, 0.10),
    ):
        shape: dict[str, Any] = {"drive": "flat", "normal": True, "high": 1.0, "spread": spread}
        shape["reacts"] = (Reaction("lenient", gain, "value"),)
        yield ASSURANCE.gauge(name, "1", text, level, at, **shape)
    stars: dict[str, Any] = {"bounds": (1.5, 2.5, 3.5, 4.5), "centre": 4.3, "spread": 0.8, "normal": True}
    stars |= {"low": 1.0, "high": 5.0}
    stars["reacts"] = (
        Reaction(f"disliked:{domain}", -0.45, "value"),
        Reaction("complaints", -0.3, "value"),
    )
    yield ASSURANCE.histogram("synth.content.rating", "{star}", "Ratings of items", ratings(domain), at, **stars)


def _traces() -> Iterator[Metric]:
    timing: dict[str, Any] = {"bounds": CALL_BOUNDS, "centre": 1.6, "spread": 0.6}
    traced = Source("traces", TRACES_PER_SECOND)
    for outcome, share in (("success", 0.985), ("failure", 0.015)):
        at = {"synth.outcome": outcome}
        name, text = "synth.reasoning.duration", "Duration of a reasoning trace"
        yield TRACER.histogram(name, "s", text, traced, at, share=share, **timing)
    for dimension, mean in REASONING.items():
        score: dict[str, Any] = {
            "bounds": SCORE_BOUNDS[1:],
            "centre": mean,
            "spread": 0.06,
            "normal": True,
            "high": 1.0,
        }
        at = {"synth.dimension": dimension}
        name, text = "synth.reasoning.quality", "Quality of a reasoning trace"
        yield TRACER.histogram(name, "1", text, traced, at, **score)
    yield from TRACER.cache("reasoning", TRACES_PER_SECOND, 0.25)
