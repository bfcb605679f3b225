"""Incidents: known in advance, each visible in its own series and nowhere before, of the magnitude that is said."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulate.moments import CELL_US, DAY_US, STEP_US, alone, rows, us
from workbench.simulate import KINDS, Incident, Platform, incidents
from workbench.simulate.faults import shapes

SEED = 42
START, END = us("2026-09-01"), us("2026-11-01")
MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000

FIRST = us("2026-09-01")  # a Tuesday, and the first of a month: little has to be drawn before it
BEGINS = FIRST + 10 * HOUR_US
TIMES = FIRST + np.arange(0, 2 * DAY_US + 1, CELL_US)


def test_slow_models_on_about_two_days_in_three_in_working_hours():
    found = [one for one in incidents(SEED, START, END) if one.kind == "llm_slowdown"]
    assert 25 <= len(found) <= 48
    for one in found:
        assert 7 <= one.start_us % DAY_US / DAY_US * 24 < 19
        assert 25 * MINUTE_US <= one.end_us - one.start_us <= 70 * MINUTE_US
        assert one.start_us % STEP_US == one.end_us % STEP_US == 0
    assert len({one.target for one in found}) == 4


def test_every_kind_happens_within_two_months_and_seldom_two_a_day():
    found = incidents(SEED, START, END)
    assert {one.kind for one in found} == set(KINDS)
    others = [one.start_us // DAY_US for one in found if one.kind != "llm_slowdown"]
    assert max(np.unique(others, return_counts=True)[1]) == 1
    for one in found:
        kind = KINDS[one.kind]
        least, most = kind.lasts_seconds
        assert one.target in kind.targets
        assert least * 1e6 - CELL_US <= one.end_us - one.start_us <= most * 1e6
        assert kind.hours[0] <= one.start_us % DAY_US / HOUR_US <= kind.hours[1]
    prices = [one for one in found if one.kind == "price_change"]
    assert all(one.start_us % DAY_US == 0 for one in prices), "at midnight UTC"


@given(seed=st.integers(0, 2**40), start_us=st.integers(START, END), length_us=st.integers(0, 9 * DAY_US))
def test_a_window_lists_what_touches_it_and_nothing_else(seed, start_us, length_us):
    end_us = start_us + length_us
    everything = incidents(seed, START - 2 * DAY_US, END + 12 * DAY_US)
    touching = [one for one in everything if one.start_us <= end_us and one.gone_us >= start_us]
    assert incidents(seed, start_us, end_us) == touching


def test_a_ramp_takes_five_minutes():
    minutes = np.array([-1, 0, 1, 2.5, 5, 20, 35, 37.5, 40, 41]) * MINUTE_US
    assert shapes.ramp(minutes, 0, 40 * MINUTE_US).tolist() == [0, 0, 0.2, 0.5, 1, 1, 1, 0.5, 0, 0]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_effect_reaches_beyond_its_time(kind):
    length_us = kind.lasts_seconds[0] * 1_000_000
    for effect in kind.effects:
        times_us = np.arange(-2, 8) * length_us // 5
        strength = effect.shape(times_us, 0, length_us)
        assert not strength[(times_us < 0) | (times_us > length_us)].any(), effect
        # the shortest of them are looked at finely, or a spike would be missed
        assert effect.shape(np.linspace(0, length_us, 2000).astype(np.int64), 0, length_us).any(), effect


@pytest.fixture(scope="module", autouse=True)
def nothing_else() -> Iterator[None]:
    """No incident but those that a test starts, where platforms are made by `made`."""
    yield
    made.cache_clear()


@cache
def made(kind: str, hours: float = 0.0, target: str = "") -> np.ndarray:
    """Values [series, TIMES] with that incident alone, from BEGINS on; or, without a kind, with none."""
    started = ()
    if kind:
        started = (Incident(kind, BEGINS, BEGINS + int(hours * HOUR_US), target or KINDS[kind].targets[0]),)
    with alone():
        return Platform(SEED, started).values(TIMES)


SERIES = Platform(SEED).series


def window(after_hours: float, until_hours: float) -> np.ndarray:
    """Columns from so many hours after the incident's begin to so many."""
    return np.flatnonzero((BEGINS + after_hours * HOUR_US <= TIMES) & (BEGINS + until_hours * HOUR_US >= TIMES))


