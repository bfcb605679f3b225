"""The page about the store runs, and names the files that are there."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "store.md"


def test_the_snippets_run(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(snippet, names)
    printed = capsys.readouterr().out
    assert "[21.5]" in printed
    assert "'room.temperature'" in printed
    names["view"].close()  # type: ignore[attr-defined]
    names["then"].close()  # type: ignore[attr-defined]


def test_the_snippet_about_the_life_cycle_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(snippet, {})
    printed = capsys.readouterr().out
    assert "rule='default'" in printed
    assert "resolution of 1" in printed


def test_every_file_of_the_table_exists() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Write")[0]
    for name in re.findall(r"`(\w+\.py)`", table):
        assert (ROOT / "workbench" / "store" / name).exists(), name
