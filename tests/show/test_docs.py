"""docs/show.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from workbench.show import filters, live, load_dashboard, snapshot, spec
from workbench.show.site import FIRST_PAINT_BUDGET_SECONDS
from workbench.show.units import UNITS

PAGE = (ROOT / "docs" / "show.md").read_text(encoding="utf-8")


def test_the_example_is_a_dashboard(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "gateway.yaml"
    path.write_text(example, encoding="utf-8")
    assert [tile.kind for tile in load_dashboard(path).tiles] == ["stat", "timeseries", "alerts"]


def test_the_python_snippets_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(snippet, "docs/show.md", "exec"), {})
    assert capsys.readouterr().out.startswith("Overview ")


def test_every_key_unit_and_kind_of_tile_is_described() -> None:
    for word in (*spec._TILE_KEYS, *spec.TILE_KINDS, *filter(None, UNITS)):
        assert f"`{word}`" in PAGE, word


def test_the_limits_are_those_of_the_code() -> None:
    limits = " ".join(PAGE.partition("## Limits")[2].partition("##")[0].split())
    assert limits == (
        f"{live.VIEWERS_MAX} open streams, {live.CHANNELS_MAX} different choices of filters watched at once, "
        f"{filters.VALUES_MAX} values per filter of {filters.VALUE_CHARS_MAX} characters each, names of series cut at "
        f"{snapshot.NAME_CHARS_MAX} characters."
    )
    assert f"{live.QUEUE_EVENTS} events behind" in PAGE
    assert f"longer than {FIRST_PAINT_BUDGET_SECONDS} s" in PAGE
    assert f"about {filters.POINTS_MAX} points" in PAGE
    assert f"up to {filters.LIVE_STEP_SECONDS_MAX} s charts" in PAGE
