"""Cron expressions in a time zone: when a job is due, as a pure function of the clock.

Five fields as in crontab(5) (minute, hour, day of month, month, day of week; 0 and 7 are Sunday; names, lists, ranges
and steps; with both days restricted either of them counts) and `@hourly`, `@daily`, `@weekly`, `@monthly`. Where the
clocks change, a time of day that does not exist is due once, just after the gap, and one that comes twice is due once,
the first time; what is due in every hour of the day follows real time instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from workbench.errors import InputError

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SHORT = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
SEARCHED_DAYS = 9 * 366
"""Between two 29ths of February lie at most eight years."""

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Cron:
    """A parsed expression; each field holds the values that match. `either_day`: day of month or day of week."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def on(self, day: date) -> bool:
        """Whether it is due on a day at all."""
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week

    def standard(self) -> str:
        """The expression in five fields, as every other scheduler reads it."""
        return " ".join(SHORT.get(self.text.strip().lower(), self.text).split())

    @property
    def every_hour(self) -> bool:
        """Whether every hour of the day matches."""
        return len(self.hours) == 24


@lru_cache(maxsize=256)
def parse_cron(text: str) -> Cron:
    """Read an expression. Raises InputError that names the field."""
    words = SHORT.get(text.strip().lower(), text).split()
    if len(words) != len(FIELDS):
        raise InputError(f"{text!r} is no cron expression", hint="Five fields: minute hour day month weekday.")
    minutes, hours, days, months, weekdays = (_field(word, at) for at, word in enumerate(words))
    either = not words[2].startswith("*") and not words[4].startswith("*")
    return Cron(
        text,
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(day % 7 for day in weekdays),
        either,
    )


def next_time(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first time, in UTC, that is due after a moment; None where none comes within nine years."""
    found = _by_real_time(cron, zone, after) if cron.every_hour else _by_time_of_day(cron, zone, after)
    return next(found, None)


def _by_real_time(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    moment = after.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
    last = moment + SEARCHED_DAYS * DAY
    while moment < last:
        local = moment.astimezone(zone)
        if not cron.on(local.date()):
            # Days may be 23 or 25 hours long: the last four hours of a day one by one.
            moment += timedelta(hours=max(20 - local.hour, 1), minutes=-local.minute)
        elif local.minute in cron.minutes:
            yield moment
            moment += MINUTE
        else:
            moment += MINUTE


def _by_time_of_day(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    first = after.astimezone(zone).date() - DAY  # a gap at midnight moves a time into the next day
    for ahead in range(SEARCHED_DAYS):
        day = first + ahead * DAY
        if cron.on(day):
            moments = {_moment(day, hour, minute, zone) for hour in cron.hours for minute in cron.minutes}
            yield from sorted(moment for moment in moments if moment > after)


def _moment(day: date, hour: int, minute: int, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, of a time of day: its first, or the end of the gap that it lies in."""
    wall = datetime.combine(day, time(hour, minute), zone)
    moment = wall.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return moment
    # Read with the old offset it lies after the gap, with the new one before: halve the way between, in seconds.
    before, behind = (round(one.timestamp()) for one in (wall.replace(fold=1), moment))
    old = datetime.fromtimestamp(before, zone).utcoffset()
    while behind - before > 1:
        middle = (before + behind) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            before = middle
        else:
            behind = middle
    return datetime.fromtimestamp(behind, UTC)


def _field(text: str, at: int) -> set[int]:
    name, low, high = FIELDS[at]
    names: Sequence[str] = MONTHS if name == "month" else DAYS if name == "day of week" else ()

    def number(word: str) -> int:
        lowered = word.lower()
        if lowered in names:
            return list(names).index(lowered) + (1 if name == "month" else 0)
        if not word.isascii() or not word.isdigit() or not low <= int(word) <= high:
            raise InputError(f"{word!r} is no {name}", where="cron", hint=f"From {low} to {high}.")
        return int(word)

    found: set[int] = set()
    for part in text.split(","):
        span, _, step_text = part.partition("/")
        if "/" in part and (not step_text.isascii() or not step_text.isdigit() or int(step_text) < 1):
            raise InputError(f"{part!r} has no step", where="cron", hint="As in */15.")
        step = int(step_text) if step_text else 1
        if span == "*":
            start, end = low, 6 if name == "day of week" else high
        elif "-" in span:
            start, end = (number(word) for word in span.split("-", 1))
        else:
            start = number(span)
            end = high if step_text else start
        if start > end:
            raise InputError(f"{span!r} runs backwards", where="cron", hint=f"A range of {name} begins with the less.")
        found.update(range(start, end + 1, step))
    return found
