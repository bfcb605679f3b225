"""The daily report on a home without data, and on the simulated platform, whose incidents are known."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from workbench import config
from workbench.report import notebook_file, run_report
from workbench.report.notebooks import SHIPPED
from workbench.simulate import Incident, Platform, incidents
from workbench.simulate.history import samples
from workbench.simulate.identity import registration
from workbench.store import open_writer

SEED = 3  # not that of the demo, on which the thresholds were chosen
LAST = datetime(2026, 11, 20, tzinfo=UTC)
DAYS = [LAST - timedelta(days=back) for back in range(5, -1, -1)]  # after 14 days of history each
DAY_US = 86_400_000_000
SPILL_HOURS = 0.5  # an incident's followers come late, and a rate looks back


def micros(day: datetime) -> int:
    return int(day.timestamp()) * 1_000_000


def truth(day: datetime) -> list[Incident]:
    """The slow models of a day: what the report is measured by."""
    return [one for one in touching(day) if one.kind == "llm_slowdown"]


def touching(day: datetime) -> list[Incident]:
    """Everything that goes wrong on a day, followers included."""
    return incidents(SEED, micros(day), micros(day) + DAY_US - 1)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[config.Settings, str]:
    """A home with the simulated platform's last 20 days, and its lake version."""
    settings = config.load(tmp_path_factory.mktemp("simulated") / "home", environ={})
    platform = Platform(SEED)
    with open_writer(settings) as writer:
        ids = np.array(writer.register([registration(one) for one in platform.series], "load:test"), np.int64)
        for number in range(1, 21):
            start_us = micros(LAST) + (number - 20) * DAY_US
            batch = samples(platform, ids, start_us, start_us + DAY_US - 300_000_000)
            writer.load("test", number, {"samples": batch})
        return settings, writer.seal()


def analysis(simulated: tuple[config.Settings, str], day: datetime) -> dict[str, Any]:
    """What the notebook's cells before its title find, run here: a kernel for each day would take minutes."""
    settings, version = simulated
    names: dict[str, Any] = {"date": f"{day:%Y-%m-%d}", "home": str(settings.home), "lake_version": version}
    cells = nbformat.read(SHIPPED / "daily_report.ipynb", as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    with contextlib.redirect_stdout(io.StringIO()):
        for source in code[1:4]:
            exec(source, names)
    return names


def test_as_it_lies_in_the_repository():
    shipped = nbformat.read(SHIPPED / "daily_report.ipynb", as_version=4)
    nbformat.validate(shipped)
    assert [cell.metadata.get("tags", []) for cell in shipped.cells if cell.metadata.get("tags")] == [["parameters"]]
    for cell in shipped.cells:
        assert not cell.get("outputs"), "outputs belong to reports"
        assert cell.get("execution_count") is None


def test_incidents_are_found_with_their_model_and_little_else(simulated):
    missed, false, seen = [], [], 0
    for day in DAYS:
        names = analysis(simulated, day)
        found = names["unusual"]
        for incident in truth(day):
            seen += 1
            start, end = ((time_us - micros(day)) / 3.6e9 for time_us in (incident.start_us, incident.end_us))
            own = [(name, one) for name, one in found if one.start_hour < end + SPILL_HOURS and one.end_hour > start]
            found = [entry for entry in found if entry not in own]
            calls = [one for name, one in own if name == "Mean LLM call"]
            if not calls:
                missed.append((day, incident))
                continue
            assert calls[0].score > 0
            assert abs(calls[0].start_hour - start) < SPILL_HOURS
            assert names["explain"]("Mean LLM call", calls[0]).startswith(incident.target + ":")
        for incident in touching(day):
            start, end = ((time_us - micros(day)) / 3.6e9 for time_us in (incident.start_us, incident.gone_us))
            found = [(name, one) for name, one in found if one.start_hour >= end + SPILL_HOURS or one.end_hour <= start]
        false += [(day, *entry) for entry in found]
    assert seen >= 3, "the seed has incidents in these days"
    assert len(missed) <= 1, missed
    assert len(false) <= 1, false


def test_the_page_of_a_day_with_an_incident(simulated):
    settings, version = simulated
    day = max((day for day in DAYS if truth(day)), key=lambda day: truth(day)[0].end_us - truth(day)[0].start_us)
    report = run_report("daily_report", settings=settings, day=day.date(), lake_version=version)
    page = report.html.read_text()
    assert f"Daily report, {day:%A}" in page
    assert "Mean LLM call (simulated)</strong> was unusual at" in page
    assert f"{truth(day)[0].target}: " in page
    assert "no data of this host" in page
    assert page.count('alt="') == page.count("<img ") == 8
    assert "nothing unusual." in page, "in the words of a picture"
    figures = report.provenance().figures
    assert figures["Unusual periods"] >= 1
    assert 1 < figures["Mean LLM call, mean"] < 10
    assert figures["Requests, mean"] > 0.5
    assert "CPU used, mean" not in figures, "not measured is not a figure"


def test_a_home_without_data_gives_a_report_that_says_so(tmp_path: Path):
    settings = config.load(tmp_path / "home", environ={})
    assert notebook_file("daily_report", settings) == SHIPPED / "daily_report.ipynb"
    report = run_report("daily_report", settings=settings, day=LAST.date())
    assert report.status == "done"
    page = report.html.read_text()
    assert "No alert fired." in page
    assert "It was not measured on this day." in page
    assert "<img " not in page
    assert report.provenance().figures == {"Alerts fired": 0, "Events": 0, "Unusual periods": 0}
