"""Dashboard files: what a good one becomes, and that all faults of a bad one are told at once, each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import ConfigError
from workbench.show import load_dashboard
from workbench.show.context import SHIPPED_DASHBOARDS
from workbench.show.spec import Thresholds, parse_duration

GOOD = """\
title: Test
filters:
  range: {default: 15m, offered: [5m, 1h]}
  component: {label: Part, options: [a, b]}
sections:
  - title: One
    tiles:
      - id: first
        type: stat
        title: First
        expr: sum(up{job=~"$component"})
        unit: ratio
        thresholds: {warn: 0.5, critical: 0.2, side: below}
      - id: second
        type: timeseries
        title: Second
        queries:
          - {expr: "rate(x_total[$window])", legend: x}
          - {expr: y}
        window: 2m
        limit: 3
      - {id: third, type: alerts, title: Third}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "test.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_dashboard(write(folder, text))
    assert "test.yaml" in caught.value.where
    return caught.value.message


def test_a_good_file_becomes_a_dashboard(tmp_path: Path) -> None:
    dashboard = load_dashboard(write(tmp_path, GOOD))
    assert (dashboard.name, dashboard.title) == ("test", "Test")
    assert dashboard.ranges.default_seconds == 900
    assert dashboard.ranges.offered_seconds == (300, 900, 3600)
    assert dashboard.choices[0].options == ("a", "b")
    first, second, third = dashboard.tiles
    assert first.thresholds == Thresholds(0.5, 0.2, above=False)
    assert [query.legend for query in second.queries] == ["x", ""]
    assert (second.window_seconds, second.limit) == (120, 3)
    assert third.kind == "alerts"


@pytest.mark.parametrize("path", sorted(SHIPPED_DASHBOARDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_dashboards_load(path: Path) -> None:
    assert load_dashboard(path).tiles


def test_all_faults_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    bad = (
        GOOD.replace("title: First", "titel: First")
        .replace("unit: ratio", "unit: ratios")
        .replace("window: 2m", "window: soon")
        .replace("limit: 3", "limit: 900")
        .replace("id: third", "id: first")
    )
    message = faults_of(tmp_path, bad)
    assert message.startswith("6 faults")
    for expected in (
        "line 10: unknown key 'titel'; did you mean 'title'?",
        "line 8: 'title' is missing",
        "line 12: unit 'ratios' is not known; did you mean 'ratio'?",
        "line 20: window must be a duration such as 30s, 5m, 1h or 7d, not 'soon'",
        "line 21: limit must be a whole number from 1 to 50",
        "line 22: id 'first' is used twice, first in line 8",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sum(up", "does not parse"),
        ('up{job=~"$colour"}', "variable $colour is not declared under filters ($component)"),
        ('up{job="$component"}', 'may only stand as `label=~"$name"`'),
        ('up{job=~"x$component"}', 'may only stand as `label=~"$name"`'),
        ("rate(up[$component])", 'may only stand as `label=~"$name"`'),
    ],
)
def test_an_expression_is_checked_with_its_variables(tmp_path: Path, expr: str, expected: str) -> None:
    message = faults_of(tmp_path, GOOD.replace('sum(up{job=~"$component"})', f"'{expr}'"))
    assert "line 11: " in message
    assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: [", "not valid YAML"),
        ("", "expected a mapping"),
        ("- a\n- b\n", "expected a mapping"),
        ("title: x\nsections: 3\n", "line 2: sections must be a list"),
        ("title: x\ntitle: y\nsections: []\n", "line 2: 'title' stands here twice"),
        ("title: x\nfilters: {from: {}}\nsections: []\n", "'from' is taken"),
        (GOOD.replace("        title: Second\n", "        title: Second\n        text: no\n"), "has no 'text'"),
        (GOOD.replace("        unit: ratio\n", "        unit: ratio\n        queries: []\n"), "either expr"),
    ],
)
def test_malformed_files_are_refused_with_the_place(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in faults_of(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_dashboard(tmp_path / "absent.yaml")
    (tmp_path / "test.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_dashboard(tmp_path / "test.yaml")


@pytest.mark.parametrize(
    ("value", "level"), [(None, ""), (0.4, "ok"), (0.5, "warn"), (0.89, "warn"), (0.9, "critical")]
)
def test_thresholds_tell_the_level(value: float | None, level: str) -> None:
    assert Thresholds(0.5, 0.9).level(value) == level
    mirrored = None if value is None else -value
    assert Thresholds(-0.5, -0.9, above=False).level(mirrored) == level
    assert Thresholds().level(value) == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("60d", 5184000), ("0h", 0), ("5", None), ("-1m", None), ("1w", None)],
)
def test_durations(text: str, seconds: int | None) -> None:
    assert parse_duration(text) == seconds
