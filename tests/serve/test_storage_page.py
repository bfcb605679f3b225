"""The page of storage: tables, what goes next, holds and faults; and as axe sees it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from conftest import need
from playwright import sync_api as playwright
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from store.conftest import identity, sample_batch

from serve.test_target_pages import AXE, TAGS
from workbench.serve.identity.people import Person
from workbench.serve.pages.storage_page import size_text, storage_routes
from workbench.serve.pages.target_pages import target_routes
from workbench.show.assets import static_file
from workbench.store import Lake, open_writer, state, update_rollups

DAY_US = 86_400_000_000
RULES = """
[[lifecycle]]
name = "cold"
archive = "/mnt/slow/workbench"
archive_after_days = 7

[[lifecycle]]
name = "case 17"
metric = "billing_*"
hold = "court case 17"
"""


@pytest.fixture
def client(settings):
    now_us = time.time_ns() // 1000
    with open_writer(settings) as writer:
        ids = writer.register([(identity(name), "", "") for name in ("node_load", "billing_sum")], "test")
        for number, age in enumerate((1, 9, 30)):
            times = [now_us - age * DAY_US + second * 1_000_000 for second in range(500)]
            batch = sample_batch([ids[number % 2]] * 500, times, [float(second) for second in range(500)])
            writer.load("history", number, {"samples": batch})
        writer.seal()
    update_rollups(Lake(settings), now_us)
    (settings.home / "workbench.toml").write_text(RULES)
    engine = state.engine(settings)
    pages = Starlette(
        routes=[
            *storage_routes(settings, engine),
            *target_routes(settings, lambda _: None),  # whose style sheet it has
            Route("/static/{file}", static_file),
        ]
    )

    async def gated(scope, receive, send):
        await pages({**scope, "state": {"person": Person("user:1", "admin", "owner")}}, receive, send)

    yield TestClient(gated)
    engine.dispose()


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.split("<main")[1]))


def test_it_shows_tables_what_goes_next_and_holds(client, settings):
    text = words(client.get("/storage/").text)
    assert "samples default goes Rows 500" in text
    assert "samples cold to the archive Rows 1,000" in text
    assert "case 17 samples billing_* court case 17" in text
    assert re.search(r"rollup_1h Size [\d.]+ kB Archived 0 B Rows 3 ", text)
    (settings.home / "workbench.toml").write_text('[[lifecycle]]\nname = "x"\nkeep_day = 3\n')
    text = words(client.get("/storage/").text)
    assert "Nothing goes until this is mended" in text
    assert "keep_day" in text
    assert "rollup_1d" in text


def test_sizes_are_for_people():
    assert [size_text(n) for n in (0, 999, 1234, 20_000_000_000)] == ["0 B", "999 B", "1.23 kB", "20 GB"]


def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(client, tmp_path):
    need(AXE.exists(), "axe-core is not installed")
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for width, scheme in ((1440, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)

            def answer(route):
                found = client.get(route.request.url.removeprefix("http://workbench.test"))
                return route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

            page.route("http://workbench.test/**", answer)
            page.goto("http://workbench.test/storage/")
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", TAGS)
            assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=folder / f"storage-{width}.png")
        browser.close()
