"""What a board shows: every text escaped, every picture with its numbers, live numbers in the units of the pages."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from workbench.analyze import outlook
from workbench.report import Kpi, Live, daily_chart, facts, heading, kpis
from workbench.report.tiles import LIVE_UNITS, _bounds
from workbench.show.units import UNITS

HOSTILE = "<script>alert(1)</script>"


def test_a_figure_says_whether_it_is_on_target_in_words():
    html = kpis([Kpi("A", "1", target="at least 2", met=False), Kpi("B", "3", target="at least 2", met=True)]).data
    assert "Off target: at least 2" in html
    assert "On target: at least 2" in html
    assert "no goal set" in kpis([Kpi("C", "3")]).data


def test_texts_are_escaped():
    shown = [
        kpis([Kpi(HOSTILE, HOSTILE, target=HOSTILE, change=HOSTILE, live=Live(HOSTILE, HOSTILE))]),
        facts([HOSTILE]),
        heading(HOSTILE, HOSTILE),
        daily_chart(HOSTILE, date(2026, 11, 1), np.arange(4.0), lambda value: f"{HOSTILE}{value}", summary=HOSTILE),
    ]
    assert not any("<script" in one.data for one in shown)


def test_simulated_is_said_where_it_is_shown():
    chart = daily_chart("A", date(2026, 11, 1), np.arange(4.0), str, summary="s", simulated=True)
    for one in (kpis([Kpi("A", "1", simulated=True)]), heading("A", simulated=True), chart):
        assert ">simulated<" in one.data


def test_a_chart_carries_its_words_and_its_numbers():
    history = np.tile(np.arange(7.0), 6)
    ahead = outlook(history, 7)
    html = daily_chart(
        "A", date(2026, 10, 1), history, lambda value: f"{value:.2f}", summary="what is seen", ahead=ahead
    ).data
    assert 'role="img" aria-label="what is seen"' in html
    assert html.count('<th scope="row">') == 42 + 7
    assert "2026-11-12, expected" in html


def test_days_without_data_break_the_line_and_say_so():
    values = np.array([1.0, np.nan, 3.0, 4.0])
    html = daily_chart("A", date(2026, 10, 1), values, str, summary="s").data
    path = html.split('class="history" d="')[1].split('"')[0]
    assert path.count("M") == 2
    assert "no data" in html


def test_live_numbers_are_written_as_the_pages_write_them():
    assert LIVE_UNITS == UNITS
    with pytest.raises(ValueError, match="unknown unit"):
        kpis([Kpi("A", "1", live=Live("now", "up", "parsec"))])


@pytest.mark.parametrize(
    "values", [[0.0], [5.0, 5.0], [-3.0, 8.0], [0.951, 0.956], [1e9, 3e9], [np.nan], [98.0, 202.0]]
)
def test_the_axis_holds_every_value(values: list[float]):
    low, high = _bounds(np.array(values))
    assert low < high
    for value in values:
        assert np.isnan(value) or low <= value <= high
