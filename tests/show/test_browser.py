"""The page in a browser: drawn without a complaint, alive, on a phone, by keyboard, and as axe sees it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import need
from tests.show.server import Served
from workbench.show import SHIPPED_DASHBOARDS, build, live, load_dashboard
from workbench.show.units import UNITS, format_age, format_value

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
CHARTS = sum(tile.kind == "timeseries" for tile in load_dashboard(SHIPPED_DASHBOARDS / "overview.yaml").tiles)


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    need(Path(CHROMIUM).exists(), "Chromium is not installed")
    with playwright.sync_playwright() as engine:
        found = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def page(browser: playwright.Browser, served: Served) -> Iterator[playwright.Page]:
    """The overview, drawn; ends with the demand that the console stayed empty and no other host was asked."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=served.url)
    complaints: list[str] = []
    found = context.new_page()
    found.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("request", lambda request: request.url.startswith(served.url) or complaints.append(request.url))
    found.goto("/live/overview")
    wait_drawn(found)
    yield found
    context.close()
    assert complaints == []


def wait_drawn(page: playwright.Page) -> None:
    expect(page.locator("[data-drawn] .u-over")).to_have_count(CHARTS, timeout=20_000)


def number_of_points(page: playwright.Page) -> int:
    page.locator("[data-tile=host_cpu] summary").click()
    return page.locator("[data-tile=host_cpu] tbody tr").count()


def test_every_chart_is_drawn_and_the_page_is_live(page: playwright.Page) -> None:
    expect(page.locator("#live-text")).to_have_text("Live")
    painted = page.evaluate(
        """() => [...document.querySelectorAll('canvas')].filter((canvas) => {
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return data.some((byte) => byte !== 0);
        }).length"""
    )
    assert painted == CHARTS
    assert page.locator(".sketch").count() == 0


def test_numbers_change_by_themselves(page: playwright.Page) -> None:
    cell = page.locator("[data-tile=host_network] .legend .v").first
    before = cell.text_content()
    expect(cell).not_to_have_text(before or "", timeout=15_000)


def test_live_updates_can_be_paused(page: playwright.Page) -> None:
    expect(page.locator("#live-text")).to_have_text("Live")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#live-text")).to_have_text(re.compile(r"^Paused, last data \d\d:\d\d:\d\d$"))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#live-text")).to_have_text("Live")


def test_the_cursor_moves_by_keyboard_and_is_spoken(page: playwright.Page) -> None:
    page.get_by_role("button", name="Pause").click()
    chart = page.locator("[data-tile=host_cpu]")
    surface = chart.locator("[data-plot]")
    surface.focus()
    spoken = page.locator("#announcer")
    page.keyboard.press("Home")
    expect(spoken).to_have_text(re.compile(r"^\d\d:\d\d:\d\d: iowait [\d.]+ %, steal "))
    first = spoken.text_content() or ""
    page.keyboard.press("ArrowRight")
    expect(spoken).not_to_have_text(first)
    # The crosshair and the values are those of the same moment on every chart.
    at = chart.get_attribute("data-at")
    assert at
    assert (spoken.text_content() or "").startswith(at)
    expect(page.locator("[data-tile=host_load]")).to_have_attribute("data-at", at)
    page.keyboard.press("Escape")
    expect(chart).to_have_attribute("data-at", "")
    page.keyboard.press("Tab")
    expect(surface).not_to_be_focused()


def test_a_filter_changes_the_address_and_back_undoes_it(page: playwright.Page) -> None:
    page.get_by_label("Time range").focus()
    page.get_by_label("Time range").select_option("1h")
    page.wait_for_url("**range=1h**")
    wait_drawn(page)
    expect(page.locator(".asof")).to_contain_text("last 1 hour")
    expect(page.get_by_label("Time range")).to_be_focused()
    page.get_by_label("Domain", exact=True).select_option("arts")
    page.wait_for_url("**domain=arts**")
    assert "range=1h" in page.url
    page.go_back()
    expect(page.get_by_label("Domain", exact=True)).to_have_value("")
    page.go_back()
    expect(page.get_by_label("Time range")).to_have_value("15m")


def test_a_brushed_span_becomes_from_and_to(page: playwright.Page) -> None:
    area = page.locator("[data-tile=host_cpu] .u-over")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=**to=**")
    wait_drawn(page)
    start, end = (
        datetime.fromisoformat(page.get_by_label(name).input_value()).replace(tzinfo=UTC)
        for name in ("From (UTC)", "To (UTC)")
    )
    assert 240 < (end - start).total_seconds() < 310
    expect(page.locator("#live")).to_be_hidden()


def test_earlier_and_back_to_now_walk_through_time(page: playwright.Page) -> None:
    page.get_by_role("link", name="Earlier").click()
    page.wait_for_url("**from=**")
    wait_drawn(page)
    expect(page.locator("[data-tile=host_cpu_now] [data-age]")).to_have_text(re.compile(r"^at \d{4}-"))
    page.get_by_role("link", name="Back to now").click()
    page.wait_for_url(lambda url: "from=" not in url)
    expect(page.locator("#live-text")).to_have_text("Live")


