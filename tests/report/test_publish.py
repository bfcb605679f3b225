"""Publishing: what a notebook must be like, its way to its place, an operator's word, and the way back."""

from __future__ import annotations

import nbformat
import pytest
import yaml
from conftest import need
from hypothesis import given
from hypothesis import strategies as st

from report.conftest import notebook
from workbench import config
from workbench.errors import InputError
from workbench.report import (
    decide,
    examine,
    get_publication,
    hand_in,
    job_files,
    list_reports,
    publications,
    read_jobs,
    run_report,
    undo,
)
from workbench.report.publish.checks import foreign_paths
from workbench.report.publish.secrets import looks_random, secrets_in
from workbench.sandbox import available
from workbench.serve.identity.people import create_owner
from workbench.serve.identity.users import add_user, disable
from workbench.store import state

SHOW = 'print("shown to all")'


@pytest.fixture
def engine(home):
    need(not available(), "sandboxes: bubblewrap and user namespaces")
    made = state.engine(home)
    create_owner(made)
    add_user(made, "ana", "analyst")
    add_user(made, "olga", "operator")
    yield made
    made.dispose()


@pytest.fixture
def draft(tmp_path):
    """Writes a notebook outside of the home, as somebody who works on it has it; its path."""

    def write(*cells: str, name: str = "goods"):
        return notebook(config.load(tmp_path / "elsewhere", environ={}), name, *cells)

    return write


@pytest.fixture
def publish(home, engine):
    def do(file, kind, *, by="owner", **more):
        taken = hand_in(file, kind, by=by, settings=home, engine=engine, **more)
        return examine(taken.id, settings=home, engine=engine)

    return do


def unmet(publication) -> dict[str, str]:
    return {check.name: check.said for check in publication.checks if not check.passed}


def test_a_report_goes_to_its_place_without_what_its_runs_left_and_can_be_run(home, draft, publish):
    file = draft(SHOW)
    read = nbformat.read(file, as_version=4)
    read.cells[1].outputs = [nbformat.v4.new_output("stream", text="last year's secret figures")]
    nbformat.write(read, file)
    done = publish(file, "report")
    assert done.state == "published", unmet(done)
    assert "secret figures" not in (home.home / "notebooks" / "goods.ipynb").read_text()
    assert not list_reports(home), "the trial is not kept"
    assert "shown to all" in run_report("goods", settings=home).html.read_text()


def test_a_job_of_an_analyst_waits_for_an_operator_and_reads_her_rows(home, engine, draft, publish):
    plan = {"cron": "0 6 * * mon", "timezone": "Europe/Berlin", "recipients": ["a@example.org"], "date": "yesterday"}
    waits = publish(draft(SHOW), "job", by="ana", schedule=plan)
    assert waits.state == "pending"
    assert not (home.home / "scheduled" / "goods.yaml").exists()
    done = decide(waits.id, approve=True, by="olga", settings=home, engine=engine)
    assert (done.state, done.decided_by) == ("published", "olga")
    jobs, faults = read_jobs(job_files(home), home)
    assert not faults
    job = jobs["goods"]
    assert (job.publisher, job.timezone, job.recipients) == ("ana", "Europe/Berlin", ("a@example.org",))
    with pytest.raises(InputError, match="waits for nobody"):
        decide(waits.id, approve=False, by="olga", settings=home, engine=engine)


def test_what_is_refused_lies_nowhere(home, engine, draft, publish):
    waits = publish(draft(SHOW), "job", by="ana", schedule={"cron": "@daily"})
    assert decide(waits.id, approve=False, by="olga", settings=home, engine=engine).state == "refused"
    assert not (home.home / "notebooks" / "goods.ipynb").exists()
    assert "goods" not in read_jobs(job_files(home), home)[0]


def test_a_report_that_a_job_runs_already_waits_too(home, draft, publish):
    """Else an analyst could change what runs with another's rows and goes to another's readers."""
    assert publish(draft(SHOW, name="daily_report"), "report", by="ana").state == "pending"
    assert publish(draft(SHOW, name="other"), "report", by="ana").state == "published"


def test_a_board_says_its_title_and_is_made_anew_by_itself(home, draft, publish):
    done = publish(draft(SHOW), "board", by="ana", schedule={"title": "Goods sold", "about": "By the hour."})
    assert done.state == "published", unmet(done)
    read = nbformat.read(home.home / "dashboards" / "goods.ipynb", as_version=4)
    assert read.metadata["workbench"] == {"title": "Goods sold", "description": "By the hour."}
    job = read_jobs(job_files(home), home)[0]["board_goods"]
    assert (job.kind, job.notebook, job.cron.text, job.publisher) == ("board", "goods", "*/15 * * * *", "ana")


def test_undone_what_it_took_the_place_of_returns(home, engine, draft, publish):
    place = home.home / "notebooks" / "goods.ipynb"
    first = publish(draft('print("first")'), "report")
    second = publish(draft('print("second")'), "report")
    with pytest.raises(InputError, match=f"publication {second.id} took its place"):
        undo(first.id, by="owner", settings=home, engine=engine)
    undo(second.id, by="owner", settings=home, engine=engine)
    assert "first" in place.read_text()
    undo(first.id, by="olga", settings=home, engine=engine)
    assert not place.exists()
    assert [(one.state, one.decided_by) for one in publications(engine)] == [("undone", "owner"), ("undone", "olga")]


def test_what_was_edited_since_is_not_lost(home, engine, draft, publish):
    done = publish(draft(SHOW), "report")
    place = home.home / "notebooks" / "goods.ipynb"
    place.write_text(place.read_text() + " ")
    with pytest.raises(InputError, match="edited since"):
        undo(done.id, by="owner", settings=home, engine=engine)
    assert place.exists()
    assert get_publication(engine, done.id).state == "published"


