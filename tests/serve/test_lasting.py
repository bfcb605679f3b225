"""What lasts ends with the right to it: streams and websockets of who was signed out, revoked or got another role."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from starlette.responses import PlainTextResponse, StreamingResponse

from workbench.serve.access import policy
from workbench.serve.access.gate import Address, Gate
from workbench.serve.access.lasting import Lasting
from workbench.serve.access.origins import local_origins
from workbench.serve.identity import people
from workbench.serve.identity.signin import SignIn
from workbench.store import state


class Streaming:
    """A gate before an app that streams for ever below /live/, on a real server."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        origins = local_origins(self.port, self.port + 1)
        resolver = people.Resolver(engine)
        self.signin = SignIn(engine, resolver, origins)
        rules = policy.MAIN
        self.gate = Gate(
            self._app, resolver, Address(hosts=origins.main_hosts, rules=rules, session=resolver.session), self.signin
        )
        self._server = uvicorn.Server(uvicorn.Config(self.gate, log_level="critical", timeout_graceful_shutdown=0))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()

    async def _app(self, scope, receive, send) -> None:
        async def ticks():
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.05)

        answer = StreamingResponse(ticks()) if scope["path"].startswith("/live/") else PlainTextResponse("done")
        await answer(scope, receive, send)

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=20, trust_env=False)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()


@pytest.fixture
def streaming(engine) -> Iterator[Streaming]:
    made = Streaming(engine)
    yield made
    made.stop()


def user(engine: sa.Engine, role: str) -> tuple[int, str]:
    with engine.begin() as connection:
        made = connection.execute(state.users.insert().values(name=role, role=role, created_us=0))
    number = made.inserted_primary_key[0]
    return number, people.use_link(engine, people.create_link(engine, number))


@pytest.mark.parametrize("how", ["signed out", "disabled", "another role", "revoked token"])
def test_a_stream_ends_with_the_right_to_it(streaming, engine, how):
    number, session = user(engine, "viewer")
    token = people.create_token(engine, "viewer", name="t")
    headers = (
        {"Authorization": f"Bearer {token}"} if "token" in how else {"Cookie": f"{streaming.signin.cookie}={session}"}
    )
    with streaming.client(**headers) as client, client.stream("GET", "/live/x/stream") as stream:
        assert stream.status_code == 200
        parts = stream.iter_raw()
        next(parts)
        if how == "signed out":
            people.sign_out(engine, session)
        elif how == "revoked token":
            people.revoke_tokens(engine, name="t")
        else:
            changed = {"disabled_us": 1} if how == "disabled" else {"role": "operator"}
            with engine.begin() as connection:
                connection.execute(state.users.update().where(state.users.c.id == number).values(**changed))
        assert sum(1 for _ in parts) < 200  # it came to its end, and a whole one


def test_who_may_go_on_is_left_alone(streaming, engine):
    _, session = user(engine, "viewer")
    with streaming.client(Cookie=f"{streaming.signin.cookie}={session}") as client:
        assert client.get("/reports/").text == "done"
        with client.stream("GET", "/live/x/stream") as stream:
            parts = stream.iter_raw()
            for _ in range(30):
                next(parts)


def test_what_is_ended_has_time_to_clean_up_and_faults_come_through():
    cleaned = []

    async def lasts() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(True)

    async def fails() -> None:
        raise ValueError("its own")

    async def play() -> None:
        lasting = Lasting()
        assert await lasting.run(lasts(), lambda: False) is False
        assert cleaned == [True]
        with pytest.raises(ValueError, match="its own"):
            await lasting.run(fails(), lambda: True)
        outer = asyncio.create_task(lasting.run(lasts(), lambda: True))
        for _ in range(3):  # until it is under way
            await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert cleaned == [True, True]

    asyncio.run(play())