def test_a_lost_connection_is_told_in_words_and_mended(browser: playwright.Browser, served: Served) -> None:
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/live/overview")
    words = page.locator("#live-text")
    expect(words).to_have_text("Live", timeout=20_000)
    served.stop()
    expect(words).to_have_text(re.compile(r"^Connection lost, last data \d\d:\d\d:\d\d$"), timeout=20_000)
    expect(page.locator("#announcer")).to_have_text(re.compile("^Connection lost"))
    # Numbers stay, and say that they grow old.
    expect(page.locator("[data-tile=host_cpu_now] [data-age]")).to_have_text(re.compile(r"^\d+ s ago$"), timeout=20_000)
    served.start()
    expect(words).to_have_text("Live", timeout=40_000)
    expect(page.locator("[data-tile=host_cpu_now] [data-age]")).to_have_text("just now")
    context.close()


def test_the_data_table_follows_the_chart(page: playwright.Page) -> None:
    assert 10 <= number_of_points(page) <= 13
    headings = page.locator("[data-tile=host_cpu] thead th").all_text_contents()
    assert headings == ["Time", "iowait", "steal", "system", "user"]


def test_no_width_makes_the_page_scroll_sideways(page: playwright.Page) -> None:
    page.locator("[data-tile=host_cpu] summary").click()
    inside = (
        "[...document.querySelectorAll('.u-wrap')].every((plot) => plot.getBoundingClientRect().right <= innerWidth)"
    )
    for width in (240, 320, 390, 768):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))")
        assert page.evaluate(inside)
        table = "document.querySelector('[data-tile=host_cpu] .scroll').getBoundingClientRect().right"
        assert page.evaluate(f"{table} < document.querySelector('[data-tile=host_cpu]').getBoundingClientRect().right")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_no_violation(page: playwright.Page, scheme: str, width: int) -> None:
    axe = build.WEB / "node_modules" / "axe-core" / "axe.min.js"
    need(axe.exists(), "axe-core is not installed")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("[data-tile=host_cpu] summary").click()
    # The policy of the page forbids injected scripts; what the debugger evaluates is not bound by it.
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", AXE_TAGS)
    assert [(rule["id"], [node["html"][:160] for node in rule["nodes"]][:3]) for rule in found["violations"]] == []


def test_the_page_tells_its_numbers_without_script(browser: playwright.Browser, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=served.url)
    page = context.new_page()
    page.goto("/live/overview")
    assert re.fullmatch(r"[\d.]+ %", page.locator("[data-tile=host_cpu_now] [data-value]").text_content() or "")
    assert page.locator(".sketch").count() == CHARTS
    page.get_by_label("Time range").select_option("6h")
    page.get_by_role("button", name="Apply").click()
    assert "range=6h" in page.url
    expect(page.locator(".asof")).to_contain_text("last 6 hours")
    context.close()


def test_a_hidden_page_holds_no_stream(page: playwright.Page) -> None:
    expect(page.locator("#live-text")).to_have_text("Live")
    wait_for_streams(page, 1)
    hide = "Object.defineProperty(document, 'visibilityState', {value: '%s', configurable: true})"
    page.evaluate(hide % "hidden")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_for_streams(page, 0)
    page.evaluate(hide % "visible")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_for_streams(page, 1)
    expect(page.locator("#live-text")).to_have_text("Live")


def wait_for_streams(page: playwright.Page, count: int) -> None:
    """Until the server holds just so many open streams, for twenty seconds at most."""
    for _ in range(400):
        if live.VIEWERS._value.get() == count:
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{live.VIEWERS._value.get()} streams are open, not {count}")


def test_ten_tabs_share_one_stream(browser: playwright.Browser, served: Served) -> None:
    context = browser.new_context(base_url=served.url)
    tabs = [context.new_page() for _ in range(10)]
    for tab in tabs:
        tab.goto("/live/overview")
    for tab in tabs:
        tab.bring_to_front()
        expect(tab.locator("#live-text")).to_have_text("Live")
    assert live.VIEWERS._value.get() == 1
    context.close()


def test_the_browser_formats_numbers_as_the_server_does(built: None, tmp_path: Path) -> None:
    esbuild = build.WEB / "node_modules" / ".bin" / "esbuild"
    need(esbuild.exists(), "the libraries of the browser side are not installed")
    node = build.find_node()
    assert node is not None
    values = [
        0.0,
        1.0,
        -1.0,
        0.1,
        1e-7,
        0.00042,
        0.0999,
        0.5,
        1.005,
        9.994,
        9.996,
        12.34,
        99.94,
        99.96,
        119.9,
        120,
        1023.9,
        1024,
    ]
    values += [9999.0, 10_000.4, 123_456.0, 7200.0, 5e6, 3.2e9, 1.5e13, -2048.4, 7.25e-5]
    ages = [None, -5, 0, 1_999_999, 2_000_000, 119_000_000, 120_000_000, 7_199_000_000, 7_200_000_000, 200_000_000_000]
    script = tmp_path / "check.mjs"
    subprocess.run(
        [
            esbuild,
            build.WEB / "src" / "units.ts",
            "--format=esm",
            f"--outfile={tmp_path / 'units.mjs'}",
            "--log-level=error",
        ],
        check=True,
    )
    script.write_text(
        "import { formatAge, formatValue } from './units.mjs';\n"
        "const [values, units, ages] = JSON.parse(process.argv[2]);\n"
        "const formatted = units.map((unit) => values.map((value) => formatValue(value, unit)));\n"
        "console.log(JSON.stringify([formatted, ages.map(formatAge)]));\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [node.node, script, json.dumps([values, UNITS, ages])], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    in_browser, ages_in_browser = json.loads(done.stdout)
    assert in_browser == [[format_value(value, unit) for value in values] for unit in UNITS]
    assert ages_in_browser == [format_age(age) for age in ages]
