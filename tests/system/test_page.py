"""The overview as a person finds it: sign in by the link, and this host's data moves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import need
from playwright.sync_api import Browser, Page, sync_playwright

from system.conftest import Workbench, request, wait_for

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need(CHROMIUM.exists(), "Chromium (Debian package `chromium`)")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield made
        made.close()


def link(workbench: Workbench) -> str:
    return re.search(r"http://\S+/signin#\S+", workbench.command("open").stdout).group()


@pytest.fixture(params=[1440, 390], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, workbench: Workbench) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    made = context.new_page()
    made.hosts = set()
    made.faults = []
    made.on("request", lambda sent: made.hosts.add(sent.url.split("/")[2]))
    made.on("console", lambda message: message.type == "error" and made.faults.append(message.text))
    made.on("pageerror", lambda error: made.faults.append(str(error)))
    made.goto(link(workbench))
    made.wait_for_url("**/live/overview*")
    yield made
    context.close()


def test_signing_in_shows_this_host_live(page: Page, workbench: Workbench):
    page.wait_for_selector(".uplot canvas", timeout=30_000)
    assert page.locator("h1").count() == 1
    # A figure of this host changes by itself, without a reload.
    before = page.locator("main").inner_text()
    page.wait_for_function("before => document.querySelector('main').innerText !== before", arg=before, timeout=15_000)
    assert page.hosts == {workbench.status()["url"].split("/")[2]}, "the page asks another host"
    assert page.faults == []


def test_nothing_sticks_out_sideways(page: Page):
    page.wait_for_selector(".uplot canvas", timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_everything_is_reached_by_keyboard(page: Page):
    page.wait_for_selector(".uplot canvas", timeout=30_000)
    page.keyboard.press("Tab")
    assert "main" in (page.evaluate("document.activeElement.getAttribute('href')") or ""), (
        "the first stop skips to the content"
    )
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.getAttribute('role') || '')")
        )
    assert any(stop.startswith("A ") for stop in reached)
    assert any(stop.startswith(("SELECT", "INPUT", "BUTTON")) for stop in reached)
    assert any("img" in stop or "application" in stop or "group" in stop or "slider" in stop for stop in reached), (
        reached
    )


def test_a_link_signs_in_once(workbench: Workbench, browser: Browser):
    address = link(workbench)
    first = browser.new_context().new_page()
    first.goto(address)
    first.wait_for_url("**/live/overview*")
    second = browser.new_context().new_page()
    second.goto(address)
    second.wait_for_timeout(1000)
    assert "/live/overview" not in second.url
    assert "workbench open" in second.locator("body").inner_text()


def test_data_is_drawn_within_seconds_of_being_measured(workbench: Workbench):
    token = workbench.token("viewer")
    found = wait_for(
        lambda: workbench.query("time() - timestamp(system_cpu_load_average_1m) < 5", token), "fresh samples", 60
    )
    assert found
    status, _ = request(workbench.status()["url"].rstrip("/") + "/live/overview/data", token=token)
    assert status == 200
