"""The kinds of incident: what happens first, what follows, what one sees, and why it happened.

An effect names a signal; metrics react to it (`Metric.reacts`), and so do people and rows. `{target}` stands for what
an incident of the kind is about: one of the kind's targets.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.simulate.catalogue.company import DOMAINS, SLOWABLE
from workbench.simulate.faults import shapes
from workbench.simulate.faults.shapes import Shape
from workbench.simulate.metric import HOSTS

MINUTE, HOUR, DAY = 60, 3600, 86_400
EDGES = ("api.openai.com", "generativelanguage.googleapis.com", "hooks.example.edu", "id.example.org")
"""Addresses that components call over TLS."""


@dataclass(frozen=True)
class Effect:
    """A signal with its shape, which begins `lag_seconds` after the incident and ends `outlasts_seconds` after it."""

    signal: str
    shape: Shape
    lag_seconds: int = 0
    outlasts_seconds: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of incident. Its scheduled ones start at `hours` (UTC, [from, to)) and last `lasts_seconds` (least, most).

    `component` is where the cause lies (`{target}` as above), `sees` what one sees, in order, `cause` why it happens.
    """

    name: str
    sees: str
    cause: str
    component: str
    targets: tuple[str, ...]
    lasts_seconds: tuple[int, int]
    effects: tuple[Effect, ...]
    hours: tuple[int, int] = (8, 17)
    benign: bool = False


def _all() -> tuple[Kind, ...]:
    return (*_models(), *_quality(), *_machines(), *_load(), *_learning(), *_security())


def _models() -> tuple[Kind, ...]:
    late = 2 * MINUTE
    return (
        Kind(
            "llm_slowdown",
            "Calls to one model take three times as long within 5 min; 2 min later queues grow and items take longer.",
            "The provider is slow.",
            "orchestrator",
            SLOWABLE,
            (25 * MINUTE, 70 * MINUTE),
            (
                Effect("slow:{target}", shapes.ramp),
                Effect("backlog", shapes.ramp, late, late),
            ),
            (7, 19),
        ),
        Kind(
            "llm_outage",
            "Most calls to one provider fail with 500; attempts per call triple, prompts fall back, items fail.",
            "The provider is down.",
            "orchestrator",
            ("openai", "gcp.gemini"),
            (20 * MINUTE, 60 * MINUTE),
            (Effect("outage:{target}", shapes.step), Effect("failing", shapes.step)),
        ),
        Kind(
            "retry_storm",
            "Attempts per LLM call rise from 1 to 2.8 within 3 min; 429 and the saturation of the pool follow. It goes"
            " on for 10 min after its cause.",
            "A short limit of the provider, and retries without jitter.",
            "orchestrator",
            ("all",),
            (15 * MINUTE, 40 * MINUTE),
            (Effect("storm", shapes.exponential, 0, 10 * MINUTE),),
        ),
        Kind(
            "price_change",
            "Dollars per token of one model rise by half at midnight UTC; tokens stay. Its event may come hours late.",
            "The provider changed its prices.",
            "orchestrator",
            SLOWABLE,
            (2 * DAY, 4 * DAY),
            (Effect("price:{target}", shapes.step),),
            (0, 0),
        ),
    )


def _quality() -> tuple[Kind, ...]:
    return (
        Kind(
            "prompt_regression",
            "Scores of one domain fall by 0.08 at once; an hour later more is discarded and items cost 30 % more; a day"
            " later ratings fall by 0.4.",
            "A new prompt that an optimisation job proposed; rolled back at the end.",
            "dspy_optimizer",
            tuple(DOMAINS),
            (8 * HOUR, 30 * HOUR),
            (
                Effect("regression:{target}", shapes.step),
                Effect("discarding:{target}", shapes.step, HOUR),
                Effect("disliked:{target}", shapes.step, DAY, DAY),
            ),
        ),
        Kind(
            "validator_fp_surge",
            "Bad items that pass rise from 2 % to 12 % of those audited at once; a day later audits double and ratings"
            " fall.",
            "A change of the validator's configuration; rolled back at the end.",
            "domain_validator",
            ("all",),
            (6 * HOUR, 20 * HOUR),
            (Effect("lenient", shapes.step), Effect("complaints", shapes.step, DAY, DAY)),
        ),
        Kind(
            "cohort_loss",
            "Of those who sign up while it lasts, 8 points fewer come back in their first week; seen 7 days later.",
            "A release that broke the first steps of new users.",
            "api_gateway",
            ("sign-up",),
            (7 * DAY, 10 * DAY),
            (Effect("losing", shapes.step, 0, 7 * DAY),),
        ),
    )


