"""The pages of the reports: a list, and a shell around each report's own page, which is kept in a sandbox."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.testclient import TestClient

from workbench import config
from workbench.query import Condition, parse_matchers
from workbench.report import CONTENT_SECURITY_POLICY, Provenance
from workbench.serve.access.policy import MAIN, allowed, notebook_rules
from workbench.serve.access.rows import Rows
from workbench.serve.identity.people import Person
from workbench.serve.pages.report_pages import report_files, report_routes
from workbench.store import state

ALL = Rows((), None, Condition(()))


def kept(
    settings: config.Settings,
    *,
    status: str = "done",
    page: str | None = "<p>body</p>",
    error: str = "",
    rows: str = "{}",
) -> int:
    """A report as a run leaves it; its number."""
    engine = state.engine(settings)
    folder = settings.reports_dir / f"daily_report-{len(list(settings.reports_dir.glob('*')))}"
    folder.mkdir(parents=True)
    if page is not None:
        (folder / "daily_report.html").write_text(page)
        (folder / "daily_report.ipynb").write_text("{}")
        parameters = {"date": "2026-11-20", "lake_version": "000007-0badcafe"}
        Provenance("daily_report", "a" * 64, parameters, "000007-0badcafe", "0.1.0", "2026-11-24T10:00:00+00:00",
                   {}).save(folder / "provenance.json")  # fmt: skip
    row = {"name": "daily_report", "date": "2026-11-20", "parameters": {}, "lake_version": "000007-0badcafe",
           "code_version": "0.1.0", "status": status, "started_us": 1_795_176_000_000_000,
           "finished_us": None if status == "running" else 1_795_176_012_000_000, "folder": folder.name,
           "error": error, "rows": rows}  # fmt: skip
    with engine.begin() as connection:
        return connection.execute(sa.insert(state.reports).values(row).returning(state.reports.c.id)).scalar_one()


@pytest.fixture
def client(settings: config.Settings) -> TestClient:
    return TestClient(as_viewer(Starlette(routes=report_routes(settings, lambda _: ALL))))


@pytest.fixture
def frame(settings: config.Settings) -> TestClient:
    """What the notebook origin serves of reports."""
    return TestClient(as_viewer(Starlette(routes=report_files(settings, lambda _: ALL))))


def as_viewer(app):
    """What the gate does for an app: it says who asks."""

    async def gated(scope, receive, send):
        await app({**scope, "state": {"person": Person("user:1", "viewer")}}, receive, send)

    return gated


def test_without_reports_it_says_how_to_make_one(client):
    assert "workbench report daily_report" in client.get("/reports/").text


def test_the_newest_comes_first_with_its_status_in_words_and_how_long_it_took(client, settings):
    first = kept(settings)
    second = kept(settings, status="failed", error="cell 3: <b>Boom</b>")
    third = kept(settings, status="running", page=None)
    text = client.get("/reports/").text
    places = [text.index(f'href="/reports/{number}"') for number in (third, second, first)]
    assert places == sorted(places)
    for status in ("done", "failed", "interrupted"):  # nobody holds the third one's lock
        assert f'class="status {status}">{status}<' in text
    assert "12 s" in text
    assert "cell 3: &lt;b&gt;Boom" in text


def test_a_report_stands_in_a_sandboxed_frame_with_a_way_back_and_its_provenance(client, settings):
    number = kept(settings, page="<p>hostile</p>")
    text = client.get(f"/reports/{number}").text
    assert "hostile" not in text, "its page stays in the frame"
    assert f'src="/to/reports/{number}/page"' in text
    assert client.get(f"/reports/{number}/page").status_code == 404, "not on the main origin"
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in text
    assert 'href="/reports/"' in text
    assert f'href="/reports/{number}/notebook"' in text
    assert "workbench report daily_report --date 2026-11-20 --lake-version 000007-0badcafe" in text


def test_its_page_is_served_under_its_own_policy(frame, settings):
    answer = frame.get(f"/reports/{kept(settings)}/page")
    assert answer.text == "<p>body</p>"
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["content-type"].startswith("text/html")


def test_the_notebook_is_a_download(client, settings):
    answer = client.get(f"/reports/{kept(settings)}/notebook")
    assert answer.headers["content-disposition"].startswith("attachment")


def test_a_run_that_ended_before_its_page_says_so(client, settings):
    number = kept(settings, status="failed", page=None, error="no such cell")
    text = client.get(f"/reports/{number}").text
    assert "no such cell" in text
    assert "ended before there was a page" in text
    assert "<iframe" not in text


@pytest.mark.parametrize("path", ["/reports/99", "/reports/99/page", "/reports/99/notebook"])
def test_what_is_not_kept_is_missing(client, frame, path: str):
    assert client.get(path).status_code == 404
    assert frame.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/reports/x", "/reports/../state/state.db", "/reports/1/other", "/reports/reports.html"]
)
def test_no_other_path_is_served(client, settings, path: str):
    kept(settings)
    assert client.get(path).status_code == 404


def test_every_route_is_in_the_policy_of_the_gate(settings):
    for rules, routes in (
        (MAIN, report_routes(settings, lambda _: ALL)),
        (notebook_rules(sandbox=True), report_files(settings, lambda _: ALL)),
    ):
        for route in routes:
            path = route.path.replace("{number:int}", "7")
            assert allowed(rules, "viewer", "GET", path), path
            assert not allowed(rules, "viewer", "POST", path), path


@pytest.mark.parametrize(
    ("reader", "seen"),
    [("{}", {1, 2, 3}), ('{domain=~"science|arts"}', {2, 3}), ('{domain="science"}', {3}), ('{job="x"}', set())],
)
def test_a_report_is_shown_to_those_whose_rows_contain_its_own(settings, reader: str, seen: set[int]):
    for rows in ("{}", '{domain="arts"}', '{domain="science", env="x"}'):
        kept(settings, rows=rows)
    matchers = parse_matchers(reader)
    rows_of_reader = Rows(matchers, None, Condition(matchers))
    routes = [*report_routes(settings, lambda _: rows_of_reader), *report_files(settings, lambda _: rows_of_reader)]
    client = TestClient(as_viewer(Starlette(routes=routes)))
    page = client.get("/reports/").text
    assert {number for number in (1, 2, 3) if f'href="/reports/{number}"' in page} == seen
    for path in ("", "/page", "/notebook"):
        assert {number for number in (1, 2, 3) if client.get(f"/reports/{number}{path}").status_code == 200} == seen


def test_a_report_is_had_as_pdf_by_those_who_may_see_it(client, settings):
    number = kept(settings, page="<html><body><main><h1>Body</h1></main></body></html>")
    assert f'href="/reports/{number}/pdf"' in client.get(f"/reports/{number}").text
    for _ in range(2):  # made, then kept
        answer = client.get(f"/reports/{number}/pdf")
        assert answer.headers["content-type"] == "application/pdf"
        assert 'filename="daily_report-2026-11-20.pdf"' in answer.headers["content-disposition"]
        assert answer.content.startswith(b"%PDF")
    limited = Rows(parse_matchers('{domain="arts"}'), None, Condition(parse_matchers('{domain="arts"}')))
    other = TestClient(as_viewer(Starlette(routes=report_routes(settings, lambda _: limited))))
    assert other.get(f"/reports/{number}/pdf").status_code == 404
    running = kept(settings, status="running", page=None)
    assert client.get(f"/reports/{running}/pdf").status_code == 404
