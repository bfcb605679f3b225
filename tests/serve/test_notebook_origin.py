"""The notebook origin: who gets in, how, for how long, and what stands between it and the servers behind it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from websockets.sync.client import connect

from workbench.serve.access import policy
from workbench.serve.access.entrance import Entrance, to_route
from workbench.serve.access.gate import Address, Gate
from workbench.serve.access.origins import local_origins
from workbench.serve.identity import people
from workbench.serve.identity.signin import SignIn
from workbench.serve.pages.notebooks import OPEN_TREES, NotebookSite, content_policy
from workbench.serve.running.control import ask_to_start, control_socket, serve_control
from workbench.serve.running.listen import Listener, listen, unix_socket
from workbench.serve.running.on_demand import Upstream, spec
from workbench.serve.running.proxy import Proxy
from workbench.store import state

# Written down by hand, from the contracts: which roles may use which tree, and with which methods.
TREES = {
    "/reports/7/page": (("GET", "HEAD"), ("viewer", "analyst", "operator", "admin")),
    "/snapshots/executive/": (("GET", "HEAD"), ("viewer", "analyst", "operator", "admin")),
    "/boards/voila/render/executive.ipynb": (("GET", "HEAD"), ("viewer", "analyst", "operator", "admin")),
    "/ops/": (("GET", "HEAD"), ("analyst", "operator", "admin")),
    "/lab/api/contents": (("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), ("analyst", "admin")),
}
CLOSED = ("/", "/lab2", "/labs/x", "/api/v1/query", "/live/overview", "/voila", "/terminals/1")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass
class Behind:
    """A server behind the proxy; `asked` is what reached it."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        async def echo(request: Any) -> Response:
            body = (await request.body()).decode()
            told = {"method": request.method, "path": request.url.path, "query": request.url.query, "body": body}
            self.asked.append({**told, "headers": dict(request.headers)})
            answer = JSONResponse(told, headers={"content-security-policy": "default-src *"})
            answer.set_cookie("_xsrf", "1", path="/lab/")
            answer.set_cookie("workbench_1", "stolen")
            return answer

        async def moved(_: Any) -> Response:
            return RedirectResponse("/lab/elsewhere")

        async def slow(_: Any) -> Response:
            async def parts() -> Any:
                for _ in range(3):
                    yield b"x" * 100_000

            return StreamingResponse(parts())

        async def talk(websocket: Any) -> None:
            self.asked.append({"path": websocket.url.path, "headers": dict(websocket.headers)})
            await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None))
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await websocket.send({**message, "type": "websocket.send"})

        every = [*METHODS[:-1]]
        return Starlette(
            routes=[
                Route("/lab/moved", moved),
                Route("/lab/slow", slow),
                Route("/{path:path}", echo, methods=every),
                WebSocketRoute("/{path:path}", talk),
            ]
        )


