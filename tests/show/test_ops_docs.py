"""docs/operations.md says what the code does."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from workbench.analyze.movers import LEAST_CHANGE, LEAST_EFFECT
from workbench.serve import ops as process
from workbench.show.ops.choice import FACETS
from workbench.show.ops.drill import LIVE_SECONDS

PAGE = " ".join((ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split())


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    exec(compile(snippet, "docs/operations.md", "exec"), {})
    assert re.fullmatch(r"1 \d+% \d\.\d\n", capsys.readouterr().out)


def test_its_figures_and_filters_are_those_of_the_code() -> None:
    assert f"may take {process.TIMEOUT_SECONDS} s and {process.SAMPLES_MAX // 10**6} million samples" in PAGE
    assert process.IDLE_SECONDS == 1800
    assert f"every {LIVE_SECONDS} seconds" in PAGE
    assert f"changes under {LEAST_CHANGE:.0%}".replace("%", " %") in PAGE
    assert f"effects under {LEAST_EFFECT}" in PAGE
    assert f"tick a {', '.join(list(FACETS.values())[:-1]).lower()} or {list(FACETS.values())[-1].lower()}" in PAGE
