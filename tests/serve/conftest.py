"""A gate before an app that says who came through, and people of every role."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from typing import Any

import argon2
import httpx
import pytest
import sqlalchemy as sa
from conftest import need
from starlette.responses import JSONResponse

from workbench.serve.access import policy
from workbench.serve.access.gate import Address, Gate
from workbench.serve.access.origins import local_origins
from workbench.serve.identity import passwords, people
from workbench.serve.identity.signin import SignIn
from workbench.store import state

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PORT = 8765
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"


@dataclass
class Guarded:
    """An app behind the gate; `passed` lists what reached it."""

    engine: sa.Engine
    passed: list[tuple[str, str, people.Person | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resolver = people.Resolver(self.engine)
        origins = local_origins(PORT, PORT + 1)
        signin = SignIn(self.engine, self.resolver, origins)
        self.cookie_name = signin.cookie
        address = Address(hosts=origins.main_hosts, rules=policy.MAIN, session=self.resolver.session)
        self.gate = Gate(self._app, self.resolver, address, signin)
        self.cookies = {role: self._session(role) for role in people.ROLES}
        self.tokens = {role: people.create_token(self.engine, role) for role in people.ROLES}

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        method = scope.get("method", "WEBSOCKET")
        person = scope.get("state", {}).get("person")
        self.passed.append((method, scope["path"], person))
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await JSONResponse({"role": person.role if person else None})(scope, receive, send)

    def _session(self, role: str) -> str:
        with self.engine.begin() as connection:
            user = connection.execute(state.users.insert().values(name=f"a {role}", role=role, created_us=0))
        return people.use_link(self.engine, people.create_link(self.engine, user.inserted_primary_key[0]))

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """One request with exactly these headers (and a right Host unless given)."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.gate, client=("127.0.0.1", 50000))
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())

    def websocket(self, path: str, headers: dict[str, str]) -> int:
        """0 if the app accepted it, else the code with which the gate closed it."""
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in {"Host": HOST, **headers}.items()],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        return 0 if sent[0]["type"] == "websocket.accept" else sent[0]["code"]

    def as_cookie(self, role: str) -> dict[str, str]:
        return {"Cookie": f"{self.cookie_name}={self.cookies[role]}"}

    def as_token(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}


@pytest.fixture
def light_hashing(monkeypatch):
    """Passwords hashed with a thousandth of the work; what the real work is, one test says."""
    monkeypatch.setattr(passwords, "_hasher", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    passwords._nobodys.cache_clear()


@pytest.fixture
def engine(settings):
    made = state.engine(settings)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    from workbench import config

    made = state.engine(config.load(tmp_path_factory.mktemp("gate") / "home", environ={}))
    yield Guarded(made)
    made.dispose()


@pytest.fixture
def page():
    """A page of a real browser; `faults` lists what its console complained about."""
    need(CHROMIUM, "a Chromium is needed to look at the page")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        faults: list[str] = []
        opened = launched.new_page()
        opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.faults = faults
        yield opened
        launched.close()
