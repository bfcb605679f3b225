"""Rule files: what Prometheus accepts loads, and every fault of every file is told at once, with its place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import need

from workbench.alert import load_rules, rule_files
from workbench.config import Settings
from workbench.errors import ConfigError

GOOD = """
groups:
  - name: one
    interval: 5s
    labels: {team: ops}
    rules:
      - alert: Hot
        expr: heat > 90
        for: 1m
        keep_firing_for: 30s
        labels: {severity: "{{ if }}"}
"""


def write(folder: Path, text: str, name: str = "rules.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_rule_in_all_its_parts(tmp_path: Path):
    text = GOOD.replace('"{{ if }}"', "critical")
    (group,) = load_rules([write(tmp_path, text)])
    (rule,) = group.rules
    assert (group.name, group.interval_us) == ("one", 5_000_000)
    assert (rule.alert, rule.expr, rule.for_us, rule.keep_firing_us) == ("Hot", "heat > 90", 60_000_000, 30_000_000)
    assert {name: template.render({}, 0) for name, template in rule.labels} == {"team": "ops", "severity": "critical"}


FAULTS = {
    "expr: heat >": "expr",
    "expr: rate(heat)": "expr",
    "for: soon": "for",
    "for: -5m": "for",
    "labels: {__name__: x}": "__name__",
    "labels: {'a b': x}": "a b",
    "labels: [x]": "labels must be a mapping",
    "annotations: {summary: '{{ $valu }}'}": "$valu",
    "annotations: {summary: '{{ $value | humanise }}'}": "humanise",
    "annotation: {summary: x}": "did you mean 'annotations'?",
    "sevrity: high": "has no 'sevrity'",
}


@pytest.mark.parametrize("line", FAULTS, ids=str)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, line: str):
    key = line.split(":", maxsplit=1)[0]
    rule = {"alert": "alert: Hot", "expr": "expr: heat > 90", key: line}
    lines = ["groups:", "  - name: one", "    rules:", "      - " + rule.pop("alert")]
    lines += ["        " + text for text in rule.values()]
    file = write(tmp_path, "\n".join(lines) + "\n")
    with pytest.raises(ConfigError) as raised:
        load_rules([file])
    number = next(at for at, text in enumerate(lines, 1) if line in text)
    assert f"{file}:{number}: " in raised.value.message
    assert FAULTS[line] in raised.value.message


def test_all_faults_of_all_files_at_once(tmp_path: Path):
    first = write(tmp_path, "groups: [{name: a, rules: [{alert: A}, {expr: up}]}]", "first.yaml")
    second = write(tmp_path, "groups:\n  - name: b\n    rules: {}\n  - name: b\n", "second.yaml")
    third = write(tmp_path, "groups: [", "third.yaml")
    with pytest.raises(ConfigError) as raised:
        load_rules([first, second, third, tmp_path / "missing.yaml"])
    told = raised.value.message.splitlines()
    assert any("first.yaml:1: expr is missing" in line for line in told)
    assert any("first.yaml:1: alert is missing" in line for line in told)
    assert any("second.yaml:3: rules must be a list" in line for line in told)
    assert any("second.yaml:4: a second group 'b'" in line for line in told)
    assert any("third.yaml:1: not YAML" in line for line in told)
    assert any("missing.yaml:1: cannot be read" in line for line in told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'groups: "\x00"', "not YAML"),
        (b"[" * 20_000, "nested too deeply"),
        (b"groups: []\n---\ngroups: []", "not YAML"),
        (b"\xff\xfe\xff", "not UTF-8"),
        (b"- groups", "must be a mapping"),
        (b"groups: [{name: a, rules: [{alert: A, expr: up, labels: {x: '{{ \"\\d\" }}'}}]}]", "not a text"),
    ],
    ids=["control character", "depth", "two documents", "encoding", "list", "escape"],
)
def test_what_is_no_rule_file_is_told_not_raised(tmp_path: Path, content: bytes, told: str):
    file = tmp_path / "rules.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        load_rules([file])


def test_an_empty_file_has_no_rules(tmp_path: Path):
    assert load_rules([write(tmp_path, ""), write(tmp_path, "groups:", "b.yaml")]) == []


def test_a_file_in_the_home_replaces_ours_of_that_name(settings: Settings):
    assert {file.name for file in rule_files(settings)} == {"host.yaml", "platform.yaml", "quality.yaml"}
    mine = write(settings.home / "rules", "groups: []", "host.yaml")
    more = write(settings.home / "rules", "groups: []", "more.yml")
    found = rule_files(settings)
    assert mine in found
    assert more in found
    assert [file.name for file in found].count("host.yaml") == 1


def test_editing_above_a_rule_does_not_make_it_another(tmp_path: Path):
    text = "groups:\n  - name: a\n    rules:\n      - {alert: A, expr: up}\n      - {alert: A, expr: up > 1}\n"
    before = [rule.key for rule in load_rules([write(tmp_path, text)])[0].rules]
    after = [rule.key for rule in load_rules([write(tmp_path, "# a comment\n\n" + text)])[0].rules]
    assert before == after
    assert len(set(before)) == 2


def test_the_shipped_rules_load_and_promtool_agrees(settings: Settings):
    files = rule_files(settings)
    assert sum(len(group.rules) for group in load_rules(files)) >= 8
    need(shutil.which("promtool"), "promtool (Debian package `prometheus`)")
    subprocess.run(["promtool", "check", "rules", *map(str, files)], check=True, capture_output=True)


def test_every_runbook_that_a_rule_names_is_written(settings: Settings):
    page = (Path(__file__).parents[2] / "docs" / "alert.md").read_text().lower()
    for group in load_rules(rule_files(settings)):
        for rule in group.rules:
            runbook = dict(rule.annotations)["runbook"].render({}, 0)
            anchor = runbook.partition("#")[2]
            assert f"### {anchor}\n" in page, runbook