@dataclass
class Site:
    """Both origins on real ports, with a server behind `/lab`, `/ops` and `/boards`."""

    engine: Any
    folder: Path
    behind: Behind = field(default_factory=Behind)
    problem: str = ""
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.main = socket.create_server(("127.0.0.1", 0))
        self.notebook = socket.create_server(("127.0.0.1", 0))
        self.ports = (self.main.getsockname()[1], self.notebook.getsockname()[1])
        self.urls = tuple(f"http://127.0.0.1:{port}" for port in self.ports)
        self.sessions = {role: self._session(role) for role in people.ROLES}
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self._serve(),))
        self.thread.start()
        assert self.ready.wait(30)

    def _session(self, role: str) -> str:
        with self.engine.begin() as connection:
            user = connection.execute(state.users.insert().values(name=f"a {role}", role=role, created_us=0))
        return people.use_link(self.engine, people.create_link(self.engine, user.inserted_primary_key[0]))

    async def _serve(self) -> None:
        self.stop = asyncio.Event()
        origins = local_origins(*self.ports)
        resolver = people.Resolver(self.engine)
        upstream = Upstream(socket=self.folder / "lab.sock", token="token s3cret")

        async def start(person: people.Person) -> str:
            self.started.append(person.id)
            return self.problem

        proxies = {prefix: Proxy("JupyterLab", lambda _: upstream, start) for prefix in ("/lab", "/boards")}
        proxies["/ops"] = Proxy("The operations view", lambda _: Upstream(socket=self.folder / "none.sock"), start)
        pages = Gate(
            Starlette(routes=[to_route(self.engine, origins)]),
            resolver,
            Address(hosts=origins.main_hosts, rules=policy.MAIN, session=resolver.session),
            SignIn(self.engine, resolver, origins),
        )
        reports = [Route(path, lambda _: JSONResponse({})) for path in ("/reports/7/page", "/snapshots/executive/")]
        notebooks = Gate(
            NotebookSite(proxies, reports),
            resolver,
            Address(
                hosts=origins.notebook_hosts,
                rules=policy.notebook_rules(sandbox=True),
                session=resolver.notebook_session,
                tokens=False,
                open_trees=OPEN_TREES,
                content_policy=content_policy(origins),
                bind=True,
            ),
            Entrance(self.engine, origins),
        )
        served = uvicorn.Server(uvicorn.Config(self.behind.app(), lifespan="off", log_config=None))
        served.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        behind = asyncio.create_task(served.serve(sockets=[unix_socket(self.folder / "lab.sock")]))
        while not served.started:
            await asyncio.sleep(0.01)
        self.loop.call_later(0.05, self.ready.set)
        await listen([Listener(pages, [self.main]), Listener(notebooks, [self.notebook], websockets=True)], self.stop)
        served.should_exit = True
        await behind

    @contextlib.contextmanager
    def client(self, role: str, *, entered: bool = True) -> Iterator[httpx.Client]:
        """A browser of somebody with that role, who came through `/to/` unless told otherwise."""
        with httpx.Client(base_url=self.urls[1], trust_env=False, timeout=30) as client:
            client.cookies.set(f"workbench_{self.ports[0]}", self.sessions[role], domain="127.0.0.1")
            if entered:
                ticket = client.get(f"{self.urls[0]}/to/reports/7/page").headers["location"]
                assert client.get(ticket).headers["location"] == "/reports/7/page"
            yield client

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(timeout=30)
        self.loop.close()


