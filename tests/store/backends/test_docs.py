"""The page about back ends names what there is, and its snippets run."""

from __future__ import annotations

import re
import tomllib

import pytest
from conftest import ROOT

from workbench.store import WAREHOUSES
from workbench.store.backends.opening import TIMESERIES

PAGE = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", [*TIMESERIES, *WAREHOUSES])
def test_every_kind_of_url_is_described(scheme: str):
    assert f"`{scheme.replace('+https', '+http')}://" in PAGE


def test_the_snippets_run(settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(settings.home))
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(snippet, names)
    assert "GROUP BY" in names["t"].compile(names["per_model"])  # type: ignore[attr-defined]
    for snippet in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL):
        tomllib.loads(snippet)
