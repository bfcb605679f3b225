"""The pages about scraping and cardinality say what the code does, and their snippets run."""

from __future__ import annotations

import re

import pytest
import yaml
from conftest import ROOT

from workbench import config
from workbench.ingest import read_scraping
from workbench.ingest.refused_series import LIMITS
from workbench.ingest.scrape.session import REPORTS, RETRY_SCRAPES
from workbench.store import open_writer

SCRAPE = (ROOT / "docs" / "scrape.md").read_text(encoding="utf-8")
CARDINALITY = (ROOT / "docs" / "cardinality.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [SCRAPE, CARDINALITY], ids=["scrape", "cardinality"])
def test_the_snippets_run(page, settings, monkeypatch, capsys):
    with open_writer(settings):
        pass
    monkeypatch.setenv("WORKBENCH_HOME", str(settings.home))
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, {})
    assert capsys.readouterr().out


def test_the_example_is_a_scrape_file(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", SCRAPE, re.DOTALL)
    (tmp_path / "scrape.yml").write_text(example)
    assert [job.name for job in read_scraping(tmp_path / "scrape.yml").jobs] == ["node", "shop"]
    assert yaml.safe_load(example)["global"] == {"scrape_interval": "15s"}


def test_the_figures_and_names_of_the_pages():
    for setting, default, reason in re.findall(r"\| `(ingest\.\w+)` \| ([\d,]+) \| `(\w+)`", CARDINALITY):
        assert config.keys()[setting] == int(default.replace(",", ""))
        assert LIMITS[reason] == setting
    assert len(LIMITS) == 4
    assert f"again every {RETRY_SCRAPES} scrapes" in CARDINALITY
    assert all(f"`{name}`" in SCRAPE for name in REPORTS)
