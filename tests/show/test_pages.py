"""The light page over HTTP: numbers without script, hostile text, no foreign host, caching, sharing."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from tests.show.stage import Stage, result
from workbench.errors import QueryLimit, StoreError
from workbench.query import Result
from workbench.show import load_dashboard, routes
from workbench.show.assets import STATIC_DIR
from workbench.show.context import SHIPPED_DASHBOARDS
from workbench.show.filters import Filters
from workbench.show.page import CONTENT_SECURITY_POLICY, script_json
from workbench.show.snapshot import TICK_SERIES_MAX, Evaluator
from workbench.show.units import format_value

pytestmark = pytest.mark.anyio
PAGE = "/live/overview"
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--",
    "'\"&",
    "\u2028\u2029",
    "{{7*7}}",
    "x" * 10_240,
]


class Document(HTMLParser):
    """What a page consists of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._script = self._script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data
        else:
            self.words.append(data)

    @property
    def boot(self) -> dict[str, object]:
        return json.loads(next(script for script in self.scripts if script.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


async def test_home_leads_to_the_overview(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path == PAGE


async def test_numbers_and_charts_are_in_the_html(client: httpx.AsyncClient) -> None:
    answer = await client.get(PAGE)
    document = Document(answer.text)
    tiles = document.boot["snapshot"]["tiles"]
    words = " ".join(document.words)
    dashboard = load_dashboard(SHIPPED_DASHBOARDS / "overview.yaml")
    for tile in dashboard.tiles:
        assert tile.title in words
        if not tile.queries:
            continue
        data = tiles[tile.id]
        assert data["error"] == ""
        assert data["series"]
        assert all(series["last"] is not None for series in data["series"])
    assert format_value(tiles["host_cpu_now"]["series"][0]["last"], "ratio") in words
    charts = [tile for tile in dashboard.tiles if tile.kind == "timeseries"]
    assert len([attributes for attributes in document.all("svg") if attributes.get("class") == "sketch"]) == len(charts)
    assert len(document.all("table")) == len(charts)
    for chart in charts:
        assert tiles[chart.id]["summary"].startswith("Over 15 minutes.")
        assert tiles[chart.id]["summary"] in words


async def test_the_page_is_built_for_those_who_do_not_see_it(client: httpx.AsyncClient) -> None:
    document = Document((await client.get(PAGE)).text)
    assert [tag for tag, _ in document.tags if tag in ("main", "h1", "nav", "header")] == [
        "header",
        "nav",
        "main",
        "h1",
    ]
    assert document.tags[0] == ("html", {"lang": "en"})
    links = document.all("a")
    assert links[0] == {"class": "skip", "href": "#main"}
    labelled = {label["for"] for label in document.all("label")}
    controls = [c for tag in ("select", "input") for c in document.all(tag)]
    assert controls
    assert {control["id"] for control in controls} <= labelled
    form = document.all("form")[0]
    assert (form["method"], form["action"]) == ("get", PAGE)
    ids = [attributes["id"] for _, attributes in document.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


async def test_nothing_in_the_page_is_foreign_or_inline(client: httpx.AsyncClient, built: None) -> None:
    answer = await client.get(PAGE)
    document = Document(answer.text)
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    for tag, attributes in document.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "action", "data", "poster"):
            address = attributes.get(name)
            assert address is None or address.startswith(("/", "#")), address
            assert address is None or not address.startswith("//")
    assert not document.all("style")
    for script in document.all("script"):
        assert script.get("src") or script.get("type") == "application/json"
    for path in STATIC_DIR.glob("*.css"):
        css = path.read_text(encoding="utf-8")
        assert "@import" not in css
        assert not re.search(r"url\(\s*['\"]?(?!data:)", css)
    for path in STATIC_DIR.glob("*.js"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]{2,}", code)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_labels_stay_text(stage: Stage, client: httpx.AsyncClient, hostile: str) -> None:
    def answer(expr: str) -> Result | None:
        if "by (cpu_mode)" in expr:
            times = np.arange(1_795_503_610, 1_795_507_201, 10) * 1_000_000
            return result("matrix", [{"cpu_mode": hostile}], times, np.ones((1, len(times))))
        if "target_info" in expr:
            return result("vector", [{"job": hostile}], np.array([1]), np.ones((1, 1)))
        return None

    stage.answer = answer
    stage.alerts = [
        {"labels": {"alertname": hostile, "x": hostile}, "annotations": {"summary": hostile}, "state": "firing"}
    ]
    stage.notices = [hostile]
    before = Document((await client.get(PAGE)).text)
    after = Document(
        (
            await client.get(PAGE, params={"component": hostile, "domain": hostile, "range": hostile, "from": hostile})
        ).text
    )
    for document in (before, after):
        assert not [tag for tag, attributes in document.tags if tag == "img" or "onerror" in attributes]
        assert len([script for script in document.scripts if script.strip()]) == 1
        name = document.boot["snapshot"]["tiles"]["host_cpu"]["series"][0]["name"]
        assert name == (hostile.strip() or "value") or (name.endswith("…") and len(name) <= 120)
        assert "49" not in name


async def test_script_json_cannot_leave_its_element() -> None:
    text = script_json({"a": HOSTILE})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": HOSTILE}


async def test_filters_stand_in_the_form_the_queries_and_the_links(stage: Stage, client: httpx.AsyncClient) -> None:
    document = Document((await client.get(PAGE, params={"range": "6h", "component": "api_gateway"})).text)
    chosen = [attributes["value"] for attributes in document.all("option") if "selected" in attributes]
    assert chosen == ["6h", "api_gateway"]
    assert any('job=~"api_gateway"' in expr for expr in stage.asked)
    api = [str(link["href"]) for link in document.all("a") if str(link["href"]).startswith("/api/v1/query_range?")]
    assert any("api_gateway" in link for link in api)
    assert document.boot["snapshot"]["step"] == 60


async def test_unreadable_filters_are_told_on_the_page_and_refused_by_the_data(client: httpx.AsyncClient) -> None:
    page = await client.get(PAGE, params={"range": "soon"})
    assert page.status_code == 200
    assert "“soon” is not a time range" in page.text
    data = await client.get(f"{PAGE}/data", params={"range": "soon"})
    assert data.status_code == 400
    assert data.json()["error"] == "InputError"


async def test_a_fixed_span_is_shown_as_it_is(stage: Stage, client: httpx.AsyncClient) -> None:
    span = {"from": "2026-09-25T00:00:00", "to": "2026-11-24T00:00:00"}
    data = (await client.get(f"{PAGE}/data", params=span)).json()
    assert data["moving"] is False
    assert data["end"] - data["start"] == pytest.approx(60 * 86400, abs=data["step"])
    assert len(data["tiles"]["host_cpu"]["series"][0]["values"]) <= 401
    html = (await client.get(PAGE, params=span)).text
    assert "2026-09-25 00:00:00 to 2026-11-24 00:00:00 UTC" in html


async def test_a_moving_span_ends_with_the_present(stage: Stage, client: httpx.AsyncClient) -> None:
    data = (await client.get(f"{PAGE}/data", params={"range": "60d"})).json()
    for name, tile in data["tiles"].items():
        for series in tile["series"]:
            if "values" in series:
                assert len(series["values"]) == (data["end"] - data["start"]) / data["step"] + 2, name
                assert series["values"][-1] == series["last"]
    assert data["time"] > data["end"]


async def test_series_stand_in_the_order_of_the_queries_then_by_name(client: httpx.AsyncClient) -> None:
    tiles = (await client.get(f"{PAGE}/data")).json()["tiles"]
    assert [series["name"] for series in tiles["host_load"]["series"]] == ["1 min", "5 min", "15 min"]
    assert [series["name"] for series in tiles["host_cpu"]["series"]] == ["iowait", "steal", "system", "user"]


async def test_of_very_many_series_the_largest_are_shown(stage: Stage, client: httpx.AsyncClient) -> None:
    def answer(expr: str) -> Result | None:
        if "by (cpu_mode)" not in expr:
            return None
        times = np.array([1_795_507_200_000_000])
        return result("vector", [{"cpu_mode": f"m{n}"} for n in range(5000)], times, np.arange(5000.0)[:, None])

    stage.answer = answer
    context = stage.context()
    evaluator = Evaluator(context, load_dashboard(SHIPPED_DASHBOARDS / "overview.yaml"))
    tick = evaluator.tick(Filters(900), context.now_us())["tiles"]["host_cpu"]["values"]
    assert len(tick) == TICK_SERIES_MAX
    assert min(tick.values()) == 5000 - TICK_SERIES_MAX
    tile = evaluator.snapshot(Filters(900), context.now_us())["tiles"]["host_cpu"]
    assert [series["name"] for series in tile["series"]] == [f"m{n}" for n in range(4988, 5000)]
    assert tile["hidden"] == 4988
    assert set(tick) >= {series["key"] for series in tile["series"]}
    assert "4988 more not drawn" in (await client.get(PAGE)).text


async def test_a_tile_that_fails_says_why_and_the_others_do_not_suffer(stage: Stage, client: httpx.AsyncClient) -> None:
    def answer(expr: str) -> None:
        if "system_memory_usage" in expr:
            raise QueryLimit("more than 50 million samples", hint="Choose a shorter range.")
        if "system_network_io" in expr:
            raise RuntimeError("internal detail")

    stage.answer = answer
    data = (await client.get(f"{PAGE}/data")).json()["tiles"]
    assert data["host_memory"]["error"] == "more than 50 million samples. Choose a shorter range."
    assert data["host_network"]["error"] == "The query failed: RuntimeError"
    assert data["host_cpu"]["series"]
    html = (await client.get(PAGE)).text
    assert "more than 50 million samples. Choose a shorter range." in html
    assert "internal detail" not in html


async def test_alerts_that_cannot_be_read_are_an_alert(stage: Stage) -> None:
    def broken() -> list[dict[str, object]]:
        raise StoreError("the state is locked")

    context = stage.context(alerts=broken)
    app = Starlette(routes=routes(lambda _: context))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        (alert,) = (await client.get(f"{PAGE}/data")).json()["alerts"]
    assert alert["severity"] == "critical"
    assert "the state is locked" in alert["summary"]


async def test_alerts_are_listed_the_gravest_first(stage: Stage, client: httpx.AsyncClient) -> None:
    def alert(name: str, severity: str, state: str, active_at: object) -> dict[str, object]:
        labels = {"alertname": name, "severity": severity}
        return {"labels": labels, "annotations": {}, "state": state, "activeAt": active_at}

    stage.alerts = [
        alert("Waiting", "critical", "pending", 1_795_507_200_000_000),
        alert("Small", "warning", "firing", "2026-11-24T08:00:00Z"),
        alert("Grave", "critical", "firing", None),
    ]
    found = (await client.get(f"{PAGE}/data")).json()["alerts"]
    assert [row["name"] for row in found] == ["Grave", "Small", "Waiting"]
    assert [row["since"] for row in found] == [None, 1_795_507_200.0, 1_795_507_200.0]


async def test_simulated_series_are_marked_and_the_host_is_not(client: httpx.AsyncClient) -> None:
    tiles = (await client.get(f"{PAGE}/data")).json()["tiles"]
    assert {name for name, tile in tiles.items() if name.startswith(("host", "own")) and tile["simulated"]} == set()
    assert all(tile["simulated"] for name, tile in tiles.items() if not name.startswith(("host", "own")))


async def test_every_tile_tells_its_age(client: httpx.AsyncClient) -> None:
    tiles = (await client.get(f"{PAGE}/data")).json()["tiles"]
    assert {tile["age"] for tile in tiles.values()} == {300_000}


async def test_twenty_visitors_at_once_cost_one_evaluation(stage: Stage, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get(PAGE) for _ in range(20)))
    assert len({answer.content for answer in answers}) == 1
    assert len(stage.calls) == len(set(stage.calls))


async def test_a_page_does_not_wait_for_a_slow_tile_and_its_data_follow_from_the_same_evaluation(
    stage: Stage, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def answer(expr: str) -> None:
        if "system_memory_usage" in expr:
            assert released.wait(30)

    stage.answer = answer
    monkeypatch.setattr("workbench.show.site.FIRST_PAINT_BUDGET_SECONDS", 0.3)
    html = (await client.get(PAGE)).text
    hasty = Document(html).boot["snapshot"]["tiles"]
    assert hasty["host_memory"]["pending"]
    assert not hasty["host_cpu_now"]["pending"]
    assert "Loading…" in html
    rest = asyncio.create_task(client.get(f"{PAGE}/data"))
    released.set()
    assert not any(tile["pending"] for tile in (await rest).json()["tiles"].values())
    assert len(stage.calls) == len(set(stage.calls))
    patient = (await client.get(PAGE, params={"wait": "1"})).text
    assert not any(tile["pending"] for tile in Document(patient).boot["snapshot"]["tiles"].values())


async def test_pages_and_data_are_compressed_where_the_client_takes_it(client: httpx.AsyncClient) -> None:
    for address in (PAGE, f"{PAGE}/data"):
        packed = await client.get(address, headers={"accept-encoding": "gzip"})
        plain = await client.get(address, headers={"accept-encoding": "gzip;q=0"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        assert int(packed.headers["content-length"]) < len(plain.content) / 2


async def test_unknown_and_faulty_dashboards_are_explained(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: Mine\nsection: []\n", encoding="utf-8")
    context = stage.context(dashboards_dirs=(tmp_path, SHIPPED_DASHBOARDS))
    app = Starlette(routes=routes(lambda _: context))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        absent = await client.get("/live/absent")
        assert absent.status_code == 404
        assert "mine, operations, overview" in absent.text
        faulty = await client.get("/live/mine")
        assert faulty.status_code == 500
        assert "line 2: unknown key &#39;section&#39;" in faulty.text
        assert (await client.get("/live/mine/data")).json()["error"] == "ConfigError"
        # A mended file is taken up without a restart.
        (tmp_path / "mine.yaml").write_text("title: Mine, mended\nsections: []\n", encoding="utf-8")
        assert "Mine, mended" in (await client.get("/live/mine")).text


async def test_own_dashboards_come_before_the_shipped_ones(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "overview.yaml").write_text("title: Ours\nsections: []\n", encoding="utf-8")
    context = stage.context(dashboards_dirs=(tmp_path, SHIPPED_DASHBOARDS))
    app = Starlette(routes=routes(lambda _: context))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        assert "<h1>Ours</h1>" in (await client.get(PAGE)).text


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.0, gzip;q=0.5", "gzip"),
        ("br;q=0.001", "br"),
        ("identity", None),
        ("", None),
    ],
)
async def test_built_files_are_cached_for_ever_in_the_best_encoding(
    built: None, client: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    document = Document((await client.get(PAGE)).text)
    address = str(document.all("script")[0]["src"])
    assert re.fullmatch(r"/static/main-[0-9a-f]{12}\.js", address)
    answer = await client.get(address, headers={"accept-encoding": accepted})
    assert answer.status_code == 200
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["manifest.json", "absent.js", "..%2fpage.py", "%2e%2e/page.py", "built-from"])
async def test_only_files_of_the_manifest_are_served(built: None, client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/static/{name}")).status_code == 404
