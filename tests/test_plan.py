"""`docs/plan.md` speaks of code and tests that exist, and leaves no line of the plan or requirement out."""

from __future__ import annotations

import importlib
import re

from conftest import ROOT

TEXT = (ROOT / "docs" / "plan.md").read_text()


def test_every_path_it_names_exists():
    paths = set(re.findall(r"`((?:workbench|tests|benchmarks|dashboards|docs|notebooks)/[^`]*)`", TEXT))
    assert len(paths) > 30
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_class_it_names_can_be_imported():
    names = set(re.findall(r"`(workbench(?:\.\w+)+)`", TEXT))
    assert "workbench.collect.SystemMetricsCollector" in names
    for name in sorted(names):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_every_group_of_the_plan_and_every_requirement_is_there():
    groups = set(re.findall(r"^## ([\d.]+) ", TEXT, re.MULTILINE))
    assert {str(number) for number in range(1, 16)} <= {group.split(".")[0] for group in groups}
    requirements = re.findall(r"^\| (\d+\.\d) \| (met|part|not yet) \|", TEXT, re.MULTILINE)
    expected = [f"{group}.{line}" for group in range(1, 11) for line in range(1, 6)]
    assert [number for number, _ in requirements] == expected


def test_what_is_done_names_a_test_or_a_benchmark():
    for line in re.findall(r"^\| .* \| done \|.*$", TEXT, re.MULTILINE):
        assert "`tests/" in line or "`benchmarks/" in line, line
