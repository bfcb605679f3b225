"""What checks: validation by domain, quality assurance, reasoning traces."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.simulate.catalogue.company import DOMAINS, ITEMS_PER_SECOND
from workbench.simulate.catalogue.component import CALL_BOUNDS, FAST_BOUNDS, SCORE_BOUNDS, SHORT_BOUNDS, Component
from workbench.simulate.metric import Metric

VALIDATOR = Component("domain_validator")
ASSURANCE = Component("quality_assurance")
TRACER = Component("reasoning_tracer")
TRACES_PER_SECOND = 0.24


def metrics() -> Iterator[Metric]:
    """Everything that validator, quality assurance and reasoning tracer measure."""
    for domain, share in DOMAINS.items():
        yield from _validation(domain, share * ITEMS_PER_SECOND)
        yield from _assurance(domain, share * ITEMS_PER_SECOND)
    for severity, share in (("critical", 0.01), ("high", 0.07), ("medium", 0.27), ("low", 0.4), ("suggestion", 0.25)):
        rate = 0.3 * ITEMS_PER_SECOND * share
        yield ASSURANCE.counter("synth.qa.feedback", "{feedback}", "Feedback given", rate, {"synth.severity": severity})
    timing = {"bounds": SHORT_BOUNDS, "centre": 0.25, "spread": 0.7}
    yield ASSURANCE.histogram("synth.qa.duration", "s", "Duration of quality assurance", ITEMS_PER_SECOND, {}, **timing)
    yield from _traces()


def _validation(domain: str, rate: float) -> Iterator[Metric]:
    if domain in {"mathematics", "science", "technology"}:  # the others have no checks of their own yet
        timing = {"bounds": FAST_BOUNDS, "centre": 0.006, "spread": 0.6}
        at = {"synth.domain": domain, "synth.outcome": "success"}
        yield VALIDATOR.histogram("synth.validation.duration", "s", "Duration of a validation", rate, at, **timing)
    for verdict, share in (("pass", 0.92), ("fail", 0.08)):
        at = {"synth.check": "fidelity", "synth.domain": domain, "synth.verdict": verdict}
        yield VALIDATOR.counter("synth.validation.results", "{validation}", "Validations by verdict", rate * share, at)


def _assurance(domain: str, rate: float) -> Iterator[Metric]:
    at = {"synth.domain": domain}
    score = {"bounds": SCORE_BOUNDS, "centre": 0.86, "spread": 0.05, "normal": True}
    yield ASSURANCE.histogram(
        "synth.qa.score", "1", "Quality score", rate, {**at, "synth.dimension": "overall"}, **score
    )
    for verdict, truth, share in (
        ("pass", "good", 0.88),
        ("pass", "bad", 0.02),
        ("fail", "good", 0.03),
        ("fail", "bad", 0.07),
    ):
        seen = {**at, "synth.truth": truth, "synth.verdict": verdict}
        audited = 0.03 * rate * share
        yield ASSURANCE.counter(
            "synth.quality.verdicts", "{verdict}", "Audited verdicts", audited, seen, dispersion=1.5
        )
    shape = {"drive": "flat", "normal": True, "high": 1.0}
    yield ASSURANCE.gauge(
        "synth.quality.accuracy", "1", "Audited verdicts that were right", 0.955, at, spread=0.006, **shape
    )
    yield ASSURANCE.gauge(
        "synth.quality.false_positive", "1", "Bad items passed, of those audited", 0.02, at, spread=0.003, **shape
    )


def _traces() -> Iterator[Metric]:
    timing = {"bounds": CALL_BOUNDS, "centre": 1.6, "spread": 0.6}
    at = {"synth.outcome": "success"}
    yield TRACER.histogram(
        "synth.reasoning.duration", "s", "Duration of a reasoning trace", TRACES_PER_SECOND, at, **timing
    )
    score = {"bounds": SCORE_BOUNDS[1:], "centre": 0.83, "spread": 0.06, "normal": True}
    at = {"synth.dimension": "coherence"}
    yield TRACER.histogram(
        "synth.reasoning.quality", "1", "Quality of a reasoning trace", TRACES_PER_SECOND, at, **score
    )
    yield from TRACER.cache("reasoning", TRACES_PER_SECOND, 0.25)
