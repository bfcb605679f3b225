"""The people who use the platform, one by one: who signs up, who comes back, who leaves, what they do.

Of those who sign up 45, 28 and 18 % are active 1, 7 and 30 days later (0.45 age^-0.26), in an ordinary week. They stay
285 days on average; who has signed up longer ago than `WINDOW_DAYS` counts no more. People are known by pseudonyms.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from workbench.simulate import shapes
from workbench.simulate.catalogue.company import FEATURES, PLANS, SEGMENTS
from workbench.simulate.faults.schedule import Schedule
from workbench.simulate.grid import ACTIVE, CELL_US, CELLS, PEOPLE, generator
from workbench.simulate.shapes import DAY_US, SECOND_US

WINDOW_DAYS = 213
"""With it 4,000 are registered, of whom 14 leave a day, while 30 sign up."""
SIGNUPS_PER_DAY = 30.0
MOST_SIGNUPS = 96
STAY_DAYS = 285.0
LOST = 0.08
"""Points of retention in the first week that a `cohort_loss` costs those who sign up in it."""
USES_PER_SESSION = 23.0
PAGES_PER_SESSION = 2.0
LIFT = 0.08
"""Sessions of those who are treated in the experiment of a block of thirty days are so much longer."""
COUNTRIES = {"US": 0.46, "GB": 0.14, "DE": 0.12, "CA": 0.1, "IN": 0.1, "BR": 0.08}
CHANNELS = {"search": 0.4, "referral": 0.25, "school": 0.2, "ads": 0.15}


@dataclass(frozen=True)
class Cohort:
    """Those who signed up on one day: an array entry each."""

    time_us: np.ndarray
    plan: np.ndarray
    segment: np.ndarray
    country: np.ndarray
    channel: np.ndarray
    leaves_day: np.ndarray  # number of the day they leave


@dataclass(frozen=True)
class Day:
    """What people do on one day. Users are (day of sign-up, number in it); times in microseconds UTC, sorted."""

    joined: Cohort
    left: np.ndarray  # [user, 2]
    left_us: np.ndarray
    users: np.ndarray  # [session, 2]
    start_us: np.ndarray
    duration_seconds: np.ndarray
    segment: np.ndarray  # of the session's user
    used_in: np.ndarray  # [use] number of the session
    used_us: np.ndarray
    feature: np.ndarray


class People:
    """The people of one seed. A day depends on the seed, and on incidents that lose new users."""

    def __init__(self, seed: int, schedule: Schedule) -> None:
        self._seed = seed
        self.schedule = schedule
        self._days: dict[int, Day] = {}

    def day(self, number: int) -> Day:
        """What people do on a day (its number since 1970)."""
        if number not in self._days:
            if len(self._days) > 2:
                self._days.clear()
            self._days[number] = self._draw(number)
        return self._days[number]

    def forget(self, number: int) -> None:
        """Days from this one on are drawn anew."""
        self._days = {known: day for known, day in self._days.items() if known < number}

    def user(self, of_day: int, number: int) -> tuple[str, str, str, str]:
        """Pseudonym, plan, segment and country of a user."""
        cohort = cohort_of(self._seed, of_day)
        plan, segment = list(PLANS)[cohort.plan[number]], list(SEGMENTS)[cohort.segment[number]]
        return pseudonym(self._seed, of_day, number), plan, segment, list(COUNTRIES)[cohort.country[number]]

    def counts(self, number: int) -> Mapping[str, np.ndarray]:
        """Counts per cell (float64[288]) of sign-ups, leavers, sessions and uses, by the name of a source's `given`."""
        day, found = self.day(number), dict[str, np.ndarray]()
        joined = day.joined
        left = [cohort_of(self._seed, int(of)) for of, _ in day.left]
        left_plan = np.array([one.plan[k] for one, (_, k) in zip(left, day.left, strict=True)], np.int64)
        left_segment = np.array([one.segment[k] for one, (_, k) in zip(left, day.left, strict=True)], np.int64)
        for s, segment in enumerate(SEGMENTS):
            for p, plan in enumerate(PLANS):
                mine = (joined.plan == p) & (joined.segment == s)
                found[f"signups:{plan}:{segment}"] = per_cell(joined.time_us[mine])
                found[f"churned:{plan}:{segment}"] = per_cell(day.left_us[(left_plan == p) & (left_segment == s)])
            found[f"sessions:{segment}"] = per_cell(day.start_us[day.segment == s])
        # All uses at once: one number for feature, segment and cell.
        places = (day.feature * len(SEGMENTS) + day.segment[day.used_in]) * CELLS + day.used_us % DAY_US // CELL_US
        uses = np.bincount(places, minlength=len(FEATURES) * len(SEGMENTS) * CELLS).astype(float).reshape(-1, CELLS)
        keys = [f"uses:{feature}:{segment}" for feature in FEATURES for segment in SEGMENTS]
        found |= dict(zip(keys, uses, strict=True))
        return found

    def _draw(self, number: int) -> Day:
        random = generator(self._seed, ACTIVE, number)
        left, left_us, users, segment = self._present(number, random)
        count = 1 + random.poisson(0.4, len(users))
        users, segment = np.repeat(users, count, axis=0), np.repeat(segment, count)
        start_us = _times(random, number, len(users))
        order = np.argsort(start_us, kind="stable")
        users, segment, start_us = users[order], segment[order], start_us[order]
        longer = np.array([treated(of_day, k, number) for of_day, k in users.tolist()], bool)
        duration = np.round(540 * np.exp(random.standard_normal(len(users))) * (1 + LIFT * longer), 1)
        uses = random.poisson(USES_PER_SESSION, len(users))
        used_in = np.repeat(np.arange(len(users)), uses)
        place = random.random(len(used_in))
        # A session that runs past midnight is used before it.
        used_us = start_us[used_in] + (place * duration[used_in] * SECOND_US).astype(np.int64)
        used_us = np.minimum(used_us, (number + 1) * DAY_US - 1)
        feature = random.choice(len(FEATURES), len(used_in), p=_shares(FEATURES))
        return Day(
            cohort_of(self._seed, number), left, left_us, users, start_us, duration, segment, used_in, used_us, feature
        )

    def _present(
        self, number: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Who leaves on a day and when, who is active, and the segments of the latter."""
        chances = random.random((WINDOW_DAYS + 1, MOST_SIGNUPS))
        middle_us = np.array([number * DAY_US + DAY_US // 2])
        busy = float(shapes.year(middle_us)[0] * np.sqrt(shapes.week(middle_us)[0] / shapes.WEEK_MEAN))
        losing = [
            (one.start_us // DAY_US, one.end_us // DAY_US)
            for one in self.schedule.incidents((number - 8) * DAY_US, number * DAY_US)
            if one.kind == "cohort_loss"
        ]
        left, active, segments = [], [], []
        for age in range(WINDOW_DAYS + 1):
            cohort, of_day = cohort_of(self._seed, number - age), number - age
            chance = 1.0 if age == 0 else retention(age)
            if 1 <= age <= 7 and any(first <= of_day < last for first, last in losing):
                chance -= LOST
            here = chances[age, : len(cohort.plan)] < (chance if age == 0 else min(chance * busy, 0.95))
            here &= cohort.leaves_day >= number
            ks = np.flatnonzero(here)
            active += [(of_day, k) for k in ks]
            segments += cohort.segment[ks].tolist()
            left += [(of_day, k) for k in np.flatnonzero(cohort.leaves_day == number)]
        leaves_us = _times(random, number, len(left))
        return np.array(left).reshape(-1, 2), leaves_us, np.array(active).reshape(-1, 2), np.array(segments, np.int64)


def retention(age_days: int) -> float:
    """Share of a cohort that is active so many days after it signed up."""
    return float(0.45 * age_days**-0.26)


def treated(of_day: int, number: int, day: int) -> bool:
    """Whether a user is treated in the experiment that runs on a day; half of them are, whoever has seen it or not."""
    return zlib.crc32(f"{of_day}/{number}/{day // 30}".encode()) % 2 == 0


@lru_cache(1024)
def cohort_of(seed: int, number: int) -> Cohort:
    """Who signed up on a day."""
    random = generator(seed, PEOPLE, number)
    middle_us = np.array([number * DAY_US + DAY_US // 2])
    expected = SIGNUPS_PER_DAY * float(shapes.drives(middle_us)["season"][0])
    count = min(int(random.poisson(expected)), MOST_SIGNUPS)
    return Cohort(
        time_us=_times(random, number, count),
        plan=random.choice(len(PLANS), count, p=_shares(PLANS)),
        segment=random.choice(len(SEGMENTS), count, p=_shares(SEGMENTS)),
        country=random.choice(len(COUNTRIES), count, p=_shares(COUNTRIES)),
        channel=random.choice(len(CHANNELS), count, p=_shares(CHANNELS)),
        leaves_day=number + 1 + random.exponential(STAY_DAYS, count).astype(np.int64),
    )


@lru_cache(16_384)
def pseudonym(seed: int, of_day: int, number: int) -> str:
    """By what a user is known: it tells nothing about him, and never changes."""
    return "u-" + hashlib.blake2s(f"{seed}/{of_day}/{number}".encode(), digest_size=6).hexdigest()


def per_cell(times_us: np.ndarray) -> np.ndarray:
    """How many of these moments of one day lie in each of its cells, float64[288]."""
    return np.bincount(times_us % DAY_US // CELL_US, minlength=CELLS).astype(float)


def _times(random: np.random.Generator, number: int, count: int) -> np.ndarray:
    """Moments of a day, sorted, as dense as its traffic."""
    middles_us = number * DAY_US + np.arange(CELLS) * CELL_US + CELL_US // 2
    dense = np.concatenate([[0.0], np.cumsum(shapes.day(middles_us))])
    places = np.interp(random.random(count) * dense[-1], dense, np.arange(CELLS + 1))
    return np.asarray(number * DAY_US + np.sort((places * CELL_US).astype(np.int64)))


def _shares(table: Mapping[str, float]) -> np.ndarray:
    shares = np.array(list(table.values()))
    return np.asarray(shares / shares.sum())
