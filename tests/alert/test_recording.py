"""Recording rules: series that an expression makes, in the order of their group, with an end where they end."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import need

from workbench.alert import AlertManager, Recorded, load_rules
from workbench.alert.recording import record_step
from workbench.alert.turns import MISSED, GroupTurns
from workbench.errors import ConfigError, InputError, StoreError
from workbench.query import range_query
from workbench.schema import KINDS
from workbench.serve.hub import evaluator
from workbench.serve.running.rule_samples import rule_samples
from workbench.store import Identity, open_writer, state

SECOND = 1_000_000
MINUTE = 60 * SECOND
RULES = """
groups:
  - name: node
    interval: 1m
    labels: {team: ops}
    rules:
      - record: instance:load:double
        expr: load * 2
        labels: {unit: ''}
      - record: job:load:sum
        expr: sum without (instance) (instance:load:double)
        labels: {team: sre, level: job}
      - alert: Loaded
        expr: job:load:sum > 30
        for: 2m
  - name: late
    interval: 1m
    query_offset: 2m
    rules: [{record: load:late, expr: sum(load)}]
"""


def rule_of(tmp_path: Path, text: str):
    file = tmp_path / "own.yaml"
    file.write_text(f"groups: [{{name: a, rules: [{text}]}}]")
    return load_rules([file])[0].rules[0]


def test_a_recording_rule_in_all_its_parts(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(RULES)
    node, late = load_rules([file])
    double, total, loaded = node.rules
    assert (double.record, double.expr, double.key) == (
        "instance:load:double", "load * 2", "own.yaml/node/instance:load:double/0",
    )  # fmt: skip
    assert dict(total.labels) == {"team": "sre", "level": "job"}
    assert loaded.alert == "Loaded"
    assert (node.query_offset_us, late.query_offset_us) == (0, 2 * MINUTE)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{record: x, alert: y, expr: up}", "either record or alert"),
        ("{record: x, expr: up, for: 5m}", "for does not belong"),
        ("{record: x, expr: up, annotations: {a: b}}", "annotations does not belong"),
        ("{record: 'x{a=\"b\"}', expr: up}", "without braces"),
        ("{record: x}", "expr is missing"),
        ("{record: '', expr: up}", "record must be a text"),
        ("{record: x, expr: 'up +'}", "expr at"),
    ],
)
def test_faults_are_told(tmp_path, rule, told):
    with pytest.raises(ConfigError, match=told):
        rule_of(tmp_path, rule)


def test_what_is_given_no_more_ends(tmp_path):
    rule = rule_of(tmp_path, "{record: x, expr: up, labels: {job: '', new: b}}")
    given, samples = record_step(rule, frozenset(), [({"__name__": "up", "job": "a"}, 1.5)], 7)
    labels = (("__name__", "x"), ("new", "b"))
    assert (given, samples) == ({labels}, [Recorded(labels, 7, 1.5)])
    given, samples = record_step(rule, given, [], 8)
    assert (given, samples) == (frozenset(), [Recorded(labels, 8, 0.0, stale=True)])
    with pytest.raises(InputError, match="same labels"):
        record_step(rule, frozenset(), [({"job": "a"}, 1.0), ({"job": "b"}, 2.0)], 9)


class Home:
    """A manager over a real log, with rules of its own alone."""

    def __init__(self, settings, text: str) -> None:
        folder = settings.home / "rules"
        folder.mkdir(parents=True, exist_ok=True)
        for ours in ("host.yaml", "platform.yaml"):
            (folder / ours).write_text("groups: []")
        self.file = folder / "own.yaml"
        self.file.write_text(text)
        self.writer = open_writer(settings)
        self.settings = settings
        self.full = False
        samples = rule_samples(self.writer)

        def write(recorded) -> None:
            if self.full:
                raise StoreError("the disk is full")
            samples(recorded)

        self.manager = AlertManager(
            evaluator(self.writer.view, settings), state.engine(settings), settings, lambda _: None, write=write
        )

    def put(self, labels: dict[str, str], values: list[float | None], name: str = "load") -> None:
        """A sample a minute from 1970 on; None is none."""
        identity = Identity("prometheus", name, "gauge", "", "", (), tuple(sorted(labels.items())))
        (number,) = self.writer.register([(identity, "", "")], "token:1")
        points = [(minute * MINUTE, value) for minute, value in enumerate(values) if value is not None]
        rows = {
            "series": pa.array(np.full(len(points), number)),
            "time": pa.array([time for time, _ in points], pa.timestamp("us", tz="UTC")),
            "type": pa.array(np.zeros(len(points), np.int8)),
            "value": pa.array([value for _, value in points]),
        }
        schema = KINDS["samples"].schema
        columns = [rows.get(field.name, pa.nulls(len(points), field.type)) for field in schema]
        self.writer.append({"samples": pa.RecordBatch.from_arrays(columns, schema=schema)}).result(30)

    def found(self, expr: str, last_minute: int) -> dict[str, list[tuple[int, float]]]:
        """Labels as Prometheus writes them -> (minute, value)."""
        result = range_query(self.writer.view, expr, 0, last_minute * MINUTE, MINUTE, limits=self.settings.query)
        return {
            series_text(labels): [
                (step, float(result.values[row, step])) for step in np.flatnonzero(result.present[row]).tolist()
            ]
            for row, labels in enumerate(result.labels)
        }


def series_text(labels: dict[str, str]) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels.get('__name__', '')}{{{inside}}}"


def test_recorded_series_are_those_that_promtool_makes(settings, tmp_path):
    """The same rules over the same samples; promtool compares what we recorded with what it records."""
    home = Home(settings, RULES)
    values = {"a": [float(minute) for minute in range(12)], "b": [5.0] * 4 + [None] * 8}
    for instance, given in values.items():
        home.put({"instance": instance, "job": "x", "unit": "1"}, given)
    # Instance b goes away as promtool's `stale` does: with a marker.
    identity = Identity("prometheus", "load", "gauge", "", "", (), (("instance", "b"), ("job", "x"), ("unit", "1")))
    assert home.writer.view.registry.find(identity) is not None
    rule_samples(home.writer)([Recorded((("__name__", "load"), *identity.attributes), 4 * MINUTE, 0.0, stale=True)])
    last = 11
    for minute in range(last + 1):
        home.manager.tick(minute * MINUTE)
    assert home.manager.health() == []
    recorded = {expr: home.found(expr, last) for expr in ("instance:load:double", "job:load:sum", "load:late")}
    assert recorded["instance:load:double"]['instance:load:double{instance="b", job="x", team="ops"}'][-1] == (3, 10.0)
    assert recorded["job:load:sum"]['job:load:sum{job="x", level="job", team="sre"}'][:2] == [(0, 10.0), (1, 12.0)]
    late = recorded["load:late"]["load:late{}"]
    assert late[0] == (0, 5.0), "what was asked two minutes ago bears the time of two minutes ago"
    loaded = {rule["name"]: rule for group in home.manager.groups() for rule in group["rules"]}["Loaded"]
    home.writer.close()
    need(shutil.which("promtool"), "promtool (Debian package `prometheus`)")
    plain = [line for line in RULES.splitlines() if "query_offset" not in line and "labels: {team: ops}" not in line]
    (tmp_path / "rules.yaml").write_text("\n".join(plain).partition("  - name: late")[0])
    unit = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": 'load{instance="a", job="x", unit="1"}', "values": "0+1x11"},
                    {"series": 'load{instance="b", job="x", unit="1"}', "values": "5x3 stale"},
                ],
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": f"{minute}m",
                        "exp_samples": [
                            {
                                "labels": labels.replace('team="ops"', "").replace(", }", "}"),
                                "value": dict(points)[minute],
                            }
                            for labels, points in recorded[expr].items()
                            if minute in dict(points)
                        ],
                    }
                    for expr in ("instance:load:double", "job:load:sum")
                    for minute in range(last + 1)
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(json.dumps(unit))
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (loaded["type"], loaded["duration"], loaded["health"]) == ("alerting", 120.0, "ok")


def test_a_rule_that_fails_is_shown_and_one_that_is_gone_ends(settings):
    home = Home(settings, "groups: [{name: a, interval: 1m, limit: 1, rules: [{record: x, expr: load}]}]")
    home.put({"instance": "a"}, [1.0] * 10)
    home.manager.tick(0)
    home.full = True
    home.manager.tick(MINUTE)
    (rule,) = home.manager.groups()[0]["rules"]
    assert (rule["type"], rule["health"], rule["query"]) == ("recording", "err", "load")
    assert "full" in rule["lastError"]
    home.full = False
    home.put({"instance": "b"}, [1.0] * 10)
    home.manager.tick(2 * MINUTE)
    assert "exceeded limit of 1 with 2 series" in home.manager.groups()[0]["rules"][0]["lastError"]
    home.file.write_text("groups: [{name: a, interval: 1m, rules: [{record: y, expr: load}]}]")
    home.full = True
    home.manager.tick(3 * MINUTE)
    home.full = False
    home.manager.tick(4 * MINUTE)
    assert home.found("x", 6) == {'x{instance="a"}': [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]}
    assert set(home.found("y", 6)) == {'y{instance="a"}', 'y{instance="b"}'}
    assert home.manager.health() == []
    home.writer.close()


def test_a_slot_is_evaluated_once_and_missed_ones_are_counted(settings, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("groups: [{name: a, interval: 15s, rules: [{record: x, expr: load}]}]")
    (group,) = load_rules([file])
    turns = GroupTurns(MINUTE)

    def missed() -> float:
        return MISSED.labels(f"{file};a")._value.get()

    assert turns.slot_us(group, 31 * SECOND) == 30 * SECOND
    turns.take(group, 31 * SECOND)
    assert turns.slot_us(group, 44 * SECOND) is None
    assert turns.slot_us(group, 45 * SECOND) == 45 * SECOND
    turns.take(group, 106 * SECOND)
    assert missed() == 4, "45, 60, 75 and 90"
    assert turns.slot_us(group, 20 * SECOND) == 15 * SECOND, "a clock that was set back"
    assert not math.isnan(missed())


ALERTING = "groups: [{name: a, interval: 1m, rules: [{alert: Hot, expr: load > 3, for: 2m, labels: {team: ops}}]}]"


def test_alerts_are_series_that_end_with_them(settings):
    home = Home(settings, ALERTING)
    home.put({"instance": "a"}, [1, 5, 5, 5, 5, 1, 1, 1, 1, 1])
    for minute in range(4):
        home.manager.tick(minute * MINUTE)
    home.manager.tick(3 * MINUTE + SECOND)
    # A restart: the alert ended while nobody looked.
    home.manager = AlertManager(
        evaluator(home.writer.view, settings),
        state.engine(settings),
        settings,
        lambda _: None,
        write=rule_samples(home.writer),
    )
    for minute in range(6, 8):
        home.manager.tick(minute * MINUTE)
    own = 'alertname="Hot", alertstate="{}", instance="a", team="ops"'
    assert home.found("ALERTS", 9) == {
        f"ALERTS{{{own.format('pending')}}}": [(1, 1.0), (2, 1.0)],
        f"ALERTS{{{own.format('firing')}}}": [(3, 1.0), (4, 1.0), (5, 1.0)],
    }
    assert home.found("ALERTS_FOR_STATE", 9) == {
        'ALERTS_FOR_STATE{alertname="Hot", instance="a", team="ops"}': [(minute, 60.0) for minute in range(1, 6)]
    }
    assert home.manager.health() == []
    home.writer.close()


def test_alerts_fire_where_their_series_cannot_be_written_and_a_rule_that_is_gone_ends_them(settings):
    home = Home(settings, ALERTING.replace("2m", "0s"))
    home.put({"instance": "a"}, [5.0] * 10)
    home.full = True
    assert [change.state for change in home.manager.tick(0)] == ["firing"]
    (trouble,) = home.manager.health()
    assert (trouble.where, "full" in trouble.message) == ("series ALERTS", True)
    home.full = False
    home.manager.tick(MINUTE)
    assert home.manager.health() == []
    home.file.write_text("groups: []")
    home.manager.tick(2 * MINUTE)
    assert list(home.found("ALERTS", 9).values()) == [[(1, 1.0)]]
    home.writer.close()


NATIVE = """
groups:
  - name: a
    interval: 1m
    rules:
      - {record: 'job:h:sum', expr: sum by (job) (h)}
      - {record: 'job:h:rate', expr: 'rate(job:h:sum[2m])'}
      - {alert: OfHistograms, expr: h}
