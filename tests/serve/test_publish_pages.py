"""Publishing in the browser: an analyst hands in, the process examines, an operator reads the code and approves."""

from __future__ import annotations

import html
import re

import pytest
from conftest import need
from report.conftest import measure, notebook
from starlette.applications import Starlette
from starlette.testclient import TestClient

from workbench.report import examine, job_files, next_queued, publications, read_jobs
from workbench.sandbox import available
from workbench.serve.identity.people import Person, create_owner
from workbench.serve.identity.users import add_user
from workbench.serve.pages.job_pages import job_routes
from workbench.serve.pages.publish_pages import PublishPages, own_notebooks
from workbench.serve.running.home import make_home

FORM = {"notebook": "costs.ipynb", "kind": "job", "title": "Costs <b>", "schedule": "0 6 * * mon", "to": "a@b.c, d@e.f"}


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text.partition("<main")[2])).split())


@pytest.fixture
def pages(settings, engine):
    """The pages as a person sees them: `pages(person)`; what is audited is in `pages.audited`."""
    make_home(settings)
    create_owner(engine)
    audited = []
    publish = PublishPages(settings, engine, lambda *words, **_: audited.append(words))
    app = Starlette(routes=[*publish.routes(), *job_routes(settings, engine)])

    def as_person(person: Person) -> TestClient:
        async def gated(scope, receive, send):
            await app({**scope, "state": {"person": person}}, receive, send)

        return TestClient(gated)

    as_person.audited = audited
    return as_person


@pytest.fixture
def ana(settings, engine, pages):
    need(not available(), "sandboxes: bubblewrap and user namespaces")
    person = Person(f"user:{add_user(engine, 'ana', 'analyst')}", "analyst", "ana")
    measure(settings, [1.0, 2.0])
    file = notebook(settings, "costs", 'print("<script>costs</script>")')
    folder = settings.home / "notebooks" / "people" / str(person.user_id)
    folder.mkdir(parents=True)
    file.rename(folder / "costs.ipynb")
    return person


@pytest.fixture
def olga(engine):
    return Person(f"user:{add_user(engine, 'olga', 'operator')}", "operator", "olga")


def test_an_analyst_hands_in_and_an_operator_approves(settings, engine, pages, ana, olga):
    client = pages(ana)
    assert "costs.ipynb" in words(client.get("/publish/").text)
    waiting = client.post("/publish/", data=FORM)
    assert "being checked" in words(waiting.text)
    assert waiting.headers["refresh"]
    examine(next_queued(engine), settings=settings, engine=engine)
    text = words(client.get("/publish/1").text)
    assert "as soon as an operator approves" in text
    assert "runs on the data of now yes" in text

    operator = pages(olga)
    assert "Waiting for approval costs , a job of ana" in words(operator.get("/jobs/").text)
    review = operator.get("/jobs/publications/1")
    assert "<script>costs" not in review.text, "code is shown, not run"
    assert 'print("<script>costs</script>")' in words(review.text)
    assert "a@b.c" in words(review.text)
    assert "published by olga" in words(operator.post("/jobs/publications/1/approve").text)
    job = read_jobs(job_files(settings), settings)[0]["costs"]
    assert (job.title, job.publisher, job.recipients) == ("Costs <b>", "ana", ("a@b.c", "d@e.f"))
    assert "Costs <b>" in words(operator.get("/jobs/").text)

    assert "undone" in words(client.post("/publish/1/undo").text)
    assert "costs" not in read_jobs(job_files(settings), settings)[0]
    assert [action for _, action, _ in pages.audited] == [
        "publication queued",
        "publication published",
        "publication undone",
    ]


def test_a_fault_of_the_form_is_said_above_it(pages, ana, engine):
    answer = pages(ana).post("/publish/", data={**FORM, "schedule": "soon"})
    assert answer.status_code == 400
    assert "'soon' is no cron expression" in words(answer.text)
    assert pages(ana).post("/publish/", data={**FORM, "notebook": "../../x.ipynb"}).status_code == 400
    assert not publications(engine)


def test_nobody_sees_or_takes_back_what_another_handed_in(pages, ana, engine, settings):
    pages(ana).post("/publish/", data={**FORM, "kind": "report", "schedule": ""})
    examine(1, settings=settings, engine=engine)
    bob = pages(Person(f"user:{add_user(engine, 'bob', 'analyst')}", "analyst", "bob"))
    assert bob.get("/publish/1").status_code == 404
    assert bob.post("/publish/1/undo").status_code == 404
    assert "costs" not in words(bob.get("/publish/").text)
    assert publications(engine)[0].state == "published"
    admin = pages(Person("user:1", "admin", "owner"))
    assert admin.get("/publish/1").status_code == 200


def test_only_notebooks_of_the_own_folder_are_offered(settings, pages, ana, tmp_path):
    (tmp_path / "far.ipynb").write_text("{}")
    folder = settings.home / "notebooks" / "people" / str(ana.user_id)
    (folder / "link.ipynb").symlink_to(tmp_path / "far.ipynb")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "old.ipynb").write_text("{}")
    assert list(own_notebooks(settings, ana)) == ["costs.ipynb"]
    assert list(own_notebooks(settings, Person("token:3", "analyst"))) == []


def test_what_is_decided_already_is_not_decided_again(pages, olga, ana):
    answer = pages(olga).post("/jobs/publications/7/approve")
    assert answer.status_code == 400
    assert "waits for nobody" in answer.text