@pytest.fixture
def site(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(engine, tmp_path_factory.mktemp("s"))
    yield made
    made.close()


def test_who_may_use_what_by_role_path_and_method(site: Site) -> None:
    for role in ("viewer", "analyst", "operator", "admin"):
        with site.client(role) as client:
            for path, method in itertools.product((*TREES, *CLOSED), METHODS):
                methods, roles = TREES.get(path, ((), ()))
                may = method in methods and role in roles
                site.behind.asked.clear()
                answer = client.request(method, path, headers={"Origin": site.urls[1]})
                where = (role, method, path, answer.status_code)
                assert (answer.status_code == 403) != may, where
                assert not (site.behind.asked and not may), where


def test_who_may_open_a_websocket(site: Site) -> None:
    for role, path in itertools.product(("viewer", "analyst", "operator", "admin"), (*TREES, *CLOSED)):
        may = path.startswith(("/lab/", "/boards/")) and role in TREES[path][1]
        with site.client(role) as client:
            try:
                with socketed(site, client, path):
                    opened = True
            except (websockets.InvalidStatus, websockets.ConnectionClosed):
                opened = False
        assert opened == may, (role, path)


def socketed(site: Site, client: httpx.Client, path: str, **options: Any) -> Any:
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    options = {"origin": site.urls[1], "max_size": None, "additional_headers": {"Cookie": cookies}, **options}
    return connect(f"ws://127.0.0.1:{site.ports[1]}{path}", proxy=None, **options)


def test_nobody_and_the_session_of_the_other_origin_and_tokens_count_nothing(site: Site) -> None:
    with httpx.Client(base_url=site.urls[1], trust_env=False, timeout=60) as nobody:
        assert nobody.get("/lab/tree").status_code == 401
        token = people.create_token(site.engine, "admin")
        assert nobody.get("/lab/tree", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        page = nobody.get("/lab/tree?a=1", headers={"Accept": "text/html"})
        assert page.headers["location"] == f"{site.urls[0]}/to/lab/tree?a=1"
    with site.client("admin", entered=False) as main_only:
        main_only.cookies.set(f"workbench_{site.ports[1]}", site.sessions["admin"], domain="127.0.0.1")
        assert main_only.get("/lab/tree").status_code == 401
    with site.client("admin") as entered:
        notebook = entered.cookies[f"workbench_{site.ports[1]}"]
        answer = entered.get(f"{site.urls[0]}/to/lab", headers={"Cookie": f"workbench_{site.ports[0]}={notebook}"})
        assert answer.status_code == 401
    assert site.behind.asked == []


def test_a_ticket_works_once(site: Site) -> None:
    with site.client("analyst", entered=False) as client:
        ticket = client.get(f"{site.urls[0]}/to/lab/tree?x=1").headers["location"]
        first = client.get(ticket)
        assert first.headers["location"] == "/lab/tree?x=1"
        assert "HttpOnly" in first.headers["set-cookie"]
        with httpx.Client(trust_env=False, timeout=60) as thief:
            second = thief.get(ticket)
            assert second.headers["location"].startswith(f"{site.urls[0]}/to/")
            assert "set-cookie" not in second.headers
    late = people.create_ticket(site.engine, site.sessions["analyst"], clock=lambda: 1000.0)
    with pytest.raises(people.SignInRequired):
        people.use_ticket(site.engine, late, clock=lambda: 1000.0 + people.TICKET_SECONDS + 1)


def test_a_ticket_leads_nowhere_else(site: Site) -> None:
    for target in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        ticket = people.create_ticket(site.engine, site.sessions["viewer"])
        with httpx.Client(base_url=site.urls[1], trust_env=False, timeout=60) as client:
            answer = client.get("/enter", params={"ticket": ticket, "next": target})
            assert answer.headers["location"] == "/"


def test_signing_out_ends_both(site: Site) -> None:
    with site.client("analyst") as client:
        assert client.get("/lab/tree").status_code == 200
        people.sign_out(site.engine, site.sessions["analyst"])
        assert people.find_notebook_session(site.engine, client.cookies[f"workbench_{site.ports[1]}"]) is None


def test_what_reaches_the_server_and_what_comes_back(site: Site) -> None:
    with site.client("analyst") as client:
        client.cookies.set("_xsrf", "abc", domain="127.0.0.1")
        forged = {"x-workbench-person": "user:1", "x-workbench-role": "admin", "X-Forwarded-For": "10.0.0.1",
                  "Authorization": "token forged", "Origin": site.urls[1]}  # fmt: skip
        answer = client.put("/lab/api/contents/a%20b.ipynb?type=file", content="körper", headers=forged)
        heard = site.behind.asked[-1]["headers"]
        assert answer.json() == {"method": "PUT", "path": "/lab/api/contents/a b.ipynb", "query": "type=file",
                                 "body": "körper"}  # fmt: skip
        assert heard["authorization"] == "token s3cret"
        assert heard["cookie"] == "_xsrf=abc"
        assert heard["x-workbench-role"] == "analyst"
        assert heard["x-workbench-person"] != "user:1"
        assert heard["host"] == f"127.0.0.1:{site.ports[1]}"
        assert "x-forwarded-for" not in heard
        policies = answer.headers.get_list("content-security-policy")
        assert policies[0] == "default-src *"
        assert "frame-ancestors 'self' http://127.0.0.1" in policies[1]
        assert "http:" not in policies[1].partition("frame-ancestors")[0], "nothing is loaded from elsewhere"
        assert [cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")] == ["_xsrf"]
        assert len(client.get("/lab/slow").content) == 300_000
        assert client.get("/lab/moved").headers["location"] == "/lab/elsewhere"
        assert client.head("/lab/x").content == b""


def test_unsafe_methods_and_websockets_need_our_origin(site: Site) -> None:
    with site.client("admin") as client:
        for headers in ({}, {"Origin": site.urls[0]}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            assert client.post("/lab/api/kernels", headers=headers).status_code == 403
        for origin in (None, site.urls[0], "http://evil.example"):
            with pytest.raises(websockets.InvalidStatus), socketed(site, client, "/lab/ws", origin=origin):
                pass
        for path in ("/lab//x", "/lab/%2e%2e/x", "/lab/..%2fx", "/LAB/x"):
            request = client.build_request("GET", site.urls[1])
            request.url = httpx.URL(scheme="http", host="127.0.0.1", port=site.ports[1], raw_path=path.encode())
            assert client.send(request).status_code == 403, path
    assert site.behind.asked == []


def test_a_websocket_carries_both_kinds_both_ways_and_its_subprotocol(site: Site) -> None:
    with site.client("analyst") as client:
        protocol = websockets.Subprotocol("v1.kernel.websocket.jupyter.org")
        with socketed(site, client, "/lab/api/kernels/1/channels", subprotocols=[protocol]) as talking:
            assert talking.subprotocol == protocol
            for message in ("text", b"\x00binary", "x" * 3_000_000):
                talking.send(message)
                assert talking.recv(timeout=30) == message
        heard = site.behind.asked[-1]["headers"]
        assert heard["authorization"] == "token s3cret"
        assert "workbench_" not in heard.get("cookie", "")


def test_a_server_that_is_not_there_is_started_and_a_page_follows_up(site: Site) -> None:
    with site.client("operator") as client:
        page = client.get("/ops/", headers={"Accept": "text/html"})
        assert page.status_code == 503
        assert "is starting" in page.text
        assert 'http-equiv="refresh"' in page.text
        assert len(site.started) == 1
        data = client.get("/ops/data", headers={"Accept": "application/json"})
        assert (data.status_code, data.headers["retry-after"]) == (503, "1")
        site.problem = "It cannot be started: <no>."
        told = client.get("/ops/", headers={"Accept": "text/html"}).text
        assert "cannot be started" in told
        assert "<no>" not in told
        assert 'http-equiv="refresh"' not in told


def test_the_supervisor_is_asked_by_name_and_starts_nothing_else(settings: Any) -> None:
    asyncio.run(ask_the_supervisor(settings))


async def ask_the_supervisor(settings: Any) -> None:
    settings.runtime_dir.mkdir(parents=True, exist_ok=True)
    asked: list[str] = []

    def handle(question: Any) -> dict[str, str]:
        asked.append(spec(settings, question).name)
        return {"state": "starting"}

    assert "error" in await ask_to_start(settings, "ops"), "nobody listens yet"
    server = await serve_control(control_socket(settings), handle)
    try:
        assert await ask_to_start(settings, "ops") == {"state": "starting"}
        assert await ask_to_start(settings, "lab", person="user:3", role="analyst") == {"state": "starting"}
        for wrong in ({"name": "hub"}, {"name": "lab", "person": "../x", "role": "a"}, {"name": "lab"}):
            assert "error" in await ask_to_start(settings, **wrong)
        assert asked == ["ops", "lab-3"]
        reader, writer = await asyncio.open_unix_connection(control_socket(settings))
        writer.write(b"no json\n")
        assert "error" in json.loads(await reader.readline())
        writer.close()
        assert control_socket(settings).stat().st_mode & 0o077 == 0
    finally:
        server.close()