"""


def test_native_histograms_are_recorded_and_end(settings):
    home = Home(settings, NATIVE)
    samples = rule_samples(home.writer)
    for minute in range(4):
        for place in (1, 2):
            labels = (("__name__", "h"), ("instance", str(place)), ("job", "x"))
            count = 3.0 * place * (minute + 1)
            value = {
                "schema": 0, "reset_hint": 0, "count": count, "sum": -count, "zero_threshold": 0.5, "zero_count": 0.0,
                "positive_indexes": [1, 3], "positive_counts": [count / 3, count / 3],
                "negative_indexes": [2], "negative_counts": [count / 3], "custom_bounds": [],
            }  # fmt: skip
            ends = minute == 3
            samples([Recorded(labels, minute * MINUTE, 0.0 if ends else value, stale=ends)])
    for minute in range(3):
        home.manager.tick(minute * MINUTE)
    (trouble,) = home.manager.health()
    assert "OfHistograms" in trouble.where
    assert "gives native histograms, which have no value to tell" in trouble.message
    for minute in range(3, 5):
        home.manager.tick(minute * MINUTE)
    assert home.manager.health() == []

    def asked(expr: str) -> list:
        return range_query(home.writer.view, expr, 0, 4 * MINUTE, MINUTE).to_prometheus()["result"]

    (recorded,), (summed,) = asked("job:h:sum"), asked("sum by (job) (h)")
    assert recorded["metric"] == {"__name__": "job:h:sum", "job": "x"}
    assert recorded["histograms"] == summed["histograms"]
    assert [time for time, _ in recorded["histograms"]] == [0, 60, 120], "and a staleness marker"
    assert recorded["histograms"][1][1] == {
        "count": "18", "sum": "-18", "buckets": [[1, "-4", "-2", "6"], [0, "1", "2", "6"], [0, "4", "8", "6"]],
    }  # fmt: skip
    (kept,), (rated,) = asked("job:h:rate"), asked("rate(job:h:sum[2m])")
    assert kept["histograms"] == rated["histograms"]
    assert [time for time, _ in kept["histograms"]] == [60, 120]
    home.writer.close()
