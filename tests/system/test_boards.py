"""A board in a browser, whole: its snapshot with live numbers, its session with controls, and what neither can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from system.conftest import Workbench, wait_for
from tests.conftest import need
from workbench import config
from workbench.report import get_snapshot, render_snapshot
from workbench.show import build

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
SOURCE = """
from datetime import date
import ipywidgets, numpy as np, workbench
from IPython.display import display
from workbench.analyze import outlook
from workbench.report import Kpi, Live, daily_chart, facts, heading, kpis
wb = workbench.open(home or None, version=lake_version or None)
daily = np.tile(np.arange(1.0, 8.0), 6)
display(heading("Toy", "A board for tests.", level=1))
display(kpis([Kpi("CPU", f"{len(wb.metrics())} metrics", daily, "at most 1", True, "as before",
                  Live("now", '1 - avg(system_cpu_utilization_ratio{cpu_mode="idle"})', "ratio"), simulated=True)]))
display(facts(["Nothing changed."]))
display(daily_chart("Sales a day", date(2026, 10, 1), daily, lambda v: f"{v:.0f}", summary="Up and down.",
                    ahead=outlook(daily, 7), goal=4.0))
slider = ipywidgets.IntSlider(3, description="Price")
answer = ipywidgets.HTML("answer 3")
slider.observe(lambda change: setattr(answer, "value", f"answer {change.new}"), "value")
display(ipywidgets.VBox([slider, answer]))
"""


@pytest.fixture(scope="module")
def settings(workbench: Workbench) -> config.Settings:
    """The settings of a running workbench with a board that has a snapshot."""
    made = nbformat.v4.new_notebook(metadata={"workbench": {"title": "Toy", "interactive": True}})
    made.cells = [nbformat.v4.new_code_cell(text) for text in ('home = ""\nlake_version = ""', SOURCE)]
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, workbench.home / "dashboards" / "toy.ipynb")
    token = workbench.token("viewer")
    wait_for(lambda: workbench.query("system_cpu_utilization_ratio", token), "this host is measured", 60)
    found = config.load(workbench.home, environ={})
    render_snapshot("toy", settings=found)
    return found


@pytest.fixture(scope="module")
def context(workbench: Workbench, settings: config.Settings) -> Iterator[Any]:
    """A browser that is signed in."""
    need(Path(CHROMIUM).exists(), "Chromium is not installed")
    link = re.search(r"http://\S+/signin#\S+", workbench.command("open").stdout)
    assert link is not None
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        made = browser.new_context(base_url=link.group().split("/signin")[0])
        page = made.new_page()
        page.goto(link.group())
        page.wait_for_url("**/live/**")
        page.close()
        yield made
        browser.close()


@pytest.fixture
def page(context: Any, workbench: Workbench) -> Iterator[Any]:
    """A page; ends with the demand that no other host was asked."""
    status = workbench.status()
    own = tuple(status[name].rstrip("/") for name in ("url", "notebook_url"))
    foreign: list[str] = []
    found = context.new_page()
    found.on("request", lambda request: request.url.startswith((*own, "data:", "blob:")) or foreign.append(request.url))
    yield found
    found.close()
    assert foreign == []


def violations(frame: Any) -> list[Any]:
    axe = build.WEB / "node_modules" / "axe-core" / "axe.min.js"
    need(axe.exists(), "axe-core is not installed")
    frame.evaluate(axe.read_text(encoding="utf-8"))
    found = frame.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", AXE_TAGS)
    return [(rule["id"], [node["html"][:160] for node in rule["nodes"]][:3]) for rule in found["violations"]]


def board_frame(page: Any) -> Any:
    page.frame_locator("iframe.board").locator("figure.chart").wait_for()
    return next(frame for frame in page.frames if "/snapshots/" in frame.url)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_board_is_whole_alive_and_fits(page, width: int, scheme: str):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/boards/")
    assert violations(page) == []
    page.get_by_role("link", name="Toy").click()
    frame = board_frame(page)
    number = page.frame_locator("iframe.board").locator("[data-live]")
    expect(number).to_have_text(re.compile(r"[\d.]+ %"), timeout=20_000)
    expect(page.locator("#board-live")).to_contain_text("Live", timeout=20_000)
    expect(page.locator("#board-age")).to_have_text(re.compile("ago|just now"))
    # The frame is as high as what it shows, and nothing is wider than the screen.
    inside = frame.evaluate("document.body.scrollHeight")
    assert abs(page.locator("iframe.board").bounding_box()["height"] - inside) <= 4
    for one in (page, frame):
        assert one.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert violations(one) == []


def test_a_new_snapshot_takes_the_place_of_the_one_that_is_read(page, settings):
    page.goto("/boards/toy")
    board_frame(page)
    before = get_snapshot("toy", settings=settings).executed_us
    render_snapshot("toy", settings=settings)
    after = get_snapshot("toy", settings=settings).executed_us
    assert after > before
    with page.expect_navigation(timeout=60_000):
        page.evaluate("document.visibilityState")
    assert f'"made":{after / 1e6:.3f}'[:18] in page.content()


HOSTILE = "<body><p id='x'>hostile</p><figure class='chart'></figure><script>document.body.dataset.ran = 'yes'</script>"
REACHES = """async ([main, notebooks]) => {
  const tried = {};
  const attempt = async (name, what) => {
    try { tried[name] = String(await what()); } catch (error) { tried[name] = 'refused'; }
  };
  const ask = (url) => fetch(url, {credentials: 'include'}).then((answer) => answer.text());
  await attempt('parent', () => parent.document.title);
  await attempt('cookie', () => document.cookie);
  await attempt('storage', () => localStorage.length);
  await attempt('main', () => ask(main + '/api/v1/query?query=up'));
  await attempt('lab', () => ask(notebooks + '/lab/api/kernels'));
  await attempt('elsewhere', () => ask('http://127.0.0.1:9/'));
  await attempt('socket', () => new Promise((done, fail) => {
    const socket = new WebSocket(notebooks.replace('http', 'ws') + '/lab/api/events/subscribe');
    socket.onopen = done; socket.onerror = fail;
  }));
  await attempt('window', () => { if (!open(notebooks + '/lab/')) throw new Error(); });
  await attempt('frame', () => new Promise((done, fail) => {
    const frame = document.createElement('iframe');
    frame.src = notebooks + '/reports/'; frame.onload = () => done(frame.contentDocument.title);
    document.body.append(frame); setTimeout(fail, 3000);
  }));
  return tried;
}"""


def test_what_a_hostile_notebook_puts_into_a_snapshot_neither_runs_nor_reaches_anything(page, settings, workbench):
    # As if the cleaning had failed altogether: the file itself is hostile.
    snapshot = get_snapshot("toy", settings=settings)
    good = snapshot.page.read_text()
    snapshot.page.write_text(HOSTILE)
    try:
        page.goto("/boards/toy")
        page.frame_locator("iframe.board").locator("#x").wait_for()
        frame = next(frame for frame in page.frames if "/snapshots/" in frame.url)
        assert frame.evaluate("document.body.dataset.ran") is None
        assert frame.evaluate("self.origin") == "null"
        # And as if it ran nevertheless: what the debugger evaluates is not bound by the policy of scripts.
        status = workbench.status()
        origins = [status[name].rstrip("/") for name in ("url", "notebook_url")]
        assert set(frame.evaluate(REACHES, origins).values()) == {"refused"}
    finally:
        snapshot.page.write_text(good)


@pytest.mark.parametrize("width", [1440, 390])
def test_a_session_has_controls_that_answer_and_can_reach_nothing_else(page, workbench, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/boards/toy")
    page.get_by_role("link", name="Interact").click()
    page.wait_for_url("**/boards/voila/render/toy.ipynb?seat=*", timeout=90_000)
    handle = page.locator(".noUi-handle").first
    handle.wait_for(timeout=90_000)
    expect(page.locator(".widget-html")).to_have_text("answer 3")
    handle.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".widget-html")).to_have_text("answer 4", timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert violations(page) == []
    status = workbench.status()
    origins = [status[name].rstrip("/") for name in ("url", "notebook_url")]
    reached = page.evaluate(REACHES, origins)
    assert {name: reached[name] for name in ("main", "lab", "elsewhere", "socket", "window", "frame")} == dict.fromkeys(
        ("main", "lab", "elsewhere", "socket", "window", "frame"), "refused"
    )
    assert "workbench_" not in reached["cookie"]
