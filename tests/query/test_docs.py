"""The page says what the code does."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from workbench import config
from workbench.query.evaluate.functions import VECTOR_FUNCTIONS
from workbench.query.evaluate.overtime import RANGE_FUNCTIONS
from workbench.query.names import metric_name

PAGE = (ROOT / "docs" / "query.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("mark", "functions"), [("range functions", RANGE_FUNCTIONS), ("vector functions", VECTOR_FUNCTIONS)]
)
def test_the_page_lists_the_functions_that_are_evaluated(mark, functions):
    listed = PAGE.split(f"<!-- {mark} -->")[1].split("\n- ")[0].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == functions


def test_the_page_gives_the_defaults():
    for name, value in re.findall(r"\| `query\.(\w+)` \| ([\d,]+) \|", PAGE):
        assert config.keys()[f"query.{name}"] == int(value.replace(",", ""))


@pytest.mark.parametrize(
    ("stored", "asked"), re.findall(r"^\| (`[\w.]+`, \w+, `[^`]+`) \| `(\w+)` \|$", PAGE, re.MULTILINE)
)
def test_the_page_translates_as_the_code_does(stored, asked):
    name, type_, unit = stored.replace("`", "").split(", ")
    assert metric_name(name, unit, type_) == asked
