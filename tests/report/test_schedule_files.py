"""Schedule files: read strictly, all faults at once, each with file, line and the nearest name."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from report.conftest import PARAMETERS, notebook
from workbench.errors import ConfigError
from workbench.report import job_files, load_jobs, read_jobs

GOOD = """
notebook: count
cron: "30 2 * * *"
timezone: Europe/Berlin
date: yesterday
parameters:
  factor: 3
  since: {date: today-7d}
recipients: [a@example.org]
retries: 2
timeout: 10m
"""

DAYS = "Write it as today, yesterday, today-7d or 2026-11-24."
DATE = "; the key `date` beside `parameters` sets the day"


@pytest.fixture
def schedule(settings):
    """Writes a schedule file into the home; its path."""
    notebook(settings, "count", "1", parameters=PARAMETERS + '\nsince = ""\nnames = ["a"]\nshare = 0.5\nloud = False')

    def write(text: str, name: str = "count"):
        folder = settings.home / "scheduled"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder / f"{name}.yaml"

    return write


def faults(path, settings) -> list[str]:
    return [f"{fault.line}: {fault.message}" for fault in read_jobs([path], settings)[1]]


def test_our_own_are_good_and_a_copy_in_the_home_takes_their_place(settings, schedule):
    assert load_jobs(job_files(settings), settings)["daily_report"].date == "yesterday"
    notebook(settings, "daily_report", "1")
    own = schedule('notebook: daily_report\ncron: "@hourly"\n', "daily_report")
    assert load_jobs(job_files(settings), settings)["daily_report"].file == own


def test_days_follow_the_clock_in_the_zone_of_the_job(settings, schedule):
    job = load_jobs([schedule(GOOD)], settings)["count"]
    # Half past eleven in the evening in London is the next day in Berlin.
    day, parameters = job.values(datetime(2026, 3, 28, 23, 30, tzinfo=UTC))
    assert day == date(2026, 3, 28)
    assert parameters == {"factor": 3, "since": "2026-03-22"}
    assert job.next_time(datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("crom: '0 6 * * *'", "12: there is no key 'crom'; did you mean 'cron'?"),
        ("notebook: other", "12: 'notebook' stands twice"),
        ("overlap: skipp", "12: overlap cannot be 'skipp'; did you mean 'skip'?"),
        ("retry_pause: soon", "12: retry_pause: 'soon' is no duration. Write it as 30s, 10m, 2h or 1d."),
        ("keep: 0", "12: keep must be a whole number from 1 to 1000, not 0"),
        ("publisher: 3", "12: publisher must be a text, not 3"),
        ("after: nothing", "1: after: there is no job 'nothing'; did you mean 'count'?"),
    ],
)
def test_a_fault_names_line_and_nearest_key(settings, schedule, line, fault):
    assert faults(schedule(GOOD + line + "\n"), settings) == [fault]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("notebook: count", "notebook: cuont", "2: there is no notebook 'cuont'; did you mean 'count'?"),
        ("Europe/Berlin", "Europe/Berlim", "4: there is no time zone 'Europe/Berlim'; did you mean 'Europe/Berlin'?"),
        ('"30 2 * * *"', '"0 0 30 2 *"', "3: '0 0 30 2 *' never comes"),
        ('"30 2 * * *"', '"90 2 * * *"', "3: cron: '90' is no minute. From 0 to 59."),
        (
            "date: yesterday",
            "date: tomorow",
            f"5: date: 'tomorow' is no day. {DAYS}",
        ),
        ("factor: 3", "factr: 3", "7: the notebook has no parameter 'factr'; did you mean 'factor'?"),
        ("factor: 3", "factor: high", "7: factor must be a whole number as in the notebook (1), not 'high'"),
        ("factor: 3", "share: 1", ""),
        ("factor: 3", "names: a", "7: names must be a list as in the notebook (['a']), not 'a'"),
        ("factor: 3", "loud: 1", "7: loud must be true or false as in the notebook (False), not 1"),
        (
            "factor: 3",
            "home: /tmp",
            f"7: 'home' is filled in by the run{DATE}",
        ),
        ("[a@example.org]", "[a, b]", "9: 'a' is no mail address"),
        ("[a@example.org]", "a@example.org", "9: recipients must be a list of texts"),
        ('cron: "30 2 * * *"\n', "", "1: says not when to run: it needs `cron` or `after`"),
    ],
)
def test_what_cannot_be_is_said(settings, schedule, old, new, fault):
    found = faults(schedule(GOOD.replace(old, new)), settings)
    assert found[:1] == ([fault] if fault else [])


def test_all_faults_come_at_once_and_spare_the_good_file(settings, schedule):
    good = schedule(GOOD)
    bad = schedule("notebook: count\ncron: x\nretries: many\n- no\n", "bad")
    worse = schedule("notebook: count\ncron: x\nretries: many\n", "worse")
    jobs, found = read_jobs([good, bad, worse], settings)
    assert list(jobs) == ["count"]
    assert {fault.file.stem for fault in found} == {"bad", "worse"}
    with pytest.raises(ConfigError, match=r"worse.yaml:2: .*\n.*worse.yaml:3: "):
        load_jobs([good, bad, worse], settings)


def test_a_circle_of_jobs_is_found(settings, schedule):
    files = [
        schedule(f"notebook: count\nafter: {after}\n", name) for name, after in (("a", "c"), ("b", "a"), ("c", "b"))
    ]
    _, found = read_jobs(files, settings)
    assert str(found[0]).endswith("a.yaml:1: after: goes in a circle, a after c after b after a")


@pytest.mark.parametrize("text", ["", "[]", "a: [", "\x00", "a: !!python/object:os.system x", "<<: *x"])
def test_what_is_no_schedule_is_a_fault_with_a_line(settings, schedule, text):
    jobs, found = read_jobs([schedule(text)], settings)
    assert not jobs
    assert all(fault.line >= 1 for fault in found)
    assert found
