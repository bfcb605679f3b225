"""What the drill-down's server answers, and what it refuses, to whoever reaches its socket."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
import websockets
from bokeh.util.token import get_session_id
from websockets.sync.client import unix_connect

from tests.show.ops_site import HOSTILE, Site, site
from workbench import config

CALLER = {"X-Workbench-Person": "user:1", "X-Workbench-Role": "operator", "Host": "127.0.0.1:8766"}


@pytest.fixture(scope="module")
def operations(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    with site(config.load(home, environ={}), tmp_path_factory.mktemp("s"), sessions_max=40) as found:
        yield found


@pytest.fixture
def socket(operations: Site) -> Iterator[httpx.Client]:
    """Straight at the server's socket, as the front is."""
    transport = httpx.HTTPTransport(uds=str(operations.file))
    with httpx.Client(transport=transport, base_url="http://127.0.0.1:8766", headers=CALLER, timeout=60) as client:
        yield client


def token_of(page: str) -> str:
    """The session's token that a page carries."""
    boot = re.search(r'id="boot">(.*?)</script>', page, re.DOTALL)
    assert boot is not None
    return str(json.loads(boot[1])["item"]["token"])


def connects(at: Site, token: str, **changed: str) -> bool:
    """Whether a websocket with a token comes to stand."""
    headers = {**CALLER, "Origin": "http://127.0.0.1:8766", **changed}
    origin, host = headers.pop("Origin"), headers.pop("Host")
    try:
        with unix_connect(
            str(at.file),
            f"ws://{host}/ops/ws",
            origin=origin,  # type: ignore[arg-type]
            additional_headers=headers,
            subprotocols=["bokeh", token],  # type: ignore[list-item]
        ) as connection:
            connection.recv(timeout=60)
            return True
    except (websockets.WebSocketException, OSError):
        return False


def test_the_socket_is_its_owners_alone(operations: Site) -> None:
    assert operations.file.stat().st_mode & 0o777 == 0o600


def test_only_page_files_and_notebooks_are_open(socket: httpx.Client) -> None:
    page = socket.get("/ops/")
    assert page.status_code == 200
    style = re.search(r'href="(/ops/own/ops-\w+\.css)"', page.text)
    assert style is not None
    found = socket.get(style[1])
    assert found.status_code == 200
    assert "immutable" in found.headers["cache-control"]
    script = re.search(r'src="(/ops/static/js/bokeh[^"]+)"', page.text)
    assert script is not None
    assert "max-age" in socket.get(script[1]).headers["cache-control"]
    for path in ("/", "/admin", "/ops/admin", "/ops/metadata", "/ops/autoload.js", "/ops/rest/session_info", "/ops/x"):
        assert socket.get(path).status_code == 404, path
    for path in ("/ops/own/../ops.html", "/ops/own/manifest.json", "/ops/static/..%2f..%2fserver.py"):
        assert socket.get(path).status_code == 404, path
    assert socket.post("/ops/").status_code == 405


def test_a_document_may_load_nothing_from_elsewhere_and_run_no_text(socket: httpx.Client) -> None:
    page = socket.get("/ops/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == "'none'"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page.text)
    assert not re.search(r'(src|href)="https?://(?!127\.0\.0\.1)', page.text)


def test_a_session_is_never_taken_from_a_request(socket: httpx.Client) -> None:
    for given in ("bokeh-session-id=hacker", "bokeh_session_id=hacker", "Bokeh-Session-Id=x", "bokeh-token=x.y"):
        assert socket.get(f"/ops/?{given}").status_code == 403, given
    assert socket.get("/ops/", headers={"Bokeh-Session-Id": "hacker"}).status_code == 403
    assert len({get_session_id(token_of(socket.get("/ops/").text)) for _ in range(2)}) == 2


def test_nobody_is_served_unless_the_front_says_who_asks(operations: Site) -> None:
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(operations.file)), base_url="http://x", timeout=60
    ) as client:
        assert client.get("/ops/").status_code == 403
        assert client.get("/ops/", headers={"X-Workbench-Person": "user:1"}).status_code == 403


def test_a_websocket_belongs_to_the_person_and_the_origin_of_its_page(operations: Site, socket: httpx.Client) -> None:
    token = token_of(socket.get("/ops/").text)
    assert connects(operations, token)
    assert not connects(operations, token, Origin="http://evil.example")
    assert not connects(operations, token, **{"X-Workbench-Person": "user:2"})
    assert not connects(operations, token, **{"X-Workbench-Role": "admin"})
    head, _, signature = token.rpartition(".")
    assert not connects(operations, f"{head}.{signature[::-1]}")
    assert not connects(operations, "nonsense")


def test_a_notebook_holds_the_narrowed_query_and_pins_an_old_window(socket: httpx.Client) -> None:
    answer = socket.get(
        "/ops/notebook",
        params={"chart": "latency", "http_route": HOSTILE, "from": "2026-11-24T08:00", "to": "2026-11-24T09:00"},
    )
    assert answer.headers["content-disposition"] == 'attachment; filename="latency.ipynb"'
    notebook = nbformat.reads(answer.text, as_version=4)
    nbformat.validate(notebook)
    told: dict[str, list[str]] = {}
    exec(notebook.cells[1].source, told)
    assert told["start"] == "2026-11-24T08:00:00"
    assert told["before_end"] == "2026-11-24T07:59:50"
    assert "<img" in told["exprs"][0]
    assert socket.get("/ops/notebook", params={"chart": "../x"}).status_code == 404


def test_a_notebook_runs_and_finds_what_the_page_shows(
    operations: Site, socket: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(operations.home))
    answer = socket.get("/ops/notebook", params={"chart": "latency", "range": "1h"})
    told: dict[str, Any] = {}
    for cell in nbformat.reads(answer.text, as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, told)
    assert set(told["means"].index) == {"/fast", "/slow", HOSTILE}
    assert 0.5 < told["means"]["change"]["/slow"] < 1.5
    assert abs(told["means"]["change"]["/fast"]) < 0.01


def test_a_person_sees_his_rows_alone(operations: Site, socket: httpx.Client) -> None:
    asked = {"chart": "latency", "http_route": "/slow"}
    assert "/slow" in socket.get("/ops/notebook", params=asked).text
    operations.rows = '{synth_domain="arts"}'
    try:
        # He sees no series with that label, so there is nothing to narrow, and no word about the route.
        assert "/slow" not in socket.get("/ops/notebook", params=asked).text
    finally:
        operations.rows = ""


def test_files_lie_where_the_page_asks_for_them(socket: httpx.Client) -> None:
    page = socket.get("/ops/").text
    for address in {*re.findall(r'(?:src|href)="(/ops/[^"?]+)', page)}:
        assert socket.get(address).status_code == 200, address
    assert Path(re.findall(r'src="(/ops/own/[^"]+)"', page)[0]).suffix == ".js"


def test_when_all_places_are_taken_a_page_says_so(
    built: None, tmp_path_factory: pytest.TempPathFactory, settings: config.Settings
) -> None:
    with site(settings, tmp_path_factory.mktemp("s"), sessions_max=2) as small:
        transport = httpx.HTTPTransport(uds=str(small.file))
        with httpx.Client(transport=transport, base_url="http://127.0.0.1:8766", headers=CALLER, timeout=60) as client:
            answers = [client.get("/ops/") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert small.sessions() == 2
        assert "All 2 places are taken" in answers[-1].text
        assert answers[-1].headers["retry-after"]
