"""`docs/simulate.md`: its example runs and its figures hold."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from tests.simulate.moments import platform
from workbench.simulate import KINDS

PAGE = (ROOT / "docs" / "simulate.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/simulate.md", "exec"), {})
    assert "llm_slowdown" in capsys.readouterr().out


def test_the_counts_hold():
    names, metrics, series = re.search(
        r"(\d+) metrics, with their attributes (\d+), in (\d+) stored series", PAGE
    ).groups()
    assert len({metric.name for metric in platform().metrics}) == int(names)
    assert round(len(platform().metrics), -1) == int(metrics)
    assert round(len(platform().series), -1) == int(series)


def test_every_name_of_the_face_leads_somewhere():
    import workbench.simulate as room

    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        room.Nonsense  # noqa: B018


def test_every_kind_of_incident_stands_in_the_page_in_the_words_of_the_list():
    for kind in KINDS.values():
        assert f"| `{kind.name}` | {kind.sees}{' Benign.' if kind.benign else ''} |" in PAGE
    assert f"{len(KINDS)} kinds" in PAGE
