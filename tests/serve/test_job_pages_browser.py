"""The pages of jobs and publishing as axe sees them, light and dark, wide and on a phone."""

from __future__ import annotations

import pytest
from conftest import need
from report.conftest import notebook
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from workbench.report import claim, enqueue, hand_in, job_files, read_jobs
from workbench.report.jobs.runs import fail
from workbench.report.publish.publications import move
from workbench.serve.identity.people import Person, create_owner
from workbench.serve.pages.job_pages import job_routes
from workbench.serve.pages.publish_pages import PublishPages
from workbench.serve.running.home import make_home
from workbench.show import build
from workbench.show.assets import static_file

playwright = pytest.importorskip("playwright.sync_api")

AXE = build.WEB / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
CHECKS = [
    {"name": "no secrets", "passed": True, "said": "none found"},
    {"name": "size", "passed": False, "said": "3 MB"},
]
NOW_US = 1_795_500_000_000_000


@pytest.fixture
def site(settings, engine):
    """The pages with a job that failed, a fault in a file, and a publication that waits; answers by path."""
    make_home(settings)
    create_owner(engine)
    file = notebook(settings, "costs", 'print("a long line of code " * 20)')
    (settings.home / "scheduled" / "costs.yaml").write_text('notebook: costs\ncron: "0 6 * * *"\n')
    (settings.home / "scheduled" / "bad.yaml").write_text("notebook: costs\ncorn: x\n")
    job = read_jobs(job_files(settings), settings)[0]["costs"]
    enqueue(engine, job, cause="schedule", scheduled_us=NOW_US, now_us=NOW_US)
    fail(engine, claim(engine, NOW_US), job, error="cell 4: " + "boom " * 40, cell=4, report_id=1, now_us=NOW_US)
    taken = hand_in(file, "job", by="owner", settings=settings, engine=engine, schedule={"cron": "@daily"})
    move(engine, taken.id, "checking", state="pending", checks=CHECKS)
    pages = PublishPages(settings, engine, lambda *_, **__: None)
    app = Starlette(
        routes=[*pages.routes(), *job_routes(settings, engine), Route("/static/{file}", static_file)],
    )

    async def gated(scope, receive, send):
        await app({**scope, "state": {"person": Person("user:1", "admin", "owner")}}, receive, send)

    return TestClient(gated)


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        try:
            made = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except playwright.Error as error:
            need(False, f"Chromium does not start: {error}")
        yield made
        made.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(site, chromium, scheme, width):
    need(AXE.exists(), "axe-core is not installed")
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    foreign = []

    def answer(route):
        url = route.request.url
        if not url.startswith("http://workbench.test/"):
            foreign.append(url)
            return route.abort()
        found = site.get(url.removeprefix("http://workbench.test"))
        return route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    page.route("**/*", answer)
    for path in ("/jobs/", "/jobs/costs", "/jobs/publications/1", "/publish/", "/publish/1"):
        page.goto(f"http://workbench.test{path}")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", TAGS)
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert not foreign
    context.close()
