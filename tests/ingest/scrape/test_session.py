"""What scrapes become, without network or clock: markers, duplicates, limits, start times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.errors import InputError
from workbench.ingest.scrape.exposition import Families, read_openmetrics, read_text
from workbench.ingest.scrape.relabel import Rule
from workbench.ingest.scrape.session import RETRY_SCRAPES, Session
from workbench.ingest.scrape.settings import Group, Job, Limits
from workbench.ingest.scrape.targets import find_targets

SECOND = 1_000_000


class Target:
    """A session with a registry of its own; each scrape is one second later."""

    def __init__(self, **settings: object) -> None:
        self.job = replace(Job("j"), **settings)
        (target,) = find_targets(self.job, [Group("", ("h:1",))]).targets
        self.session = Session(target, self.job)
        self.ids: dict[object, int] = {}
        self.time_us = 0
        self.refuse: set[str] = set()
        self.asked = 0

    def scrape(self, body: str | None, reader=read_text) -> dict[str, float | str]:
        """name{labels} -> value of the rows of one scrape; the report's under their names, markers as 'stale'."""
        self.time_us += SECOND
        if body is None:
            scrape = self.session.nothing(self.time_us)
        else:
            scrape, families = self.session.begin(self.time_us), Families()
            try:
                self.session.take(reader(body, families, self.session.known), families, scrape)
            except InputError:
                scrape = self.session.nothing(self.time_us, scrape)
        unknown = self.session.unknown(scrape)
        self.asked = len(unknown)
        ids = [self._id(entry.member.identity) for entry in unknown]
        self.session.entered(unknown, ids, scrape)
        rows, present = self.session.rows(scrape, 0.25)
        self.session.done(scrape, present)
        self.last = rows
        return self.named(rows)

    def _id(self, identity) -> int | None:
        return None if identity.name in self.refuse else self.ids.setdefault(identity, len(self.ids) + 1)

    def named(self, rows) -> dict[str, float | str]:
        names = {number: identity for identity, number in self.ids.items()}
        found: dict[str, float | str] = {}
        for series, bits, stale in zip(rows.series.tolist(), rows.bits, rows.stale.tolist(), strict=True):
            identity = names[series]
            own = [f"{k}={v}" for k, v in identity.attributes if k not in ("job", "instance")]
            found[identity.name + "".join(f"{{{one}}}" for one in own)] = "stale" if stale else float(bits.view("f8"))
        return found


def plain(found: dict) -> dict:
    return {name: value for name, value in found.items() if not name.startswith(("up", "scrape_"))}


def report(found: dict) -> list:
    return [found[name] for name in ("up", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
                                     "scrape_series_added")]  # fmt: skip


def test_a_series_that_goes_is_marked_once_and_comes_back():
    target = Target()
    assert plain(target.scrape("a 1\nb 2\n")) == {"a": 1, "b": 2}
    assert plain(target.scrape("a 1\n")) == {"a": 1, "b": "stale"}
    assert plain(target.scrape("a 1\n")) == {"a": 1}
    assert plain(target.scrape("a 1\nb 3\n")) == {"a": 1, "b": 3}


def test_a_scrape_that_fails_marks_all_and_says_so():
    target = Target()
    first = target.scrape("a 1\nb 2\n")
    assert report(first) == [1, 2, 2, 2]
    failed = target.scrape(None)
    assert plain(failed) == {"a": "stale", "b": "stale"}
    assert report(failed) == [0, 0, 0, 0]
    assert plain(target.scrape(None)) == {}
    back = target.scrape("a 1\nb 2\n")
    assert report(back) == [1, 2, 2, 0]  # they were known


def test_half_a_body_is_nothing():
    target = Target()
    target.scrape("a 1\n")
    found = target.scrape("a 2\nnot a sample\n")
    assert (plain(found), found["up"], found["scrape_samples_scraped"]) == ({"a": "stale"}, 0, 1)


def test_a_target_that_goes_takes_its_report_along():
    target = Target()
    target.scrape("a 1\n")
    assert set(target.named(target.session.end(5 * SECOND)).values()) == {"stale"}
    assert len(target.session.end(5 * SECOND).series) == 6


def test_times_of_their_own_are_kept_and_never_marked():
    target = Target()
    assert plain(target.scrape("a 1 1500\nb 2\n")) == {"a": 1, "b": 2}
    assert target.last.times_us.tolist()[:2] == [1_500_000, SECOND]
    assert plain(target.scrape("a 1 1500\nb 2\n")) == {"b": 2}  # the same sample is not written again
    assert plain(target.scrape("b 2\n")) == {"b": 2}
    ours = Target(honor_timestamps=False)
    ours.scrape("a 1 1500\n")
    assert ours.last.times_us.tolist()[0] == SECOND
    assert plain(ours.scrape("")) == {"a": "stale"}
    tracked = Target(track_timestamps_staleness=True)
    tracked.scrape("a 1 1500\n")
    assert plain(tracked.scrape("")) == {"a": "stale"}


def test_of_doubles_the_first_counts():
    drop_x = (Rule(action="labeldrop", regex=__import__("re").compile("x")),)
    target = Target(metric_relabel=drop_x)
    found = target.scrape('a 1\na 2\nb{x="1"} 3\nb{x="2"} 4\n')
    assert plain(found) == {"a": 1, "b": 3}
    assert report(found)[:3] == [1, 4, 4]
    again = target.scrape('a 1\na 2\nb{x="1"} 3\nb{x="2"} 4\n')
    assert plain(again) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("limits", "body"),
    [
        (Limits(samples=2), "a 1\nb 2\nc 3\n"),
        (Limits(labels=4), 'a{x="1",y="2"} 1\n'),
        (Limits(label_name_bytes=8), 'a{long_name="1"} 1\n'),
        (Limits(label_value_bytes=8), 'a{x="123456789"} 1\n'),
    ],
)
def test_over_a_limit_the_whole_scrape_fails(limits, body):
    target = Target(limits=limits)
    found = target.scrape(body)
    assert (plain(found), found["up"]) == ({}, 0)
    assert plain(target.scrape("a 1\n")) == {"a": 1}


def test_labels_clash_and_names_are_exported():
    found = Target().scrape('a{job="x",instance="y"} 1\n')
    assert plain(found) == {"a{exported_instance=y}{exported_job=x}": 1}
    honest = Target(honor_labels=True)
    honest.scrape('a{job="x",instance=""} 1\n')
    assert ("job", "x") in next(iter(honest.ids)).attributes
    assert "instance" not in dict(next(iter(honest.ids)).attributes)


def test_a_created_line_says_since_when():
    target = Target()
    target.scrape(
        '# TYPE c counter\nc_total{k="1"} 5\nc_created{k="1"} 1000.5\nc_total{k="2"} 6\n# EOF\n', read_openmetrics
    )
    assert target.last.starts_us.tolist()[:3] == [1_000_500_000, 0, 0]


def test_a_refused_series_is_asked_again_now_and_then():
    target = Target()
    target.refuse = {"hostile"}
    assert plain(target.scrape("a 1\nhostile 2\n")) == {"a": 1}
    asked = []
    target.refuse = set()
    for _ in range(RETRY_SCRAPES):
        found = target.scrape("a 1\nhostile 2\n")
        asked.append(target.asked)
    assert sum(asked) == 1
    assert plain(found) == {"a": 1, "hostile": 2}
