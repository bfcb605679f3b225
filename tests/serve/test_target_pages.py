"""The pages of targets and of cardinality: over a running scraper and a hub's socket, and as axe sees them."""

from __future__ import annotations

import asyncio
import html
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import need
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.ingest.messages import now_ms, snap, write_request
from tests.ingest.scrape.conftest import Answer, Exposer, WriterSink
from workbench.config import ensure_private_dir
from workbench.ingest import Caller, Receiver, Scraper
from workbench.query import parse_matchers
from workbench.query.matchers import Condition
from workbench.serve.access import policy
from workbench.serve.access.rows import Rows
from workbench.serve.identity.people import Person
from workbench.serve.pages.cardinality_page import cardinality_routes
from workbench.serve.pages.target_pages import target_routes
from workbench.serve.running.hub_socket import Hub, hub_app
from workbench.serve.running.listen import Listener, listen, unix_socket
from workbench.serve.scrape import scrape_app
from workbench.show import build
from workbench.show.assets import static_file
from workbench.store import open_writer

playwright = pytest.importorskip("playwright.sync_api")

AXE = build.WEB / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
FILE = """\
rule_files: [x.yml]
scrape_configs:
- job_name: node
  scrape_interval: 1s
  static_configs:
  - targets: ["{address}", "gone.{address}"]
    labels: {{env: prod, team: content}}
  relabel_configs: [{{source_labels: [__address__], regex: "gone.*", action: drop}}]
- job_name: failing
  scrape_interval: 1s
  metrics_path: /nothing
  static_configs: [{{targets: ["{address}"]}}]
"""


class Site:
    """The pages over a scraper of two targets and a home with a metric at its limit; `person` is who asks."""

    def __init__(self, settings, exposer: Exposer) -> None:
        self.settings = replace(settings, ingest=replace(settings.ingest, max_metric_series=12))
        self.person = Person("user:1", "admin", "owner")
        self.matchers: tuple = ()
        settings.home.mkdir(parents=True, exist_ok=True)
        ensure_private_dir(settings.runtime_dir)
        exposer.answers["/metrics"] = Answer(b"node_load1 1\n" + b"".join(b'hits{id="%d"} 1\n' % n for n in range(20)))
        self.settings.scrape_file.write_text(FILE.format(address=exposer.address))
        self._writer = open_writer(self.settings)
        self.receiver = Receiver(self._writer, self.settings)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        pages = Starlette(
            routes=[
                *target_routes(self.settings, self.rows_of),
                *cardinality_routes(self.settings, self.rows_of),
                Route("/static/{file}", static_file),
            ]
        )

        async def gated(scope, receive, send):
            await pages({**scope, "state": {"person": self.person}}, receive, send)

        self.client = TestClient(gated)

    def rows_of(self, _request) -> Rows:
        return Rows(self.matchers, self._writer.view, Condition(self.matchers))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        scraper = Scraper(self.settings.scrape_file, WriterSink(self._writer, self.receiver))
        running = asyncio.create_task(scraper.run(self._stop))
        hub = hub_app(Hub(self._writer, SimpleNamespace(), SimpleNamespace(), self.receiver))
        listeners = [
            Listener(scrape_app(scraper), [unix_socket(self.settings.scrape_socket)]),
            Listener(hub, [unix_socket(self.settings.hub_socket)]),
        ]
        serving = asyncio.create_task(listen(listeners, self._stop))
        while (
            not all(loop.health.last_us for job in scraper.jobs.values() for loop in job.loops.values())
            or not scraper.jobs
        ):
            await asyncio.sleep(0.02)  # the targets have their own grid in time
        self._ready.set()
        await asyncio.gather(running, serving)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self.receiver.close()
        self._writer.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    from workbench import config

    exposer = Exposer()
    made = Site(config.load(tmp_path_factory.mktemp("site") / "home", environ={}), exposer)
    yield made
    made.close()
    exposer.close()


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text.partition("<main")[2])).split())


def test_each_target_says_how_it_is(site):
    text = words(site.client.get("/targets/").text)
    assert "All 2 up 1 down 1" in text
    assert "node 1 of 1 up" in text
    assert "server returned HTTP status 404" in text
    assert 'env="prod"' in text
    assert "8 refused" in text  # 20 ids, 12 series a metric
    assert "not for scraping: rule_files" in text
    assert "Dropped by relabelling 1" in text
    assert "nothing" not in words(site.client.get("/targets/?state=up").text)