def grown(values: np.ndarray, found: list[int], columns: np.ndarray) -> float:
    return float((values[found][:, columns[-1]] - values[found][:, columns[0]]).sum())


def level(values: np.ndarray, found: list[int], columns: np.ndarray) -> float:
    return float(values[found][:, columns].mean())


def mean(values: np.ndarray, name: str, columns: np.ndarray, **at: str) -> float:
    return grown(values, rows(name, "sum", **at), columns) / grown(values, rows(name, "count", **at), columns)


# kind, hours it lasts, hours after its begin [from, to], what to look at, how it is against a day without it
GROWS, RATIO, PLUS, MEANS = (
    "grows so many times as much",
    "is so many times as high",
    "is so much higher",
    "mean of values",
)
SEEN = [
    ("llm_slowdown", 1.0, (0.2, 0.8), MEANS, "gen_ai.client.operation.duration",
     {"gen_ai__request__model": "gpt-4o-mini"}, 3.0),
    ("llm_slowdown", 1.0, (0.2, 0.8), PLUS, "synth.queue.depth", {"synth__queue": "generate"}, 45.0),
    ("llm_slowdown", 1.0, (0.2, 0.8), MEANS, "synth.content.duration", {"synth__outcome": "success"}, 2.2),
    ("llm_outage", 1.0, (0, 1), GROWS, "synth.llm.attempts", {"gen_ai__provider__name": "openai"}, 3.0),
    ("llm_outage", 1.0, (0, 1), GROWS, "synth.dspy.fallbacks", {}, 31.0),
    ("retry_storm", 0.5, (0.2, 0.5), GROWS, "synth.llm.attempts", {}, 2.8),
    ("retry_storm", 0.5, (0.2, 0.5), PLUS, "synth.saturation", {"synth__pool": "llm"}, 0.5),
    ("price_change", 24.0, (0, 24), GROWS, "synth.llm.cost", {"gen_ai__request__model": "gpt-4o-mini"}, 1.5),
    ("prompt_regression", 10.0, (1.5, 10), MEANS, "synth.qa.score",
     {"synth__domain": "mathematics", "synth__dimension": "overall"}, 0.78 / 0.86),
    ("prompt_regression", 10.0, (1.5, 10), GROWS, "synth.llm.cost", {"synth__domain": "mathematics"}, 1.3),
    ("prompt_regression", 10.0, (1.5, 10), GROWS, "synth.llm.cost", {"synth__domain": "arts"}, 1.0),
    ("prompt_regression", 10.0, (1.5, 10), GROWS, "synth.content.items",
     {"synth__domain": "mathematics", "synth__status": "discarded"}, 0.43 / 0.28),
    ("prompt_regression", 10.0, (25, 34), MEANS, "synth.content.rating",
     {"synth__domain": "mathematics"}, 3.8 / 4.2),
    ("validator_fp_surge", 8.0, (0.2, 7.8), PLUS, "synth.quality.false_positive", {}, 0.10),
    ("validator_fp_surge", 8.0, (25, 31), GROWS, "synth.quality.verdicts", {}, 2.0),
    ("memory_leak", 20.0, (9, 9.5), PLUS, "process.memory.usage", {}, 9.25 * 40e6 / 7),
    ("memory_leak", 20.0, (8, 10), GROWS, "system.paging.operations", {}, 34.3),
    ("disk_filling", 5.0, (4.1, 4.9), RATIO, "system.filesystem.utilization", {}, None),
    ("disk_filling", 5.0, (4.1, 4.9), GROWS, "db.client.operation.duration",
     {"db__operation__name": "INSERT", "error__type": ""}, 0.1),
    ("noisy_neighbour", 2.0, (0, 0.3), PLUS, "system.cpu.utilization", {"cpu__mode": "steal"}, 0.25 / 3),
    ("cache_stampede", 1 / 12, (0, 1 / 12), GROWS, "synth.cache.requests",
     {"synth__cache": "permission", "synth__result": "hit"}, 1 - 0.4 * 0.65 / 0.7),
    ("cache_stampede", 1 / 12, (0, 1 / 12), GROWS, "synth.llm.attempts", {"synth__reason": "first"}, 1 + 0.4 * 3),
    ("queue_buildup", 1.0, (0.5, 0.5), PLUS, "synth.queue.depth", {"synth__queue": "validate"}, 150.0),
    ("queue_buildup", 1.0, (0.3, 1), GROWS, "http.server.request.duration",
     {"http__route": "/api/v1/generate", "http__response__status_code": "500"}, 6.0),
    ("gpu_throttling", 2.0, (0.2, 1.8), RATIO, "synth.gpu.clock", {}, 0.6),
    ("gpu_throttling", 2.0, (0.2, 1.8), MEANS, "synth.marl.action.duration", {}, 1.7),
    ("marl_divergence", 2.0, (0.2, 1.8), RATIO, "synth.marl.loss", {}, 10.0),
    ("marl_divergence", 2.0, (0.6, 1.9), GROWS, "synth.marl.coordination.duration",
     {"synth__outcome": "success"}, 0.78 / 0.9),
    ("marl_deadlock", 0.5, (0.25, 0.25), PLUS, "synth.marl.heartbeat.age", {"synth__agent": "generator"}, 900.0),
    ("marl_deadlock", 0.5, (0, 0.5), GROWS, "synth.marl.coordination.duration", {"synth__outcome": "success"}, 0.0),
    ("optimizer_runaway", 4.0, (0, 4), GROWS, "synth.dspy.trials", {}, 10.0),
    ("optimizer_runaway", 4.0, (0, 4), GROWS, "synth.llm.cost", {"synth__role": "optimizer"}, 8.0),
    ("optimizer_runaway", 4.0, (0, 4), GROWS, "synth.llm.cost", {"synth__role": "engineer"}, 1.0),
    ("clock_skew", 3.0, (2, 2), PLUS, "synth.clock.offset", {}, 120.0 / 3),
    ("certificate_expiry", 24.0, (23.1, 23.9), GROWS, "http.client.request.duration",
     {"server__address": "api.openai.com", "error__type": ""}, 0.0),
    ("bad_release", 1.5, (0.6, 1.4), PLUS, "", {}, 0.08),
    ("traffic_surge", 2.0, (0.2, 1.8), GROWS, "http.server.request.duration",
     {"http__route": "/api/v1/analytics"}, 3.0),
    ("credential_stuffing", 1.0, (0, 1), GROWS, "synth.gateway.auth", {"synth__outcome": "failure"}, 41.0),
    ("credential_stuffing", 1.0, (0, 1), GROWS, "synth.gateway.auth", {"synth__outcome": "success"}, 1.0),
    ("credential_stuffing", 1.0, (0, 1), GROWS, "http.server.request.duration",
     {"http__response__status_code": "401"}, 41.0),
    ("data_exfiltration", 2.0, (0, 2), GROWS, "system.network.io", {"network__io__direction": "transmit"}, 3.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "hours", "between", "how", "name", "at", "expected"),
    SEEN,
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_it_is_seen_in_its_series(kind, hours, between, how, name, at, expected):
    real, calm, columns = made(kind, hours), made(""), window(*between)
    if kind == "bad_release":
        assert _failing_share(real, columns) - _failing_share(calm, columns) == pytest.approx(expected, rel=0.15)
        return
    if how is MEANS:
        assert mean(real, name, columns, **at) / mean(calm, name, columns, **at) == pytest.approx(expected, rel=0.08)
        return
    part = "count" if any(series.metric.name == name and series.part for series in SERIES) else ""
    if at.get("error__type") == "":
        found = rows(name, part, **{key: value for key, value in at.items() if value})
        found = [row for row in found if not dict(SERIES[row].metric.attributes).get("error.type")]
    else:
        found = rows(name, part, **at)
    if how is GROWS:
        assert grown(real, found, columns) / grown(calm, found, columns) == pytest.approx(expected, rel=0.12, abs=0.02)
    elif how is PLUS:
        assert level(real, found, columns) - level(calm, found, columns) == pytest.approx(expected, rel=0.05)
    elif expected is None:
        assert (real[found][:, columns] == 1).any(axis=0).all(), "full"
    else:
        assert level(real, found, columns) / level(calm, found, columns) == pytest.approx(expected, rel=0.05)


def _failing_share(values: np.ndarray, columns: np.ndarray) -> float:
    """Of what is served, but for the routes that fail anyway."""
    name, at = "http.server.request.duration", {"http__route": "/api/v1/analytics"}
    served = rows(name, "count", **at)
    failed = rows(name, "count", **at, http__response__status_code="500")
    return grown(values, failed, columns) / grown(values, served, columns)


def test_a_release_is_tried_on_a_tenth_first_and_by_its_own_version():
    real = made("bad_release", 1.5)
    mine = [
        row for row in rows("http.server.request.duration", "count") if SERIES[row].metric.instance == "api_gateway-2"
    ]
    others = [
        row for row in rows("http.server.request.duration", "count", http__route="/api/v1/analytics") if row not in mine
    ]
    mine = [row for row in mine if ("http.route", "/api/v1/analytics") in SERIES[row].metric.attributes]
    shares = [
        grown(real, mine, columns) / (grown(real, mine, columns) + grown(real, others, columns))
        for columns in (window(-2, 0), window(0.1, 0.4), window(0.6, 1.4), window(2, 3))
    ]
    assert shares == pytest.approx([0, 0.1, 1, 0], abs=0.02)


def test_a_stolen_processor_slows_the_slowest_and_leaves_the_median():
    def quantiles(values: np.ndarray, columns: np.ndarray) -> tuple[float, float]:
        at = {"http__route": "/api/v1/jobs/{job_id}", "http__response__status_code": "200"}
        stable = [
            row for row in rows("http.server.request.duration", "bucket", **at) if not SERIES[row].metric.instance
        ]
        counts = np.array([grown(values, [row], columns) for row in stable])
        bounds = [SERIES[row].bound for row in stable[:-1]]
        below = counts[:-1] / counts[-1]
        return float(np.interp(0.5, below, bounds)), float(np.interp(0.95, below, bounds))

    columns = window(0, 1 / 3)
    (half, slow), (half_before, slow_before) = (quantiles(v, columns) for v in (made("noisy_neighbour", 2.0), made("")))
    assert half == pytest.approx(half_before, rel=0.1)
    assert slow > 1.8 * slow_before


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_moves_before_it_begins(kind):
    hours = min(KINDS[kind].lasts_seconds[0] / 3600, 24.0)
    real, calm = made(kind, hours), made("")
    np.testing.assert_array_equal(real[:, TIMES < BEGINS], calm[:, TIMES < BEGINS])
    assert (real != calm).any() == (kind != "impossible_travel"), "that is seen in sign-ins alone"


def test_what_is_counted_goes_on_as_before_when_it_is_over():
    real, calm = made("llm_slowdown", 1.0), made("")
    after = TIMES >= BEGINS + 2 * HOUR_US
    counted = [
        row
        for row, series in enumerate(SERIES)
        if series.metric.flows and series.part != "sum" and not series.metric.priced
    ]
    difference = np.diff(real[counted][:, after], axis=1) - np.diff(calm[counted][:, after], axis=1)
    assert np.abs(difference).max() <= 8, "the same events again, up to the rounding of each bucket"


def test_an_incident_that_is_started_by_hand_changes_nothing_before_it():
    times_us = BEGINS + np.arange(-3, 90) * STEP_US
    untouched = Platform(SEED).values(times_us)
    platform = Platform(SEED)
    platform.values(times_us[:10])
    platform.start(Incident("traffic_surge", int(times_us[10]), int(times_us[10]) + HOUR_US, "launch"))
    surging = platform.values(times_us)
    np.testing.assert_array_equal(surging[:, :11], untouched[:, :11])
    counted = [row for row, series in enumerate(SERIES) if series.metric.flows]
    assert (np.diff(surging[counted], axis=1) >= 0).all(), "it never counts backwards"
    requests = rows("http.server.request.duration", "count")
    assert grown(surging, requests, np.array([50, 92])) > 1.8 * grown(untouched, requests, np.array([50, 92]))


def test_followers_of_a_short_one_come_sooner_in_proportion():
    whole = Incident("prompt_regression", 0, 8 * HOUR_US, "arts")
    short = Incident("prompt_regression", 0, 8 * HOUR_US // 60, "arts")
    assert [start_us for *_, start_us, _ in whole.effects()] == [0, HOUR_US, DAY_US]
    assert [start_us for *_, start_us, _ in short.effects()] == [0, MINUTE_US, 24 * MINUTE_US]
