"""`docs/collect.md` names what is measured, and its example runs."""

from __future__ import annotations

import re

from conftest import ROOT

from workbench.collect import delivery, process, system
from workbench.query import prometheus_labels
from workbench.store import Identity, Series

PAGE = (ROOT / "docs" / "collect.md").read_text(encoding="utf-8")
INSTRUMENTS = {one.name: one for one in (*system.INSTRUMENTS, *process.INSTRUMENTS, delivery.EXPORTED)}


def table() -> list[tuple[list[str], list[str]]]:
    """(OpenTelemetry names, PromQL names) of each row; `.suffix` stands for the name before it with another ending."""
    found = []
    for line in PAGE.splitlines():
        cells = line.split("|")
        if len(cells) < 5 or "`" not in cells[1]:
            continue
        names: list[str] = []
        for name in re.findall(r"`([^`]+)`", cells[1]):
            names.append(names[0].rpartition(".")[0] + name if name.startswith(".") else name)
        found.append((names, re.findall(r"`([^`]+)`", cells[2])))
    return found


def test_the_table_names_every_instrument_and_no_other():
    assert sorted(name for names, _ in table() for name in names) == sorted(INSTRUMENTS)


def test_the_names_in_promql_are_those_of_the_translation():
    translated = set()
    for one in INSTRUMENTS.values():
        temporality = "" if one.kind == "gauge" else "cumulative"
        identity = Identity("otel", one.name, one.kind, one.unit, temporality, (("service.name", "host"),), ())
        translated.add(prometheus_labels(Series(1, identity, "", "", "", 0))["__name__"])
    for _, names in table():
        assert set(names) <= translated


def test_the_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/collect.md", "exec"), {})
