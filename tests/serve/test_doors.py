"""The doors for machines: every rule of the contracts, and whose socket is at the other end."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from conftest import need
from hypothesis import given
from hypothesis import strategies as st

from workbench import config
from workbench.errors import Forbidden, SignInRequired
from workbench.ingest import Caller, Knock
from workbench.serve.access.doors import MachineDoors
from workbench.serve.access.sockets import UNKNOWABLE, Owner, socket_owner
from workbench.serve.identity import people
from workbench.serve.running.bounded_http import bounded_protocol

PORT, GRPC_PORT = 4318, 4317
OWN_UID = os.getuid()
PEER = ("127.0.0.1", 50000)
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
ANONYMOUS = Caller("anonymous", True)


def knock(path="/v1/metrics", *, method="POST", protocol="http", peer=PEER, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if protocol == "http":
        named.setdefault("host", f"127.0.0.1:{PORT}")
    return Knock(protocol, method, path, {name: value for name, value in named.items() if value is not None}, peer)


def doors_of(settings, engine, uid=OWN_UID):
    return MachineDoors(settings, engine, owner=lambda *_: Owner(uid))


@pytest.fixture
def doors(settings, engine):
    return doors_of(settings, engine)


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/traces", "/v1/logs"])
def test_our_own_programs_send_otlp_without_a_token(doors, path):
    assert doors.authorize(knock(path)) == ANONYMOUS


@pytest.mark.parametrize("service", ["metrics.v1.Metrics", "trace.v1.Trace", "logs.v1.Logs"])
def test_our_own_programs_send_grpc_without_a_token(doors, service):
    path = f"/opentelemetry.proto.collector.{service}Service/Export"
    assert doors.authorize(knock(path, protocol="grpc")) == ANONYMOUS


@pytest.mark.parametrize(
    "found",
    [knock("/api/v1/write"), knock("/events"), knock("/"), knock("/v1/metrics/"), knock("/v1/metrics", method="GET"),
     knock("/V1/METRICS"), knock("/grpc.health.v1.Health/Check", protocol="grpc"), knock(EXPORT),
     knock("/v1/metrics", protocol="grpc")],
)  # fmt: skip
def test_everything_else_needs_a_token(doors, found):
    with pytest.raises(SignInRequired):
        doors.authorize(found)


@pytest.mark.parametrize(
    "peer", [("192.0.2.7", 50000), ("2001:db8::1", 50000), ("0.0.0.0", 1), ("localhost", 1), ("", 0), None]
)
def test_only_loopback_is_anonymous(doors, peer):
    with pytest.raises(SignInRequired):
        doors.authorize(knock(peer=peer))


@pytest.mark.parametrize("peer", [("127.0.0.1", 1), ("127.8.8.8", 1), ("::1", 1)])
def test_all_of_loopback_is_loopback(doors, peer):
    assert doors.authorize(knock(peer=peer)) == ANONYMOUS


@pytest.mark.parametrize(
    ("uid", "welcome"), [(os.getuid(), True), (0, True), (os.getuid() + 1, False), (65534, False), (None, False)]
)
def test_only_our_own_user_and_root_are_anonymous(settings, engine, uid, welcome):
    doors = doors_of(settings, engine, uid)
    if welcome:
        assert doors.authorize(knock()) == ANONYMOUS
    else:
        with pytest.raises(SignInRequired):
            doors.authorize(knock())


def test_where_the_system_cannot_tell_loopback_is_enough(settings, engine):
    doors = MachineDoors(settings, engine, owner=lambda *_: UNKNOWABLE)
    assert doors.authorize(knock()) == ANONYMOUS
    with pytest.raises(SignInRequired):
        doors.authorize(knock(peer=("192.0.2.7", 1)))


def test_anonymous_can_be_switched_off(settings, engine):
    closed = config.load(settings.home, environ={}, flags={"ingest.anonymous": False})
    doors = doors_of(closed, engine)
    for found in (knock(), knock(EXPORT, protocol="grpc")):
        with pytest.raises(SignInRequired):
            doors.authorize(found)
    token = people.create_token(engine, "ingest")
    assert not doors.authorize(knock(authorization=f"Bearer {token}")).anonymous


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("role", people.ROLES)
def test_a_token_sends_only_with_a_role_that_may(doors, engine, role, protocol):
    token = people.create_token(engine, role)
    path = "/api/v1/write" if protocol == "http" else EXPORT
    found = knock(path, protocol=protocol, authorization=f"Bearer {token}", peer=("192.0.2.7", 1))
    if role in ("ingest", "admin"):
        assert doors.authorize(found) == Caller("token:1", False)
    else:
        with pytest.raises(Forbidden):
            doors.authorize(found)


@pytest.mark.parametrize("value", ["Bearer wrong", "Bearer ", "", "Basic Zm9vOmJhcg==", "wrong", "Bearer wb_"])
def test_a_wrong_token_is_never_anonymous(doors, value):
    for found in (knock(authorization=value), knock(EXPORT, protocol="grpc", authorization=value)):
        with pytest.raises(SignInRequired):
            doors.authorize(found)


def test_a_revoked_token_is_refused(settings, engine, monkeypatch):
    monkeypatch.setattr(people, "REMEMBERED_SECONDS", 0)
    doors = doors_of(settings, engine)
    found = knock(authorization=f"Bearer {people.create_token(engine, 'ingest')}")
    doors.authorize(found)
    people.revoke_tokens(engine, token_id=1)
    with pytest.raises(SignInRequired):
        doors.authorize(found)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", f"evil.example:{PORT}", "127.0.0.1", "localhost:4317", f"localhost:{PORT}.evil.example"],
)
def test_another_host_is_refused_with_and_without_a_token(doors, engine, host):
    token = people.create_token(engine, "ingest")
    for extra in ({}, {"authorization": f"Bearer {token}"}):
        with pytest.raises(Forbidden):
            doors.authorize(knock(**{"host": host, **extra}))


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": f"http://127.0.0.1:{PORT}"}, {"origin": ""},
     {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"sec_fetch_site": "same-origin"}],
)  # fmt: skip
def test_web_pages_are_refused_with_and_without_a_token(doors, engine, headers):
    token = people.create_token(engine, "ingest")
    for extra in ({}, {"authorization": f"Bearer {token}"}):
        with pytest.raises(Forbidden):
            doors.authorize(knock(**headers, **extra))


def test_a_person_typing_an_address_is_no_web_page(doors):
    assert doors.authorize(knock(sec_fetch_site="none")) == ANONYMOUS


class TestTheOwnerIsRememberedForOneConnection:
    """A port may belong to somebody else once its connection is over."""

    def doors(self, settings, engine):
        owners = [Owner(os.getuid()), Owner(os.getuid() + 1)]
        self.asked = []
        return MachineDoors(settings, engine, owner=lambda peer, port: self.asked.append((peer, port)) or owners.pop(0))

    def test_asked_once_while_it_lasts(self, settings, engine):
        doors = self.doors(settings, engine)
        doors.connected(PEER)
        assert [doors.authorize(knock()) for _ in range(5)] == [ANONYMOUS] * 5
        assert self.asked == [(PEER, PORT)]

    def test_asked_again_for_the_next_connection(self, settings, engine):
        doors = self.doors(settings, engine)
        doors.connected(PEER)
        doors.authorize(knock())
        doors.disconnected(PEER)
        doors.connected(PEER)
        with pytest.raises(SignInRequired):
            doors.authorize(knock())

    def test_not_remembered_without_a_connection(self, settings, engine):
        doors = self.doors(settings, engine)
        doors.authorize(knock(EXPORT, protocol="grpc"))
        with pytest.raises(SignInRequired):
            doors.authorize(knock(EXPORT, protocol="grpc"))
        assert self.asked == [(PEER, GRPC_PORT)] * 2


def test_uvicorn_tells_of_every_connection(settings, engine):
    """Through the real server: two requests on one connection are looked up once, two connections twice."""
    import uvicorn

    asked = []
    doors = MachineDoors(settings, engine, owner=lambda peer, _: asked.append(peer) or Owner(0))

    async def app(scope, _receive, send):
        doors.authorize(knock(peer=tuple(scope["client"])))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(port, times):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(times):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert b" 204 " in await reader.readline()
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def run():
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=bounded_protocol(doors), lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        port = listening.getsockname()[1]
        await ask(port, 2)
        await ask(port, 1)
        server.should_exit = True
        await serving

    asyncio.run(run())
    assert len(asked) == 2
    assert doors._remembered == {}


@contextmanager
def connection(program: str | None = None, family=socket.AF_INET):
    """A listening port and an accepted connection to it from this process, or from `program` run by somebody."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as listening:
        port = listening.getsockname()[1]
        if program is None:
            client = socket.create_connection((host, port))
            accepted, _ = listening.accept()
            with client, accepted:
                yield accepted.getpeername()[:2], port, client
        else:
            process = subprocess.Popen([sys.executable, "-c", program, str(port)], stdin=subprocess.PIPE)
            listening.settimeout(20)
            accepted, _ = listening.accept()
            with accepted:
                yield accepted.getpeername()[:2], port, process
            process.communicate(timeout=20)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_linux_tells_whose_socket_it_is(family):
    need(sys.platform == "linux", "the table of sockets is Linux'")
    with connection(family=family) as (peer, port, client):
        assert socket_owner(peer, port) == Owner(os.getuid())
        # The same local port may lead elsewhere too, from another user.
        assert socket_owner(peer, port + 1) == Owner(None)
        client.close()
        # Now the table shows user 0 for it; that is nobody, not root.
        assert socket_owner(peer, port) == Owner(None)


