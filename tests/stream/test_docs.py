"""docs/stream.md says what the code does."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.conftest import ROOT
from workbench.stream import Bounds, Counts, processor, sketch, sliding

PAGE = (ROOT / "docs" / "stream.md").read_text(encoding="utf-8")


def test_the_snippets_print_what_stands_beside_them(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(snippet, names)
    first, second = capsys.readouterr().out.strip().splitlines()
    assert f"# {first}" in PAGE
    assert f"# {second}" in PAGE


def test_the_bounds_are_those_of_the_code() -> None:
    bounds = Bounds()
    assert f"{bounds.pane_samples:,} in a pane, {bounds.open_samples:,} in all" in PAGE
    assert f"| {bounds.series:,}; those registered first stay" in PAGE
    assert f"| {processor.QUEUE_SAMPLES:,}; new ones" in PAGE
    assert f"relative error of {sketch.RELATIVE_ERROR:.0%}".replace("%", " %") in PAGE
    assert f"at most {sketch.MAX_BINS} bins" in PAGE
    panes = sum(kept // width + 1 for kept, width in zip(sliding.KEPT_US, sliding.WIDTHS_US, strict=True))
    assert f"at most {panes}, each" in PAGE


def test_every_fate_and_file_is_described() -> None:
    for name in (*(field.name for field in dataclasses.fields(Counts)), "over_queue"):
        assert f"`{name}`" in PAGE
    for name in re.findall(r"`(\w+\.py)`", PAGE):
        assert (ROOT / "workbench" / "stream" / name).exists(), name
