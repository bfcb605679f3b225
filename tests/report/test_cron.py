"""When a job is due: crontab's fields, and the two nights of a year on which the clocks change."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.report import next_time, parse_cron

BERLIN = ZoneInfo("Europe/Berlin")


def times(cron: str, after: str, number: int, zone: ZoneInfo = BERLIN) -> list[str]:
    """The next times in the zone, without seconds."""
    found, moment = [], datetime.fromisoformat(after)
    for _ in range(number):
        moment = next_time(parse_cron(cron), zone, moment)
        found.append(moment.astimezone(zone).isoformat(timespec="minutes"))
    return found


def test_a_time_that_does_not_exist_is_due_once_just_after_the_gap():
    assert times("30 2 * * *", "2026-03-28T12:00+01:00", 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]
    assert times("10,50 2 * * *", "2026-03-28T12:00+01:00", 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:10+02:00"]


def test_a_time_that_comes_twice_is_due_once():
    assert times("30 2 * * *", "2026-10-24T12:00+02:00", 2) == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]


def test_what_is_due_every_hour_follows_real_time():
    autumn = times("*/30 * * * *", "2026-10-25T01:45+02:00", 5)
    assert autumn == [
        f"2026-10-25T{text}" for text in ("02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00", "03:00+01:00")
    ]
    assert times("0 * * * *", "2026-03-29T00:30+01:00", 2) == ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]


def test_a_gap_at_midnight_moves_the_run_and_not_the_day():
    # In Santiago the first hour of 6 September 2026 does not exist.
    assert times("0 0 * * *", "2026-09-05T12:00-04:00", 2, ZoneInfo("America/Santiago")) == [
        "2026-09-06T01:00-03:00",
        "2026-09-07T00:00-03:00",
    ]


@pytest.mark.parametrize(
    ("cron", "wanted"),
    [
        ("@daily", ["2026-11-25T00:00+01:00", "2026-11-26T00:00+01:00"]),
        ("0 6 * * mon-fri", ["2026-11-24T06:00+01:00", "2026-11-25T06:00+01:00"]),
        ("0 6 * * 7", ["2026-11-29T06:00+01:00", "2026-12-06T06:00+01:00"]),
        ("0 0 13 * 5", ["2026-11-27T00:00+01:00", "2026-12-04T00:00+01:00"]),  # either day, as crontab has it
        ("0 0 29 feb *", ["2028-02-29T00:00+01:00", "2032-02-29T00:00+01:00"]),
        ("15 8-18/5 1 */6 *", ["2027-01-01T08:15+01:00", "2027-01-01T13:15+01:00"]),
    ],
)
def test_fields_are_those_of_crontab(cron, wanted):
    assert times(cron, "2026-11-24T05:00+01:00", 2) == wanted


def test_a_day_that_never_comes_has_no_time():
    for cron in ("0 0 30 2 *", "* * 31 4 *"):
        assert next_time(parse_cron(cron), BERLIN, datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("cron", "fault"),
    [
        ("0 6 * *", "no cron expression"),
        ("60 6 * * *", "'60' is no minute"),
        ("0 6 * * xyz", "'xyz' is no day of week"),
        ("0 6 * 0 *", "'0' is no month"),
        ("0 9-6 * * *", "runs backwards"),
        ("*/0 * * * *", "no step"),
        ("0 6 ١ * *", "no day of month"),
    ],
)
def test_a_fault_names_the_field(cron, fault):
    with pytest.raises(InputError, match=re.escape(fault)):
        parse_cron(cron)


@given(st.text(alphabet="0123456789*/,- monfeb", max_size=20))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InputError):
        parse_cron(text)


FIELD = st.sampled_from(["*", "*/7", "0", "3", "1-4", "2,5"])


@given(
    minute=st.sampled_from(["*", "*/20", "0", "30", "5-10"]),
    hour=st.sampled_from(["*", "*/6", "2", "1-3", "0,23"]),
    weekday=st.sampled_from(["*", "1-5", "0"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    after=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_times_go_up_and_none_lies_between(minute, hour, weekday, zone, after):
    cron, place = parse_cron(f"{minute} {hour} * * {weekday}"), ZoneInfo(zone)
    found = next_time(cron, place, after)
    assert after < found
    again = next_time(cron, place, found)
    assert found < again
    # Asked from any moment before it, the answer is the same.
    assert next_time(cron, place, found - timedelta(seconds=1)) == found
    local = found.astimezone(place)
    # But for the end of a gap it is a time that the fields name.
    before = (found - timedelta(seconds=1)).astimezone(place)
    if before.utcoffset() == local.utcoffset():
        assert local.minute in cron.minutes
        assert local.hour in cron.hours
