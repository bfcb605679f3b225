"""The drill-down in a browser: what an operator does, at 1440 and at 390 pixels, and as axe sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest

from tests.conftest import need
from tests.show.ops_site import HOSTILE, Site, site
from tests.show.test_browser import ARGUMENTS, AXE_TAGS, CHROMIUM
from workbench import config
from workbench.serve.identity.people import Person
from workbench.show import build

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

WIDTHS = (1440, 390)


@pytest.fixture(scope="module")
def operations(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    with site(config.load(home, environ={}), tmp_path_factory.mktemp("s"), sessions_max=40) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    need(Path(CHROMIUM).exists(), "Chromium is not installed")
    with playwright.sync_playwright() as engine:
        found = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


def opened(browser: playwright.Browser, at: Site, query: str = "", width: int = 1440) -> playwright.Page:
    """A page that is drawn; its complaints, requests to elsewhere among them, gather in `page.complaints`."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, base_url=at.url, has_touch=width < 500, is_mobile=width < 500
    )
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda said: said.type in ("error", "warning") and page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith(at.url) or page.complaints.append(asked.url))
    page.goto(f"/ops/{query}")
    expect(page.locator("body[data-drawn=true]")).to_be_attached(timeout=30_000)
    return page


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: playwright.Browser, operations: Site) -> Iterator[playwright.Page]:
    found = opened(browser, operations, width=request.param)
    yield found
    found.context.close()
    assert found.complaints == []


@pytest.fixture
def wide(browser: playwright.Browser, operations: Site) -> Iterator[playwright.Page]:
    found = opened(browser, operations)
    yield found
    found.context.close()
    assert found.complaints == []


