"""Data quality at work: looked at, kept as samples and with the rows, shown to whom it concerns."""

from __future__ import annotations

import time

import pytest
from conftest import need
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.store.conftest import sample_batch
from workbench import cli
from workbench.query import instant
from workbench.serve.access.rows import Rows
from workbench.serve.pages.quality_pages import quality_routes
from workbench.serve.quality.declarations import quality_files, read_checks
from workbench.serve.quality.looking import keep, look, record
from workbench.show import build
from workbench.show.assets import static_file
from workbench.store import Identity, open_view, open_writer, state

BASKET = Identity("prometheus", "basket", "gauge", "", "", (), (("till", "<b>1"),))
CHECKS = """
source: shop
checks:
  - {name: baskets, about: Baskets hold something., metric: basket, range: {low: 0, high: 9}, fresh_seconds: 60}
  - {name: nobody, metric: never_sent, fresh_seconds: 1}
"""


@pytest.fixture
def shop(settings):
    """A home with a series out of range, its check, and a file of checks with faults."""
    now_us = time.time_ns() // 1000
    with open_writer(settings) as writer:
        (series,) = writer.register([(BASKET, "", "")], "token:1")
        writer.append({"samples": sample_batch([series] * 2, [now_us - 10**6, now_us], [3.0, 99.0])}).result()
    (settings.home / "quality").mkdir()
    (settings.home / "quality" / "shop.yaml").write_text(CHECKS)
    (settings.home / "quality" / "broken.yaml").write_text("checks: {")
    return settings


class Person:
    role, id, name = "viewer", 1, "eve"


def client(settings, engine, matchers=()) -> TestClient:
    view = open_view(settings)
    made = Starlette(
        routes=[
            *quality_routes(settings, engine, lambda request: Rows(matchers, view, None)),
            Route("/static/{file}", static_file),
        ]
    )

    async def app(scope, receive, send):
        scope.setdefault("state", {})["person"] = Person()
        await made(scope, receive, send)

    return TestClient(app)


def test_a_look_is_kept_shown_and_leads_to_the_rows(shop):
    engine = state.engine(shop)
    now_us = time.time_ns() // 1000
    checks, faults = read_checks(quality_files(shop))
    assert [fault.split(":")[0] for fault in faults] == ["broken.yaml"]
    outcomes = [one for one in look(open_view(shop), checks, now_us, shop.query) if one.source == "shop"]
    assert [(one.name, one.kind, one.ok) for one in outcomes] == [
        ("baskets", "range", False), ("baskets", "freshness", True),
    ]  # fmt: skip
    assert "No result yet" in client(shop, engine).get("/data-quality/").text
    keep(engine, outcomes, now_us - 5_000_000)
    keep(engine, outcomes, now_us)
    with engine.connect() as connection:
        rows = connection.execute(state.quality_results.select()).all()
    assert {(row.changed_us, row.evaluated_us) for row in rows} == {(now_us - 5_000_000, now_us)}
    with open_writer(shop) as writer:
        record(writer, outcomes, now_us)
        found = instant(
            writer.view, 'last_over_time(workbench_quality_ok{source="shop"}[15m]) == 0', now_us, limits=shop.query
        )
    assert [dict(labels)["kind"] for labels in found.labels] == ["range"]

    page = client(shop, engine).get("/data-quality/").text
    assert "1 not met" in page
    assert "broken.yaml" in page
    assert "Baskets hold something." in page
    link = page.split('<a href="/data-quality/rows')[1].split('"')[0].replace("&amp;", "&")
    shown = client(shop, engine).get(f"/data-quality/rows{link}").text
    assert "is 99" in shown
    assert "till=&#34;&lt;b&gt;1&#34;" in shown
    assert "basket &gt; 9.0" in shown
    assert client(shop, engine).get("/data-quality/rows?source=x").status_code == 404
    engine.dispose()


def test_whoever_sees_only_some_rows_is_told_nothing(shop):
    engine = state.engine(shop)
    now_us = time.time_ns() // 1000
    keep(engine, look(open_view(shop), read_checks(quality_files(shop))[0], now_us, shop.query), now_us)
    limited = client(shop, engine, matchers=(("a", "=", "b"),))
    assert "basket" not in limited.get("/data-quality/").text
    assert limited.get("/data-quality/rows?source=shop&check=baskets&kind=range").status_code == 404
    engine.dispose()


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(shop, width):
    playwright = pytest.importorskip("playwright.sync_api")
    axe = build.WEB / "node_modules" / "axe-core" / "axe.min.js"
    need(axe.exists(), "axe-core is not installed")
    engine = state.engine(shop)
    now_us = time.time_ns() // 1000
    keep(engine, look(open_view(shop), read_checks(quality_files(shop))[0], now_us, shop.query), now_us)
    site = client(shop, engine)

    def answer(route):
        found = site.get(route.request.url.removeprefix("http://workbench.test"))
        return route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except playwright.Error as error:
            need(False, f"Chromium does not start: {error}")
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.route("**/*", answer)
            for path in ("/data-quality/", "/data-quality/rows?source=shop&check=baskets&kind=range"):
                page.goto(f"http://workbench.test{path}")
                page.evaluate(axe.read_text(encoding="utf-8"))
                tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
                found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", tags)
                assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], path
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        browser.close()
    engine.dispose()


def test_the_commands(shop, capsys):
    code = cli.main(["quality", "run", "--home", str(shop.home)])
    out = capsys.readouterr().out
    assert code == 1
    assert "FAIL  shop  baskets  range: 1 samples out of 0 to 9 (2 looked at)" in out
    assert cli.main(["quality", "check", str(shop.home / "quality" / "shop.yaml")]) == 0
    assert cli.main(["quality", "check", str(shop.home / "quality" / "broken.yaml")]) == 2


def test_our_own_files_have_no_faults(settings):
    checks, faults = read_checks(quality_files(settings))
    assert faults == []
    assert len(checks) >= 6
