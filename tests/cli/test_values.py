"""Values as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cli.values import parse_duration, parse_pairs, parse_scalar, parse_time
from workbench.errors import InputError

NOW_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("30d", 30 * 86400), ("2w", 14 * 86400), ("1y", 365 * 86400),
     ("15", 15), ("0.5", 0.5), ("250ms", 0.25), ("1.5h", 5400), (" 1m ", 60)],
)  # fmt: skip
def test_durations(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-5", "-5m", "5 m", "m", "5x", "1h-30m", "inf", "nan", "1e300", "5mm"])
def test_what_is_no_duration(text):
    with pytest.raises(InputError, match="--step"):
        parse_duration(text, where="--step")


@pytest.mark.parametrize(
    ("text", "time_us"),
    [("now", NOW_US), ("-1h", NOW_US - HOUR_US), ("now-1h", NOW_US - HOUR_US), ("now - 1h", NOW_US - HOUR_US),
     ("-1", NOW_US - 1_000_000), ("+1h", NOW_US + HOUR_US), ("now+90", NOW_US + 90_000_000), ("0", 0),
     ("1800000000", NOW_US), ("1800000000.25", NOW_US + 250_000), ("2027-01-15T08:00:00Z", NOW_US),
     ("2027-01-15T09:00:00+01:00", NOW_US), ("2027-01-15T08:00:00", NOW_US), ("2027-01-15", NOW_US - 8 * HOUR_US)],
)  # fmt: skip
def test_times(text, time_us):
    assert parse_time(text, NOW_US) == time_us


@pytest.mark.parametrize("text", ["", "yesterday", "now-", "2027-13-01", "nan", "inf", "1e300", "--1h", "now*1h"])
def test_what_is_no_time(text):
    with pytest.raises(InputError, match="--start"):
        parse_time(text, NOW_US, where="--start")


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)))
def test_every_time_of_rfc_3339_to_the_microsecond(moment):
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert parse_time(moment.isoformat().replace("+00:00", "Z"), NOW_US) == expected


@given(st.text(max_size=30))
def test_any_text_gives_a_time_or_a_clear_error(text):
    for parse in (lambda: parse_time(text, NOW_US), lambda: parse_duration(text)):
        found: object
        try:
            found = parse()
        except InputError as error:
            found = error.hint
        assert isinstance(found, (int, float)) or found


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("2.5", 2.5), ("1e3", 1000.0), ("true", True), ("false", False), ("vm", "vm"), ("", ""), ("[1]", "[1]"),
     ("2026-11-24", "2026-11-24"), ("null", "null"), ('"quoted"', '"quoted"'), ("True", "True")],
)  # fmt: skip
def test_parameters_of_a_report(text, value):
    found = parse_scalar(text)
    assert (found, type(found)) == (value, type(value))


def test_pairs():
    assert parse_pairs(["a=b", "c=d=e", "f="], where="--map") == {"a": "b", "c": "d=e", "f": ""}
    for wrong in (["a"], ["=b"], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="--map"):
            parse_pairs(wrong, where="--map")
