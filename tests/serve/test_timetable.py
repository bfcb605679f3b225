"""The timetable: APScheduler's store in our state, a clock that is given, nights that are missed or change the hour."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from workbench.report import Job, claim, list_runs, parse_cron, switch
from workbench.serve.pages.job_times import next_times
from workbench.serve.running.timetable import Timetable

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def clock(monkeypatch):
    """The present, for us and for APScheduler; `clock.at("2026-03-28T12:00+01:00")` sets it."""

    class Clock:
        now = 0.0

        def at(self, text: str) -> None:
            self.now = datetime.fromisoformat(text).timestamp()

        def __call__(self) -> float:
            return self.now

    made = Clock()

    class Given(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(made.now, tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Given)
    return made


def job(cron: str = "30 2 * * *", **more) -> Job:
    return Job("daily", Path("daily.yaml"), "daily", cron=parse_cron(cron), timezone="Europe/Berlin", **more)


@pytest.fixture
def timetable(engine, clock):
    """Starts a timetable over some jobs, as a workbench that starts does."""
    running = []

    def start(*jobs: Job) -> Timetable:
        while running:
            running.pop().stop()
        made = Timetable(engine, clock)
        running.append(made)
        made.start({one.name: one for one in jobs})
        return made

    yield start
    while running:
        running.pop().stop()


def due(engine) -> list[str]:
    """The times of the runs that were queued, in Berlin, the oldest first."""
    moments = [datetime.fromtimestamp(run.scheduled_us / 1e6, BERLIN) for run in list_runs(engine)]
    return [moment.isoformat(timespec="minutes") for moment in moments[::-1]]


@pytest.mark.parametrize(
    ("nights", "wanted"),
    [
        (("2026-03-28", "2026-03-29", "2026-03-30"), ["28T02:30+01:00", "29T03:00+02:00", "30T02:30+02:00"]),
        (("2026-10-24", "2026-10-25", "2026-10-26"), ["24T02:30+02:00", "25T02:30+02:00", "26T02:30+01:00"]),
    ],
)
def test_over_a_change_of_the_clocks_each_night_has_one_run(engine, clock, timetable, nights, wanted):
    clock.at(f"{nights[0]}T00:00+00:00")
    table = timetable(job(overlap="queue"))
    start = clock.now
    for minute in range(3 * 24 * 6):
        clock.now = start + 600 * minute
        table.tick()
    assert due(engine) == [f"{nights[0][:8]}{text}" for text in wanted]
    assert next_times(engine)["daily"] > clock.now * 1e6


def test_nights_that_were_missed_are_made_up_for_once_however_long_ago(engine, clock, timetable):
    clock.at("2026-11-20T12:00+01:00")
    timetable(job()).tick()
    assert due(engine) == []
    clock.at("2027-02-03T09:00+01:00")
    table = timetable(job())
    table.tick()
    assert due(engine) == ["2027-02-03T02:30+01:00"], "the last of them, for the day that it is about"
    table.tick()
    timetable(job()).tick()
    assert len(due(engine)) == 1


def test_a_job_that_is_new_begins_with_its_next_time(engine, clock, timetable):
    clock.at("2026-11-20T12:00+01:00")
    timetable(job()).tick()
    assert datetime.fromtimestamp(next_times(engine)["daily"] / 1e6, UTC) == datetime(2026, 11, 21, 1, 30, tzinfo=UTC)


def test_another_cron_counts_from_now_and_a_job_that_is_gone_is_forgotten(engine, clock, timetable):
    clock.at("2026-11-20T12:00+01:00")
    table = timetable(job())
    table.follow({"daily": job("0 18 * * *")})
    clock.at("2026-11-20T18:00+01:00")
    table.tick()
    assert due(engine) == ["2026-11-20T18:00+01:00"]
    table.follow({})
    assert next_times(engine) == {}


def test_switched_off_it_is_not_due_and_switched_on_it_counts_from_then(engine, clock, timetable):
    clock.at("2026-11-20T12:00+01:00")
    table = timetable(job())
    switch(engine, "daily", enabled=False, by="user:1", now_us=0)
    table.follow({"daily": job()})
    clock.at("2026-11-22T12:00+01:00")
    table.tick()
    switch(engine, "daily", enabled=True, by="user:1", now_us=0)
    table.follow({"daily": job()})
    table.tick()
    assert due(engine) == []
    clock.at("2026-11-23T02:30+01:00")
    table.tick()
    assert due(engine) == ["2026-11-23T02:30+01:00"]


def test_a_run_that_was_written_down_before_a_crash_is_not_written_again(engine, clock, timetable):
    clock.at("2026-11-20T12:00+01:00")
    table = timetable(job())
    before = next_times(engine)["daily"] / 1e6
    clock.at("2026-11-21T03:00+01:00")
    table.tick()
    assert claim(engine, int(clock.now * 1e6)) is not None
    # The scheduler's own note of the next time is lost, as if it had been killed before it wrote it.
    import sqlalchemy as sa

    from workbench.store import state

    stored = table._scheduler.get_job("daily")
    stored.modify(next_run_time=datetime.fromtimestamp(before, UTC))
    with engine.connect() as connection:
        assert connection.execute(sa.select(state.schedule.c.next_run_time)).scalar() == before
    timetable(job()).tick()
    assert len(due(engine)) == 1
