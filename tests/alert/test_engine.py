"""The life of an alert as time lines: at each second the elements of a rule's result, and what changes then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.alert import AlertRuleEngine, Change, HubWatch, cap_step, load_rules, watch_step
from workbench.alert.rules import Rule
from workbench.errors import InputError

SECOND = 1_000_000


def rule(tmp_path: Path, **fields: str) -> Rule:
    body = {"alert": "Hot", "expr": "heat > 90", **fields}
    lines = "\n".join(f"        {key}: {value}" for key, value in body.items())
    file = tmp_path / "rules.yaml"
    file.write_text("groups:\n  - name: a\n    rules:\n      -\n" + lines + "\n")
    return load_rules([file])[0].rules[0]


def run(engine: AlertRuleEngine, made: Rule, line: str, *, start: int = 0) -> list[tuple[int, str, str]]:
    """Play a time line, a character a second: `.` the condition does not hold, `#` it does; (second, state, reason)."""
    found = []
    for second, mark in enumerate(line, start):
        elements = [({"host": "a"}, 95.0)] if mark == "#" else []
        found += [(second, change.state, change.reason) for change in engine.apply(made, elements, second * SECOND)]
    return found


def test_without_for_it_fires_at_once_and_only_once(tmp_path):
    assert run(AlertRuleEngine(), rule(tmp_path), ".###..") == [
        (1, "firing", "condition_began"),
        (4, "resolved", "condition_ended"),
    ]


def test_with_for_it_waits_and_a_gap_starts_anew(tmp_path):
    made = rule(tmp_path, **{"for": "2s"})
    assert run(AlertRuleEngine(), made, "##.####.") == [
        (0, "pending", "condition_began"),
        (2, "inactive", "condition_ended"),
        (3, "pending", "condition_began"),
        (5, "firing", "held_long_enough"),
        (7, "resolved", "condition_ended"),
    ]


def test_keep_firing_for_bridges_gaps(tmp_path):
    made = rule(tmp_path, keep_firing_for="2s")
    assert run(AlertRuleEngine(), made, "#.#..." + "....") == [
        (0, "firing", "condition_began"),
        (4, "resolved", "condition_ended"),
    ]


def test_a_clock_that_is_set_back_does_not_make_alerts_wait(tmp_path):
    made = rule(tmp_path, **{"for": "2s", "keep_firing_for": "2s"})
    engine = AlertRuleEngine()
    assert run(engine, made, "#", start=5000) == [(5000, "pending", "condition_began")]
    assert run(engine, made, "###", start=100) == [(102, "firing", "held_long_enough")]
    assert run(engine, made, "...", start=10) == [(12, "resolved", "condition_ended")]


def test_two_rules_with_the_same_labels_do_not_end_each_others_alert(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("groups: [{name: a, rules: [{alert: Hot, expr: heat}, {alert: Hot, expr: fire}]}]")
    first, second = load_rules([file])[0].rules
    engine = AlertRuleEngine()
    one, other = engine.apply(first, [({}, 1.0)], 0) + engine.apply(second, [({}, 1.0)], 0)
    assert one.alert.labels == other.alert.labels
    assert one.alert.fingerprint != other.alert.fingerprint


def test_an_edited_rule_goes_on_and_one_with_other_labels_begins_anew(tmp_path):
    engine = AlertRuleEngine()
    run(engine, rule(tmp_path), "#")
    assert run(engine, rule(tmp_path, expr="heat > 95"), "#", start=1) == []
    changed = run(engine, rule(tmp_path, labels="{severity: critical}"), "#", start=2)
    assert sorted(state for _, state, _ in changed) == ["firing", "resolved"]


def test_a_fault_in_a_template_stands_in_its_place_and_the_alert_fires(tmp_path):
    made = rule(tmp_path, annotations='{summary: "{{ humanize $labels.nothing }}"}')
    (change,) = AlertRuleEngine().apply(made, [({}, 1.0)], 0)
    assert change.state == "firing"
    assert "error expanding template" in dict(change.alert.annotations)["summary"]


def test_each_series_is_an_alert_of_its_own(tmp_path):
    engine, made = AlertRuleEngine(), rule(tmp_path)
    first = engine.apply(made, [({"host": "a"}, 95.0), ({"host": "b"}, 99.0)], 0)
    assert {dict(change.alert.labels)["host"]: change.state for change in first} == {"a": "firing", "b": "firing"}
    second = engine.apply(made, [({"host": "b"}, 99.0)], SECOND)
    assert [(dict(change.alert.labels)["host"], change.state) for change in second] == [("a", "resolved")]


def test_labels_and_annotations_are_filled_in(tmp_path):
    made = rule(
        tmp_path,
        labels='{severity: critical, place: "on {{ $labels.host }}"}',
        annotations='{summary: "{{ $value | humanize }} degrees on {{ .Labels.host }}"}',
    )
    (change,) = AlertRuleEngine().apply(made, [({"__name__": "heat", "host": "a"}, 1234.5)], 0)
    assert dict(change.alert.labels) == {"alertname": "Hot", "host": "a", "severity": "critical", "place": "on a"}
    assert dict(change.alert.annotations) == {"summary": "1.234k degrees on a"}


def test_two_elements_with_one_label_set_are_an_error_that_changes_nothing(tmp_path):
    engine, made = AlertRuleEngine(), rule(tmp_path, labels="{host: same}")
    with pytest.raises(InputError, match="same labels"):
        engine.apply(made, [({"host": "a"}, 1.0), ({"host": "b"}, 2.0)], 0)
    assert engine.alerts == {}


def test_a_restart_takes_up_where_it_stopped(tmp_path):
    made = rule(tmp_path, **{"for": "3s"})
    engine = AlertRuleEngine()
    assert run(engine, made, "##") == [(0, "pending", "condition_began")]
    again = AlertRuleEngine([alert for alerts in engine.alerts.values() for alert in alerts.values()])
    assert run(again, made, "####", start=2) == [(3, "firing", "held_long_enough")]
    third = AlertRuleEngine([alert for alerts in again.alerts.values() for alert in alerts.values()])
    assert run(third, made, "##.", start=6) == [(8, "resolved", "condition_ended")]


def test_an_alert_whose_rule_is_gone_ends(tmp_path):
    engine, made = AlertRuleEngine(), rule(tmp_path)
    run(engine, made, "#")
    (change,) = engine.forget([made.key], 5 * SECOND)
    assert (change.state, change.reason) == ("resolved", "rule_gone")
    assert engine.forget([made.key], 6 * SECOND) == []


@given(st.text("#.", max_size=40), st.integers(0, 5), st.integers(0, 5))
def test_firing_and_resolved_take_turns_whatever_happens(tmp_path_factory, line: str, wait: int, keep: int):
    made = rule(tmp_path_factory.mktemp("rules"), **{"for": f"{wait}s", "keep_firing_for": f"{keep}s"})
    told = [state for _, state, _ in run(AlertRuleEngine(), made, line) if state in ("firing", "resolved")]
    assert told == ["firing", "resolved"] * (len(told) // 2) + ["firing"] * (len(told) % 2)
    if "#" * (wait + 1) in line:
        assert "firing" in told


def test_the_hub_is_missed_after_ten_seconds_once_and_its_return_is_told():
    watch, told = HubWatch(0), []
    for second in range(40):
        watch, changes = watch_step(watch, second < 5 or second > 30, second * SECOND)
        told += [(second, change.state, change.reason) for change in changes]
        assert all(isinstance(change, Change) for change in changes)
    assert told == [(14, "firing", "hub_silent"), (31, "resolved", "hub_answers")]


def test_a_clock_that_is_set_back_does_not_postpone_the_alarm():
    watch, told = HubWatch(5000 * SECOND), []
    for second in range(20):
        watch, changes = watch_step(watch, False, second * SECOND)
        told += [(second, change.state) for change in changes]
    assert told == [(10, "firing")]


def test_the_cap_is_told_once_before_it_bites_and_does_not_flutter():
    alert, told = None, []
    for minute, used in enumerate([50, 89, 90, 95, 88, 92, 86, 84, 89, 91]):
        alert, changes = cap_step(alert, used, 100, minute)
        told += [(minute, change.state) for change in changes]
    assert told == [(2, "firing"), (7, "resolved"), (9, "firing")]
    assert cap_step(None, 10, 0, 0) == (None, []), "no cap, no alert"