def _machines() -> tuple[Kind, ...]:
    hosts = ("sim-1", "sim-2", "sim-3")
    return (
        Kind(
            "memory_leak",
            "Memory of one component grows by 40 MB an hour from a deploy on; its host swaps before each restart.",
            "A release that leaks; fixed by the next.",
            "{target}",
            tuple(HOSTS),
            (14 * HOUR, 40 * HOUR),
            (Effect("leak:{target}", shapes.sawtooth), Effect("swap:{target}", shapes.swapping)),
        ),
        Kind(
            "disk_filling",
            "The disk of one host fills in a line; once it is full, database operations fail.",
            "Logs that nobody rotates; cleaned up at the end.",
            "host {target}",
            hosts,
            (4 * HOUR, 10 * HOUR),
            (Effect("filling:{target}", shapes.filling), Effect("full:{target}", shapes.full)),
        ),
        Kind(
            "noisy_neighbour",
            "Stolen CPU time in blocks of 20 min on one host; the slowest requests get slower, the median stays.",
            "Another tenant of the same machine.",
            "host sim-1",
            ("sim-1",),
            (2 * HOUR, 5 * HOUR),
            (Effect("steal", shapes.blocks),),
        ),
        Kind(
            "clock_skew",
            "The clock of one host runs away by 60 s an hour; its events come from the future, sign-ins by token fail.",
            "Time synchronisation stopped.",
            "host {target}",
            hosts,
            (3 * HOUR, 6 * HOUR),
            (Effect("skew:{target}", shapes.hours), Effect("skewed", shapes.line)),
        ),
        Kind(
            "certificate_expiry",
            "A certificate is not renewed: 14 days before its end that is known, then every call over that edge fails.",
            "A renewal job that was switched off.",
            "edge {target}",
            EDGES,
            (14 * DAY, 14 * DAY),
            (Effect("forgotten:{target}", shapes.forgotten), Effect("expired:{target}", shapes.expired)),
        ),
        Kind(
            "gpu_throttling",
            "GPUs reach 87 °C, their clocks fall by 40 %, actions of the agents take 1.7 times as long.",
            "A fan that fails.",
            "host sim-3",
            ("sim-3",),
            (HOUR, 4 * HOUR),
            (Effect("hot", shapes.ramp),),
        ),
    )


def _load() -> tuple[Kind, ...]:
    return (
        Kind(
            "cache_stampede",
            "Hits of the permission cache fall from 0.7 to 0.05 at an expiry; database and LLMs are asked four times as"
            " much; over in 5 min.",
            "All entries expire at once.",
            "api_gateway",
            ("permission",),
            (5 * MINUTE, 5 * MINUTE),
            (Effect("stampede", shapes.spike),),
        ),
        Kind(
            "queue_buildup",
            "The validation queue grows in a line while throughput stays; 15 min later requests to generate fail.",
            "A worker that hangs.",
            "domain_validator",
            ("validate",),
            (40 * MINUTE, 100 * MINUTE),
            (Effect("buildup", shapes.line), Effect("overflow", shapes.step, 15 * MINUTE)),
        ),
        Kind(
            "bad_release",
            "8 % of what the new version serves fails: first of a tenth, then of all requests; a roll-back restores.",
            "A fault in the release.",
            "api_gateway",
            ("1.5.0",),
            (30 * MINUTE, 90 * MINUTE),
            (Effect("release", shapes.rollout),),
        ),
        Kind(
            "traffic_surge",
            "Everything triples within 10 min; saturation stays below 0.8. Announced in the calendar, and benign.",
            "A launch.",
            "api_gateway",
            ("launch",),
            (HOUR, 3 * HOUR),
            (Effect("surge", shapes.surge),),
            benign=True,
        ),
    )


def _learning() -> tuple[Kind, ...]:
    return (
        Kind(
            "marl_divergence",
            "The loss of all agents is ten times as high; 30 min later less than 85 % of the rounds succeed.",
            "A learning rate too high.",
            "marl_coordinator",
            ("all",),
            (90 * MINUTE, 4 * HOUR),
            (Effect("diverging", shapes.ramp), Effect("failing_rounds", shapes.step, 30 * MINUTE)),
        ),
        Kind(
            "marl_deadlock",
            "One agent is not heard for more than 30 s, no round is finished any more, all fall back.",
            "Two agents wait for each other.",
            "marl_coordinator",
            ("generator", "validator", "curriculum"),
            (10 * MINUTE, 40 * MINUTE),
            (Effect("silent:{target}", shapes.seconds), Effect("deadlock", shapes.step)),
        ),
        Kind(
            "optimizer_runaway",
            "Ten times as many trials, eight times the optimizer's cost; traffic stays.",
            "A job without a stop rule.",
            "dspy_optimizer",
            ("all",),
            (2 * HOUR, 8 * HOUR),
            (Effect("runaway", shapes.step),),
        ),
    )


def _security() -> tuple[Kind, ...]:
    return (
        Kind(
            "credential_stuffing",
            "Forty times as many sign-ins fail, from many addresses and for many users; 0.5 % succeed, and those users"
            " sign in from odd places later.",
            "A list of stolen passwords is tried.",
            "api_gateway",
            ("sign-in",),
            (20 * MINUTE, 60 * MINUTE),
            (Effect("stuffing", shapes.step), Effect("taken_over", shapes.step, HOUR, 3 * HOUR)),
            (1, 22),
        ),
        Kind(
            "impossible_travel",
            "One user signs in twice, over 900 km/h apart. A twin over a VPN is benign.",
            "A stolen session; and a user with a VPN.",
            "api_gateway",
            ("user", "vpn"),
            (30 * MINUTE, 90 * MINUTE),
            (Effect("travel:{target}", shapes.step),),
        ),
        Kind(
            "data_exfiltration",
            "At night one user makes a new key and exports fifty times as many bytes as usual.",
            "An account in foreign hands.",
            "api_gateway",
            ("user",),
            (HOUR, 3 * HOUR),
            (Effect("exfiltration", shapes.step),),
            (1, 3),
        ),
    )


KINDS: dict[str, Kind] = {kind.name: kind for kind in _all()}
"""All kinds, by name."""