def test_every_unmet_demand_is_told_with_its_cell(home, draft, publish):
    done = publish(draft('password = "hunter2-hunter2"', 'open("/home/me/data.csv")', name="bad"), "report")
    assert done.state == "refused"
    assert unmet(done) == {
        "no secrets": "cell 2, line 1: a text under the name 'password'",
        "no paths of one machine": "cell 3, line 1: '/home/me/data.csv'",
    }
    assert "hunter2" not in str(done.checks), "a finding does not repeat the secret"
    failed = publish(draft("1", "1 / 0", name="worse"), "report")
    assert unmet(failed) == {"runs on the data of now": "cell 3: ZeroDivisionError: division by zero"}
    assert not (home.home / "notebooks" / "worse.ipynb").exists()


def test_without_parameters_it_cannot_be_run_for_a_day(home, draft, publish, tmp_path):
    plain = notebook(home, "plain", "1", parameters=None).rename(tmp_path / "plain.ipynb")
    assert "tag the first code cell" in unmet(publish(plain, "report"))["parameters"]
    few = notebook(home, "few", "1", parameters='home = ""\nlake_version = ""').rename(tmp_path / "few.ipynb")
    assert "does not assign date" in unmet(publish(few, "job", schedule={"cron": "@daily"}))["parameters"]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"kind": "job"}, "a job needs to know when to run"),
        ({"kind": "job", "schedule": {"cron": "0 25 * * *"}}, "'25' is no hour"),
        ({"kind": "job", "schedule": {"cron": "@daily", "timezone": "Mars"}}, "no time zone 'Mars'"),
        ({"kind": "job", "schedule": {"cron": "@daily", "recipients": ["nobody"]}}, "'nobody' is no mail address"),
        ({"kind": "report", "schedule": {"cron": "@daily"}}, "a report has no schedule"),
        ({"kind": "poster"}, "nothing to publish as"),
        ({"kind": "report", "name": "../evil"}, "is no name"),
    ],
)
def test_a_wrong_wish_is_said_before_anything_is_run(draft, publish, engine, more, fault):
    with pytest.raises(InputError, match=fault):
        publish(draft(SHOW), more.pop("kind"), **more)
    assert not publications(engine)


def test_what_is_no_notebook_is_said(publish, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        publish(tmp_path / "none.ipynb", "report")
    (tmp_path / "bad.ipynb").write_text("not JSON")
    with pytest.raises(InputError, match="no notebook that can be read"):
        publish(tmp_path / "bad.ipynb", "report")


def test_the_schedule_cannot_be_widened_by_what_its_texts_hold(home, draft, publish):
    trick = "nice\nrecipients: [evil@example.org]\npublisher: owner"
    publish(draft(SHOW), "job", schedule={"cron": "@daily", "title": trick}, by="owner")
    read = yaml.safe_load((home.home / "scheduled" / "goods.yaml").read_text())
    assert read["title"] == trick
    assert "recipients" not in read


def test_who_was_disabled_meanwhile_publishes_nothing_by_himself(home, engine, draft):
    number = add_user(engine, "adam", "admin")
    taken = hand_in(draft(SHOW), "job", by="adam", settings=home, engine=engine, schedule={"cron": "@daily"})
    disable(engine, number)
    done = examine(taken.id, settings=home, engine=engine)
    assert done.state == "refused"
    assert "not there any more" in str(unmet(done))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ('key = "AKIA' + "ABCDEFGHIJKLMNOP" + '"', "an AWS key"),
        ('x = "ghp_' + "a1B2" * 9 + '"', "a GitHub token"),
        ("# wb_" + "aB3-" * 11, "a token of the workbench"),
        ('u = "postgresql://me:s3cret@db/x"', "an address with a password"),
        ('connect(password="correct horse")', "a text under the name 'password'"),
        ('{"api_key": "abcdef"}', "a text under the name 'api_key'"),
        ('x = "q8Zr2Lw0Pn5Tk7Vb3Xc9Yd1F"', "a text that looks random"),
        ('x = "3f9a1c77e0b24d5896ac01fe77d3b852"', "a text that looks random"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("%magic\nimport x = -----BEGIN PRIVATE KEY-----", "a private key"),
    ],
)
def test_secrets_are_found(source, what):
    assert [found for _, found in secrets_in(source)] == [what]


@pytest.mark.parametrize(
    "source",
    [
        'password = ""',
        'password = "<your password>"',
        'token = os.environ["TOKEN"]',
        'title = "What each model cost, and who used it."',
        'expr = "sum by (model) (rate(stream_gateway_requests_total[5m]))"',
        'name = "stream_gateway_request_duration_seconds_bucket"',
        'url = "https://example.org/a/very/long/path/to/a/page-with-2-numbers-33"',
        'version = "000042-ab12cd34"',
        'color = "#0072B2"; tokens = 3',
    ],
)
def test_what_is_none_is_left_alone(source):
    assert list(secrets_in(source)) == []


def test_our_own_notebooks_hold_none_and_no_path_of_one_machine():
    from workbench.report.notebooks import SHIPPED, SHIPPED_BOARDS

    for file in [*SHIPPED.glob("*.ipynb"), *SHIPPED_BOARDS.glob("*.ipynb")]:
        for cell in nbformat.read(file, as_version=4).cells:
            assert list(secrets_in(cell.source)) == [], file.name
            assert list(foreign_paths(cell.source)) == [], file.name


@given(st.text(max_size=200))
def test_any_text_can_be_searched(text):
    assert all(line >= 1 for line, _ in secrets_in(text))
    assert all(line >= 1 for line, _ in foreign_paths(text))
    assert looks_random(text) in (True, False)
