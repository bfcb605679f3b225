"""The shipped rules find the incidents they are for, through PromQL on the lake, and are quiet before."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.moments import CELL_US, alone, us
from workbench import config
from workbench.alert import load_rules, rule_files
from workbench.query import instant
from workbench.simulate import KINDS, Incident, Platform
from workbench.simulate.history import samples
from workbench.simulate.identity import registration
from workbench.store import open_writer

HOUR_US = 3_600_000_000
NOON = us("2026-09-02T12:00:00")


@pytest.mark.parametrize(
    ("kind", "hours", "rule", "label", "after_hours"),
    [
        ("llm_slowdown", 1.0, "LlmSlow", {"gen_ai_request_model": "gpt-4o-mini"}, 0.5),
        ("llm_outage", 1.0, "LlmFailing", {"gen_ai_provider_name": "openai"}, 0.5),
        ("bad_release", 1.5, "RequestsFailing", {"job": "api_gateway"}, 1.0),
        ("queue_buildup", 1.0, "QueueGrowing", {"synth_queue": "validate"}, 0.75),
        ("marl_deadlock", 0.5, "AgentSilent", {"synth_agent": "generator"}, 0.25),
        ("certificate_expiry", 48.0, "CertificateEnds", {"server_address": "api.openai.com"}, 0.75),
        ("validator_fp_surge", 6.0, "QualityAccuracyLow", {}, 1.0),
    ],
)
def test_a_rule_finds_its_incident_and_nothing_before(settings: config.Settings, kind, hours, rule, label, after_hours):
    (found,) = [one for group in load_rules(rule_files(settings)) for one in group.rules if one.alert == rule]
    incident = Incident(kind, NOON, NOON + int(hours * HOUR_US), KINDS[kind].targets[0])
    with alone(), open_writer(settings) as writer:
        platform = Platform(42, (incident,))
        ids = np.array(writer.register([registration(one) for one in platform.series], "load:test"), np.int64)
        batch = samples(platform, ids, NOON - 3 * HOUR_US, NOON + 2 * HOUR_US)
        writer.load("test", 1, {"samples": batch})
        before, during = (
            instant(writer.view, found.expr, at_us, limits=settings.query)
            for at_us in (NOON - CELL_US, NOON + int(after_hours * HOUR_US))
        )
    assert len(before.labels) == 0
    assert len(during.labels) > 0
    assert any(label.items() <= one.items() for one in during.labels)
