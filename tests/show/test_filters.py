"""Filters: the address tells them all, and no value of one can get out of its matcher."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.query import parse
from workbench.show import Dashboard, load_dashboard
from workbench.show.context import SHIPPED_DASHBOARDS
from workbench.show.filters import POINTS_MAX, VALUE_CHARS_MAX, Filters, parse_filters
from workbench.show.sources import selectors

OVERVIEW: Dashboard = load_dashboard(SHIPPED_DASHBOARDS / "overview.yaml")
EXPR = 'sum(rate(x_total{job=~"$component"}[$window]))'
NOW_US = 1_764_000_000_000_000

printable = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=VALUE_CHARS_MAX)


def parsed(*pairs: tuple[str, str]) -> Filters:
    filters, faults = parse_filters(OVERVIEW, pairs)
    assert faults == []
    return filters


@given(
    st.sampled_from(OVERVIEW.ranges.offered_seconds),
    st.lists(printable, max_size=4),
    st.lists(printable, max_size=4),
    st.one_of(st.none(), st.tuples(st.integers(0, 10**9), st.integers(2, 10**6))),
)
def test_the_address_carries_every_choice(
    seconds: int, components: list[str], domains: list[str], fixed: tuple[int, int] | None
) -> None:
    values = tuple(
        (name, tuple(sorted(set(found)))) for name, found in (("component", components), ("domain", domains)) if found
    )
    bounds = (None, None) if fixed is None else (fixed[0] * 10**6, sum(fixed) * 10**6)
    filters = Filters(seconds, *bounds, values)
    again, faults = parse_filters(OVERVIEW, parse_qsl(filters.query_string()))
    assert faults == []
    assert again == filters


@given(st.lists(printable, min_size=1, max_size=5))
def test_no_value_ends_its_matcher(values: list[str]) -> None:
    filters = parsed(*(("component", value) for value in values))
    filled = filters.fill(EXPR, None, charts=False)
    # The shape of the query is what the dashboard says; the value is one matcher of one selector.
    (selector,) = selectors(filled)
    name, job = selector.matchers
    assert (name.value, job.label, job.operator) == ("x_total", "job", "=~")
    assert job.matches(values).all()
    assert not job.matches(["", "another job"]).any()


@pytest.mark.parametrize(
    "value", ['"} or vector(1) #', '"})) or up{job="', "a|b", ".*", "\\", "</script>", "$window", "[$window]"]
)
def test_hostile_values_match_only_themselves(value: str) -> None:
    filled = parsed(("component", value)).fill(EXPR, None, charts=False)
    (selector,) = selectors(filled)
    assert selector.matchers[1].matches([value, "a", "x", ""]).tolist() == [True, False, False, False]


def test_nothing_chosen_matches_everything() -> None:
    (selector,) = selectors(parsed().fill(EXPR, None, charts=False))
    assert selector.matchers[1].matches(["", "a", "b\nc"]).all()


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("range", "tomorrow")], "is not a time range"),
        ([("range", "9000d")], "is not a time range"),
        ([("from", "2026-11-24T08:00")], "needs both"),
        ([("from", "x"), ("to", "2026-11-24T08:00")], "is not a time"),
        ([("from", "nan"), ("to", "inf")], "is not a time"),
        ([("from", "2026-11-24T08:00"), ("to", "2026-11-24T07:00")], "between two seconds and a year"),
        ([("component", "x" * 10_000)], "longer than"),
        ([("component", "a\x00b")], "not printable"),
        ([("domain", str(number)) for number in range(30)], "Only the first 20"),
    ],
)
def test_what_cannot_be_read_is_told_and_left_out(pairs: list[tuple[str, str]], expected: str) -> None:
    filters, faults = parse_filters(OVERVIEW, pairs)
    assert any(expected in fault for fault in faults)
    assert filters.range_seconds == OVERVIEW.ranges.default_seconds
    assert not filters.fixed
    assert "x" * 300 not in " ".join(faults)


@given(st.integers(2, 366 * 86400))
def test_a_chart_never_has_more_points_than_it_can_show(seconds: int) -> None:
    for filters in (Filters(seconds), Filters(3600, NOW_US - seconds * 10**6, NOW_US)):
        span = filters.span(NOW_US)
        points = (span.end_us - span.start_us) // span.step_us + 1
        assert points <= POINTS_MAX + 1
        assert span.start_us % span.step_us == span.end_us % span.step_us == 0
        assert span.end_us <= NOW_US


def test_a_window_is_never_narrower_than_the_step() -> None:
    tile = next(tile for tile in OVERVIEW.tiles if tile.id == "host_network")
    month = Filters(30 * 86400)
    assert f"[{month.step_seconds}s]" in month.fill(tile.queries[0].expr, tile, charts=True)
    assert "[10s]" in month.fill(tile.queries[0].expr, tile, charts=False)
    for seconds in OVERVIEW.ranges.offered_seconds:
        for other in OVERVIEW.tiles:
            for query in other.queries:
                parse(Filters(seconds).fill(query.expr, other, charts=True))


def test_time_is_walked_by_whole_spans_and_the_present_is_found_again() -> None:
    now = Filters(3600, values=(("domain", ("arts",)),))
    earlier = now.moved(NOW_US, -1)
    assert earlier.fixed
    assert earlier.to_us == now.span(NOW_US).start_us
    much_earlier = earlier.moved(NOW_US, -1)
    assert much_earlier.moved(NOW_US, 1) == earlier
    assert earlier.moved(NOW_US, 2) == now
    assert much_earlier.values == now.values
    assert Filters(3600, 0, 10**9).moved(NOW_US, -1).from_us == 0


def test_times_without_a_zone_are_utc_and_epoch_seconds_are_understood() -> None:
    words = parsed(("from", "2026-11-24T08:00"), ("to", "2026-11-24T10:00+01:00"))
    numbers = parsed(("from", "1795507200"), ("to", "1795510800"))
    assert words == numbers
    assert not words.live