def test_the_api_has_the_shape_of_prometheus(site):
    data = site.client.get("/api/v1/targets").json()["data"]
    assert {one["scrapePool"]: one["health"] for one in data["activeTargets"]} == {"node": "up", "failing": "down"}
    assert data["droppedTargetCounts"] == {"node": 1, "failing": 0}
    assert site.client.get("/api/v1/targets?state=dropped").json()["data"]["activeTargets"] == []
    assert len(site.client.get("/api/v1/targets?scrapePool=node").json()["data"]["activeTargets"]) == 1


def test_a_fault_in_the_file_is_shown_and_the_targets_go_on(site):
    good = site.settings.scrape_file.read_text()
    site.settings.scrape_file.write_text(good + "- job_nam: x\n")
    for _ in range(200):
        text = words(site.client.get("/targets/").text)
        if "faults" in text:
            break
        threading.Event().wait(0.05)
    assert "scrape.yml:13: " in text
    assert "All 2 up 1" in text
    site.settings.scrape_file.write_text(good)


def test_the_worst_metrics_labels_and_senders(site):
    sent = [({"__name__": "visits", "path": f"/p/{n}", "page": "x"}, [(now_ms(), 1.0)]) for n in range(15)]
    site.receiver.remote_write(
        snap(write_request(sent)), "application/x-protobuf", "snappy", Caller("token:7", False)
    )  # fmt: skip
    text = words(site.client.get("/cardinality/").text)
    assert re.search(r"visits Series 12 path 12 New in an hour 12 New in a day 12", text)
    assert re.search(r"hits Series 12 id 12", text)
    assert "scrape:node Series 18" in text
    assert re.search(r"visits token:7 path=/p/12,page=x|visits token:7 page=x,path=/p/12 Times 3", text)
    assert "ingest.max_metric_series" in text


def test_who_sees_some_rows_is_told_of_those_alone(site):
    site.matchers = parse_matchers('{job="failing"}')
    try:
        text = words(site.client.get("/cardinality/").text)
        assert "Refused" not in text
        assert "node" not in words(site.client.get("/targets/").text)
        data = site.client.get("/api/v1/targets").json()["data"]
        assert [one["scrapePool"] for one in data["activeTargets"]] == ["failing"]
        assert (data["droppedTargets"], data["droppedTargetCounts"]) == ([], {})
    finally:
        site.matchers = ()


@pytest.mark.parametrize(("role", "targets", "cardinality"), [
    ("viewer", False, False), ("analyst", False, True), ("operator", True, True), ("admin", True, True),
])  # fmt: skip
def test_who_may_open_them(role, targets, cardinality):
    assert policy.allowed(policy.MAIN, role, "GET", "/targets/") == targets
    assert policy.allowed(policy.MAIN, role, "GET", "/api/v1/targets") == targets
    assert policy.allowed(policy.MAIN, role, "GET", "/cardinality/") == cardinality
    assert not policy.allowed(policy.MAIN, role, "POST", "/targets/")


def test_without_a_scrape_file_the_page_says_what_to_do(settings):
    async def gated(scope, receive, send):
        app = Starlette(routes=target_routes(settings, lambda _: SimpleNamespace(matchers=())))
        await app({**scope, "state": {"person": Person("user:1", "admin", "owner")}}, receive, send)

    client = TestClient(gated)
    assert str(settings.scrape_file) in words(client.get("/targets/").text)
    assert client.get("/api/v1/targets").json()["data"]["activeTargets"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(site, scheme, width, tmp_path):
    need(AXE.exists(), "axe-core is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)

        def answer(route):
            found = site.client.get(route.request.url.removeprefix("http://workbench.test"))
            return route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

        page.route("http://workbench.test/**", answer)
        for name in ("targets", "cardinality"):
            page.goto(f"http://workbench.test/{name}/")
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", TAGS)
            assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], name
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            page.screenshot(path=f"{tmp_path}/{name}-{width}-{scheme}.png")
        browser.close()