def test_an_ipv4_address_in_an_ipv6_socket():
    need(sys.platform == "linux", "the table of sockets is Linux'")
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", listening.getsockname()[1]))
        accepted, peer = listening.accept()
        with accepted:
            assert socket_owner(peer, listening.getsockname()[1]) == Owner(os.getuid())


CONNECT_AS_NOBODY = """
import encodings.idna, os, socket, sys
os.setgid(65534); os.setuid(65534)
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
"""


def test_another_user_is_found_and_refused(settings, engine):
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("becoming another user takes root")
    with connection(CONNECT_AS_NOBODY) as (peer, port, _):
        assert socket_owner(peer, port) == Owner(65534)
        here = config.load(settings.home, environ={}, flags={"ingest.port": port})
        doors = MachineDoors(here, engine)
        with pytest.raises(SignInRequired, match="65534"):
            doors.authorize(knock(peer=peer, host=f"127.0.0.1:{port}"))
        token = people.create_token(engine, "ingest")
        assert (
            doors.authorize(knock(peer=peer, host=f"127.0.0.1:{port}", authorization=f"Bearer {token}")).source
            == "token:1"
        )


@given(st.integers(0, 2**32 - 1), st.integers(0, 65535))
def test_addresses_of_the_table_are_read(number, port):
    import ipaddress
    import struct

    from workbench.serve.access.sockets import _address

    packed = struct.pack(">I", number)
    text = f"{struct.unpack('=I', packed)[0]:08X}:{port:04X}"
    assert _address(text) == (ipaddress.IPv4Address(packed), port)