def state(page: playwright.Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def settled(page: playwright.Page) -> None:
    expect(page.locator("#charts")).not_to_have_attribute("aria-busy", "true", timeout=15_000)


def brush(page: playwright.Page, place: int, start: float, end: float) -> None:
    """Drag over a chart, from one share of its width to another."""
    plot = page.locator(f".tile[data-place='{place}'] .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (start + end) / 2, y)
    page.mouse.move(box["x"] + box["width"] * end, y)
    page.mouse.up()


def test_charts_words_and_movers_are_there_and_nothing_comes_from_elsewhere(page: playwright.Page) -> None:
    expect(page.locator("#live-text")).to_have_text("Live")
    expect(page.locator("#section-title")).to_have_text("Traffic")
    painted = page.evaluate(
        """() => [...document.querySelectorAll('.tile.chart .plot')].map((plot) => {
            const found = [], look = (node) => {
                if (node.tagName === 'CANVAS') found.push(node);
                for (const child of [...(node.shadowRoot?.children ?? []), ...node.children]) look(child);
            };
            look(plot);
            const pixels = (c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            return found.some((c) => c.width && pixels(c).some(Boolean));
        })"""
    )
    assert painted == [True] * 6
    expect(page.locator("#movers tbody tr").first.locator("th")).to_have_text("/slow")
    expect(page.locator("#movers tbody tr").first).to_contain_text("more")
    expect(page.locator("#alerts")).to_contain_text("SlowRequests")
    expect(page.locator("nav[aria-label=Main] [aria-current=page]")).to_have_text("Operations")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_brushed_window_moves_all_charts_and_the_address(wide: playwright.Page) -> None:
    brush(wide, 0, 0.5, 0.7)
    expect(wide.locator("#live-text")).to_have_text("Fixed window")
    expect(wide).to_have_url(re.compile("from=.*to="))
    settled(wide)
    ranges = wide.evaluate(
        "() => [0, 3, 5].map((n) => Bokeh.documents[0].get_model_by_name(`chart-${n}`).x_range)"
        ".map(({start, end}) => [start, end])"
    )
    assert ranges[0] == ranges[1] == ranges[2]
    minutes = (ranges[0][1] - ranges[0][0]) / 60_000
    assert 8 < minutes < 20
    first = state(wide)["from"]
    wide.get_by_role("button", name="Zoom out").click()
    expect(wide).not_to_have_url(re.compile(re.escape(first[0].replace(":", "%3A"))))
    wide.go_back()
    expect(wide).to_have_url(re.compile(re.escape(first[0].replace(":", "%3A"))))
    wide.get_by_role("button", name="Back to now").click()
    expect(wide.locator("#live-text")).to_have_text("Live")
    expect(wide).not_to_have_url(re.compile("from="))


def test_a_pick_filters_every_chart_that_knows_the_label(page: playwright.Page) -> None:
    if page.viewport_size["width"] < 900:
        expect(page.locator("#drawer")).not_to_have_attribute("open", "")
        page.locator("#drawer > summary").click()
    host = page.locator("[data-facet=host_name]")
    expect(host.get_by_text("gamma")).to_be_visible()
    page.locator("[data-facet=http_route]").get_by_label("/slow").check()
    expect(page).to_have_url(re.compile("http_route=%2Fslow"))
    settled(page)
    expect(page.locator("#under-2 .legend li")).to_have_count(1)
    expect(page.locator("#under-2 .legend")).to_contain_text("/slow")
    expect(page.locator("#under-4")).to_contain_text("Not filtered by route")
    # The counts of the other facets follow: only the host with that route has series of it.
    expect(page.locator("#picked")).to_have_text(" (1 chosen)")
    expect(page.locator("[data-facet=http_route] .pick .count").first).not_to_have_text("0 series")
    page.locator("[data-facet=http_route]").get_by_role("button", name="All of Route").click()
    expect(page).not_to_have_url(re.compile("http_route"))


def test_a_name_in_a_legend_is_a_filter_and_a_mover_leads_to_its_chart(wide: playwright.Page) -> None:
    wide.locator("#under-3").get_by_role("button", name="/fast").click()
    expect(wide).to_have_url(re.compile("http_route=%2Ffast"))
    expect(wide.get_by_label("/fast")).to_be_checked()
    wide.locator("[data-facet=http_route]").get_by_role("button", name="All of Route").click()
    wide.locator("#movers a", has_text="/slow").first.click()
    expect(wide).to_have_url(re.compile("section=traffic.*http_route=%2Fslow"))


def test_the_comparison_says_what_differs(wide: playwright.Page) -> None:
    expect(wide.locator("#d-2")).to_have_text(re.compile(r"^/slow: .* more than in the hour before \(100 ms\)\.$"))
    wide.locator("#compare").select_option("off")
    expect(wide.locator("#d-2")).to_have_text("")
    expect(wide.locator("#movers")).to_contain_text("Choose something to compare with")
    assert state(wide)["compare"] == ["off"]


def test_an_address_shows_a_colleague_the_same(browser: playwright.Browser, operations: Site) -> None:
    query = "?section=content&range=1h&compare=off&synth_domain=arts"
    page = opened(browser, operations, query)
    expect(page.locator("#section-title")).to_have_text("Content")
    expect(page.locator("[data-facet=synth_domain]").get_by_label("arts")).to_be_checked()
    expect(page.locator("#under-2 .legend li")).to_have_count(1)
    assert page.complaints == []
    page.context.close()


def test_every_chart_has_a_table_and_its_query(page: playwright.Page) -> None:
    page.locator("#under-0 summary").click()
    table = page.locator("#under-0 table")
    expect(table.locator("thead th")).to_have_text(["Time", "api_gateway"])
    expect(table.locator("tbody th").first).to_have_text("Mean")
    expect(table.locator("tbody th").nth(1)).to_have_text("Mean of the hour before")
    assert table.locator("tbody tr").count() > 10
    expect(page.locator("#under-0 code")).to_contain_text("http_server_request_duration_seconds_count")


def test_an_operator_downloads_a_chart_as_a_notebook(wide: playwright.Page) -> None:
    with wide.expect_download() as awaited:
        wide.get_by_role("link", name="Notebook of Mean response time by route, download").click()
    notebook = nbformat.read(awaited.value.path(), as_version=4)
    nbformat.validate(notebook)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    told: dict[str, object] = {}
    exec(parameters.source, told)
    assert told["title"] == "Mean response time by route"
    assert "http_route" in told["exprs"][0]  # type: ignore[index]
    assert told["step_seconds"] == 10


def test_an_analyst_opens_a_chart_in_jupyterlab(browser: playwright.Browser, operations: Site) -> None:
    operations.person = Person("user:7", "analyst")
    try:
        page = opened(browser, operations, "?range=15m&http_route=/slow")
        with page.context.expect_page() as lab:
            page.get_by_role("button", name="Open as notebook of Items waiting by queue").click()
        expect(lab.value).to_have_url(re.compile(r"/ops/\?section=users"), timeout=15_000)
        ((name, notebook),) = operations.kept.items()
        assert re.fullmatch(r"queues-\d{8}-\d{6}", name)
        assert nbformat.reads(notebook.decode(), as_version=4).cells[0].source.startswith("# Items waiting by queue")
        page.context.close()
    finally:
        operations.person = Person("user:1", "operator")


def test_a_query_of_ones_own_is_drawn_filtered_and_explained_where_it_is_wrong(page: playwright.Page) -> None:
    page.locator("#under-4").get_by_role("link", name="Explore").click()
    expect(page.locator("#section-title")).to_have_text("Explore")
    expect(page.get_by_label("PromQL")).to_have_value("sum by (synth_queue) (synth_queue_depth)")
    expect(page.locator("#under-0 .legend li")).to_have_count(2)
    page.get_by_label("PromQL").fill("http_server_request_duration_seconds_count{")
    page.get_by_role("button", name="Draw").click()
    expect(page.locator("#under-0 .error")).to_contain_text("unclosed left brace")
    page.get_by_label("PromQL").fill("max by (http_route, host_name) (http_server_request_duration_seconds_count)")
    page.get_by_label("PromQL").press("Enter")
    expect(page.locator("#under-0 .legend li")).to_have_count(3)
    page.locator("#under-0 .legend").get_by_role("button", name="host_name=alpha, http_route=/fast").click()
    expect(page.locator("#under-0 .legend li")).to_have_count(3)
    expect(page).to_have_url(re.compile("host_name=alpha"))
    assert page.locator("#metrics option[value=synth_queue_depth]").count() == 1
    page.reload()
    expect(page.locator("#under-0 .legend li")).to_have_count(3, timeout=20_000)


def test_hostile_labels_are_words(wide: playwright.Page) -> None:
    expect(wide.locator("#under-3")).to_contain_text("</script><img src=x")
    wide.locator("[data-facet=http_route]").get_by_label(HOSTILE).check()
    settled(wide)
    expect(wide.locator("#under-3 .legend li")).to_have_count(1)
    expect(wide.locator("#alerts")).to_contain_text("onerror")
    assert wide.title() == "Operations · workbench"
    assert wide.locator("img").count() == 0


def test_it_moves_by_itself_and_can_be_paused(wide: playwright.Page) -> None:
    cell = wide.locator("#under-4 .legend .v").first
    before = cell.text_content() or ""
    wide.locator("#under-4 summary").focus()
    expect(cell).not_to_have_text(before, timeout=40_000)
    # What has the focus keeps it: the words around it are changed, not replaced.
    assert wide.evaluate("document.activeElement.matches('#under-4 summary')")
    wide.get_by_role("button", name="Pause").click()
    expect(wide.locator("#live-text")).to_have_text("Paused")


def test_the_query_of_a_chart_can_be_copied(wide: playwright.Page) -> None:
    wide.context.grant_permissions(["clipboard-read", "clipboard-write"])
    wide.get_by_role("button", name="Copy PromQL of Items waiting by queue").click()
    expect(wide.locator("#announcer")).to_have_text("Copied.")
    assert wide.evaluate("navigator.clipboard.readText()") == "sum by (synth_queue) (synth_queue_depth)"


def test_a_page_that_lost_its_connection_says_so_and_comes_back_as_it_was(
    browser: playwright.Browser, operations: Site
) -> None:
    page = opened(browser, operations, "?section=content&compare=off")
    operations.drop_connections()
    expect(page.locator("#live-text")).to_have_text("Connection lost")
    expect(page.locator("#live-text")).to_have_text("Live", timeout=30_000)
    expect(page.locator("#section-title")).to_have_text("Content")
    page.context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_no_violation(browser: playwright.Browser, operations: Site, scheme: str, width: int) -> None:
    axe = build.WEB / "node_modules" / "axe-core" / "axe.min.js"
    need(axe.exists(), "axe-core is not installed")
    page = opened(browser, operations, width=width)
    page.emulate_media(color_scheme=scheme)
    page.locator("#under-0 summary").click()
    if width < 900:
        page.locator("#drawer > summary").click()
    expect(page.locator("#under-0 table")).to_be_visible()
    # The policy of the page forbids injected scripts; what the debugger evaluates is not bound by it.
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", AXE_TAGS)
    assert [(rule["id"], [node["html"][:160] for node in rule["nodes"]][:3]) for rule in found["violations"]] == []
    page.context.close()
