"""What an operator chooses and what a step makes of it; and what that does to queries."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analyze import top_movers
from workbench.query import parse
from workbench.show import SHIPPED_DASHBOARDS, load_dashboard
from workbench.show.filters import Span
from workbench.show.ops.choice import FACETS, Choice, apply, parse_choice, slug
from workbench.show.ops.figure import time_axis, y_axis
from workbench.show.ops.narrow import pick_matcher

BOARD = load_dashboard(SHIPPED_DASHBOARDS / "operations.yaml")
NOW_US = 1_795_507_207_000_000
HOUR_US = 3_600_000_000
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


def chosen(**query: str) -> Choice:
    found, faults = parse_choice(BOARD, query.items())
    assert faults == []
    return found


def done(choice: Choice, **deed: Any) -> Choice:
    return apply(BOARD, choice, deed, NOW_US)[0]


@given(
    section=st.sampled_from([slug(section) for section in BOARD.sections]),
    picks=st.dictionaries(st.sampled_from(sorted(FACETS)), st.lists(TEXTS, min_size=1, max_size=3), max_size=3),
    expr=TEXTS,
    window=st.one_of(st.none(), st.tuples(st.integers(0, 10**9), st.integers(10, 10**6))),
)
def test_an_address_holds_the_whole_choice(
    section: str, picks: dict[str, list[str]], expr: str, window: tuple[int, int] | None
) -> None:
    choice = chosen(section=section)
    for label, values in picks.items():
        for value in set(values):
            choice = choice.toggled(label, value)
    choice = done(choice, deed="explore", expr=expr)
    if window:
        choice = done(choice, deed="brush", from_us=window[0] * 1e6, to_us=sum(window) * 1e6)
    assert parse_choice(BOARD, parse_qsl(choice.query_string())) == (choice, [])


DEEDS = st.fixed_dictionaries(
    {"deed": st.sampled_from(["go", "set", "toggle", "clear", "brush", "move", "zoom", "now", "x"])},
    optional={
        name: st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), TEXTS, st.sampled_from(["job", "range"]))
        for name in ("name", "value", "label", "query", "from_us", "to_us", "spans", "factor")
    },
)


@given(deed=DEEDS)
def test_no_deed_breaks_a_choice(deed: dict[str, Any]) -> None:
    choice, _ = apply(BOARD, chosen(), deed, NOW_US)
    span = choice.filters.span(NOW_US)
    assert span.start_us <= span.end_us
    assert all(label in FACETS for label, _ in choice.picks)


def test_what_cannot_be_read_is_said_and_left_at_its_default() -> None:
    choice, faults = parse_choice(BOARD, [("section", "x"), ("compare", "y"), ("range", "z"), ("job", "a\x00b")])
    assert (choice.section, choice.compare, choice.picks) == ("traffic", "previous", ())
    assert len(faults) == 4


def test_a_brushed_window_is_whole_seconds_and_ends_in_the_past() -> None:
    choice = done(chosen(), deed="brush", from_us=NOW_US + 5e6, to_us=NOW_US - HOUR_US - 0.4e6)
    assert choice.filters.to_us == NOW_US
    assert choice.filters.from_us == NOW_US - HOUR_US - 1_000_000
    tiny = done(chosen(), deed="brush", from_us=NOW_US - 1e6, to_us=NOW_US)
    assert (tiny.filters.to_us or 0) - (tiny.filters.from_us or 0) == 10_000_000


def test_zoom_keeps_the_middle_and_now_leads_back() -> None:
    choice = done(chosen(), deed="brush", from_us=NOW_US - 3 * HOUR_US, to_us=NOW_US - 2 * HOUR_US)
    out = done(choice, deed="zoom", factor=2)
    assert (out.filters.from_us, out.filters.to_us) == (NOW_US - 3.5 * HOUR_US, NOW_US - 1.5 * HOUR_US)
    assert done(out, deed="zoom", factor=0.5) == choice
    assert not done(out, deed="now").fixed


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"range": "1h"}, "the hour before"),
        ({"range": "15m"}, "the 15 minutes before"),
        ({"from": "2026-11-24T08:00:00", "to": "2026-11-24T08:16:20"}, "the 16 minutes before"),
        ({"from": "2026-11-24T08:00:00", "to": "2026-11-24T13:12:00"}, "the 5.2 hours before"),
        ({"compare": "week"}, "the same time a week before"),
        ({"compare": "off"}, ""),
    ],
)
def test_the_comparison_in_words(query: dict[str, str], words: str) -> None:
    assert chosen(**query).before_words() == words


def test_the_time_before_is_as_long_and_does_not_overlap() -> None:
    choice = chosen(range="1h")
    span = choice.filters.span(NOW_US)
    before = choice.before(span)
    assert before is not None
    assert before.end_us < span.start_us
    assert span.start_us - before.end_us == span.step_us
    assert before.end_us - before.start_us == span.end_us - span.start_us


@given(values=st.lists(TEXTS, min_size=1, max_size=4, unique=True))
def test_a_pick_matches_its_values_and_no_other(values: list[str]) -> None:
    matcher = pick_matcher("job", tuple(values))
    assert list(matcher.matches([*values, values[0] + "x", ""])) == [True] * len(values) + [
        other in values for other in (values[0] + "x", "")
    ]
    assert parse(f"up{{{matcher}}}").matchers[1].value == matcher.value


def test_the_largest_effect_comes_first_and_noise_is_left_out() -> None:
    noise = np.sin(np.arange(60.0))
    before = [10 + noise, 10 + noise, 5 + noise, np.full(60, np.nan)]
    now = [10 + noise[::-1], 30 + noise, 5.6 + noise, 3 + noise]
    found = top_movers(before, now)
    assert [mover.number for mover in found] == [1, 3, 2]
    assert found[0].change == pytest.approx(2, rel=0.02)
    assert found[1].change == np.inf
    assert 0.5 < found[2].effect < 1.5
    assert top_movers([np.zeros(5)], [np.zeros(5)]) == []
    assert top_movers([np.full(5, np.nan)], [np.array([1.0, np.nan])]) == []


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20), st.sampled_from(["", "bytes", "ratio", "seconds"]))
def test_an_axis_holds_its_values_between_a_few_ticks(values: list[float], unit: str) -> None:
    low, high, ticks = y_axis([np.array(values)], unit, None)
    assert low <= min(values)
    assert high >= max(values)
    assert low < high
    assert 2 <= len(ticks) <= 8


@pytest.mark.parametrize("seconds", [10, 300, 3600, 86_400, 2_592_000, 31_536_000])
def test_a_time_axis_has_a_few_labels(seconds: int) -> None:
    labels = time_axis(Span(NOW_US - seconds * 1_000_000, NOW_US, 1_000_000))
    assert 2 <= len(labels) <= 6
    assert all(NOW_US / 1e3 - seconds * 1e3 <= at <= NOW_US / 1e3 for at in labels)
