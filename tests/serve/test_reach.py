"""What may be bound and under which names; who is believed; certificates that are renewed."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading

import httpx
import pytest
import trustme
from starlette.responses import JSONResponse

from workbench import config
from workbench.cli import main
from workbench.errors import ConfigError, Forbidden, SignInRequired
from workbench.ingest import Knock
from workbench.serve.access import policy, reach
from workbench.serve.access.certificate import Certificate
from workbench.serve.access.doors import MachineDoors
from workbench.serve.access.gate import Address, Gate
from workbench.serve.access.proxied import Proxied
from workbench.serve.identity import people
from workbench.serve.identity.signin import SignIn
from workbench.serve.running import ports
from workbench.serve.running.listen import Listener, listen

PROXY = ("10.9.0.0/24", "fd00::9")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def issue(authority, tmp_path):
    """Write a fresh certificate for names, always to the same two files."""

    def write(*names: str) -> dict[str, str]:
        made = authority.issue_cert(*names)
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        made.private_key_pem.write_to_path(str(key))
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        return {"front.tls_cert": str(cert), "front.tls_key": str(key)}

    return write


def settings_with(tmp_path, **flags):
    return config.load(tmp_path / "home", environ={}, flags={k.replace("__", "."): v for k, v in flags.items()})


def proxied_settings(tmp_path, **more):
    return settings_with(
        tmp_path,
        front__trusted_proxy=PROXY,
        front__public_url="https://wb.example.org",
        front__notebook_url="https://nb.example.org",
        **more,
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"front.bind": "0.0.0.0"}, "without TLS"),
        ({"front.bind": "192.0.2.9", "front.public_url": "https://wb.example.org"}, "without TLS"),
        ({"front.bind": "here"}, "no address"),
        ({"front.tls_cert": "cert.pem"}, "its key"),
        ({"front.tls_cert": "nowhere.pem", "front.tls_key": "nowhere.pem"}, "cannot be used"),
        ({"front.trusted_proxy": ["10.0.0.1/8"]}, "no network"),
        ({"front.trusted_proxy": ["10.0.0.1"], "front.public_url": "https://wb.example.org"}, "both addresses"),
        ({"front.public_url": "http://wb.example.org"}, "without TLS"),
        ({"front.public_url": "https://wb.example.org"}, "nothing speaks TLS"),
        ({"front.public_url": "https://wb.example.org/sub"}, "no origin"),
        ({"front.public_url": "wb.example.org"}, "no origin"),
        ({"front.public_url": "https://a:b@wb.example.org"}, "no origin"),
        ({"front.notebook_url": "http://localhost:1"}, "beside it"),
        (
            {"front.public_url": "http://localhost:1", "front.notebook_url": "http://localhost:1/"},
            "origin of their own",
        ),
    ],
)
def test_what_is_not_safe_or_clashes_is_refused_with_a_way_out(tmp_path, flags, told):
    settings = config.load(tmp_path / "home", environ={}, flags=flags)
    with pytest.raises(ConfigError, match=told) as refused:
        reach.check(settings)
    assert refused.value.where
    assert main(["up", "--home", str(tmp_path / "home"), "--bind", "0.0.0.0", "--no-browser"]) == 2


def test_every_address_needs_the_name_that_people_use(tmp_path, issue):
    pair = issue("wb.example.org")
    with pytest.raises(ConfigError, match="which name"):
        reach.check(config.load(tmp_path / "home", environ={}, flags={"front.bind": "::", **pair}))
    named = {"front.bind": "::", "front.public_url": "https://wb.example.org", **pair}
    reach.check(config.load(tmp_path / "home", environ={}, flags=named))


def test_names_follow_from_the_settings(tmp_path, issue):
    pair = issue("wb.example.org")
    flags = {"front.bind": "0.0.0.0", "front.public_url": "https://WB.example.org:443/", **pair}
    settings = config.load(tmp_path / "home", environ={}, flags=flags)
    origins = reach.people_origins(settings, 8765, 8766)
    assert origins.main[0] == "https://wb.example.org"
    assert origins.notebook[0] == "https://wb.example.org:8766"
    assert origins.notebook_of("wb.example.org") == "https://wb.example.org:8766"
    assert origins.main_of("wb.example.org:8766") == "https://wb.example.org"
    assert origins.notebook_of("[::1]:8765") == "https://[::1]:8766"
    assert "wb.example.org:8765" not in origins.main_hosts
    assert all(origins.secure(host) for host in origins.main_hosts)
    assert reach.ingest_hosts(settings, 4318) >= {"wb.example.org:4318", "127.0.0.1:4318"}
    assert reach.ingest_url(settings, 4318) == "https://wb.example.org:4318"
    card = config.load(tmp_path / "home", environ={}, flags={"front.bind": "fd00::7", **pair})
    assert reach.people_origins(card, 8765, 8766).main[0] == "https://[fd00::7]:8765"
    near = reach.people_origins(settings_with(tmp_path), 8765, 8766)
    assert near.main[0] == "http://127.0.0.1:8765"
    assert not near.secure("127.0.0.1:8765")
    assert reach.ingest_url(settings_with(tmp_path), 4318) is None


def test_loopback_and_every_address_share_a_number_and_nobody_else_gets_it(tmp_path, issue):
    flags = dict.fromkeys(ports.SETTING.values(), 0)
    wide = {**flags, "front.bind": "0.0.0.0", "front.public_url": "https://wb.example.org", **issue("wb.example.org")}
    found = ports.open_ports(config.load(tmp_path / "home", environ={}, flags=wide), set(flags))
    try:
        for name, listening in found.sockets.items():
            hosts = [one.getsockname()[0] for one in listening]
            assert hosts[0] == "127.0.0.1"
            assert "0.0.0.0" in hosts
            assert {one.getsockname()[1] for one in listening} == {found.numbers[name]}
            assert ports.taken_by(found.numbers[name])
    finally:
        found.close()


def test_an_address_of_another_machine_cannot_be_bound(tmp_path, issue):
    flags = {**dict.fromkeys(ports.SETTING.values(), 0), "front.bind": "203.0.113.77", **issue("203.0.113.77")}
    with pytest.raises(ConfigError, match="no address of this machine"):
        ports.open_ports(config.load(tmp_path / "home", environ={}, flags=flags), ())


async def whoami(scope, receive, send):
    await JSONResponse({"client": scope["client"][0]})(scope, receive, send)


def asked(app, client: str, headers: dict[str, str] | None = None, path: str = "/") -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(client, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://wb.example.org") as http:
            return await http.get(path, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("client", "forwarded", "seen"),
    [
        ("10.9.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.9.0.1", "1.1.1.1, 203.0.113.5, 10.9.0.2", "203.0.113.5"),
        ("10.9.0.1", "", "10.9.0.1"),
        ("fd00::9", "2001:db8::5", "2001:db8::5"),
        ("127.0.0.1", "203.0.113.5", "127.0.0.1"),
    ],
)
def test_only_the_trusted_proxy_is_believed(tmp_path, client, forwarded, seen):
    app = Proxied(whoami, trusted=reach.trusted_proxies(proxied_settings(tmp_path)), tls=False)
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert asked(app, client, headers).json() == {"client": seen}
    stranger = asked(app, "198.51.100.1", {"X-Forwarded-For": "127.0.0.1"})
    assert (stranger.status_code, stranger.json()["error"]) == (403, "Forbidden")
    direct = Proxied(whoami, trusted=reach.trusted_proxies(proxied_settings(tmp_path)), tls=True)
    assert asked(direct, "198.51.100.1", {"X-Forwarded-For": "127.0.0.1"}).json() == {"client": "198.51.100.1"}


def test_behind_a_proxy_the_gate_knows_the_public_names(tmp_path, engine):
    settings = proxied_settings(tmp_path)
    reach.check(settings)
    origins = reach.people_origins(settings, 8765, 8766)
    resolver = people.Resolver(engine)
    address = Address(hosts=origins.main_hosts, rules=policy.MAIN, session=resolver.session)
    gate = Gate(whoami, resolver, address, SignIn(engine, resolver, origins))
    secret = people.create_link(engine, people.create_owner(engine))

    async def send(headers: dict[str, str], host: str = "wb.example.org") -> httpx.Response:
        transport = httpx.ASGITransport(gate, client=("10.9.0.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as http:
            return await http.post("/signin", headers={"Host": host, **headers}, data={"link": "#" + secret})

    for origin in ("http://wb.example.org", "https://evil.example", "https://nb.example.org", "http://127.0.0.1:8765"):
        assert asyncio.run(send({"Origin": origin})).status_code == 403
    for host in ("evil.example", "nb.example.org", "wb.example.org:8765", "wb.example.org:443"):
        assert asyncio.run(send({"Origin": f"https://{host}"}, host)).status_code == 403
    answer = asyncio.run(send({"Origin": "https://wb.example.org"}))
    assert answer.status_code == 303
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    near = asked(gate, "127.0.0.1", {"Host": "127.0.0.1:8765"}, "/signin")
    assert near.status_code == 200
    assert "strict-transport-security" not in near.headers


def test_what_comes_through_a_proxy_to_the_doors_needs_a_token(tmp_path, engine):
    settings = proxied_settings(tmp_path, ingest__public_url="https://in.example.org")
    doors = MachineDoors(settings, engine)
    token = people.create_token(engine, "ingest")

    def knock(peer: str, host: str = "in.example.org", **headers: str) -> str:
        return doors.authorize(Knock("http", "POST", "/v1/metrics", {"host": host, **headers}, (peer, 5))).source

    assert knock("10.9.0.1", authorization=f"Bearer {token}") == "token:1"
    with pytest.raises(SignInRequired, match="token"):
        knock("10.9.0.1")
    with pytest.raises(Forbidden, match="TLS"):
        knock("198.51.100.1", authorization=f"Bearer {token}")
    with pytest.raises(Forbidden, match="address"):
        knock("10.9.0.1", "evil.example", authorization=f"Bearer {token}")
    local = MachineDoors(
        settings_with(tmp_path, front__trusted_proxy=["127.0.0.1"], front__public_url="https://wb.example.org"), engine
    )
    with pytest.raises(SignInRequired, match="proxy"):
        local.authorize(Knock("http", "POST", "/v1/metrics", {"host": "127.0.0.1:4318"}, ("127.0.0.1", 5)))


def shown(port: int, authority: trustme.CA, name: str) -> bytes:
    """The certificate that a server shows to a client that knows our authority and asks for `name`."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    with context.wrap_socket(plain, server_hostname=name) as secured:
        return secured.getpeercert(binary_form=True) or b""


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path, authority, issue):
    settings = config.load(tmp_path / "home", environ={}, flags=issue("one.example.org"))
    context = reach.server_context(settings)
    certificate = Certificate(settings, context)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(listen([Listener(whoami, [listening], tls=context)], stop),)
    )
    thread.start()
    try:
        first = shown(port, authority, "one.example.org")
        assert not certificate.renew()
        issue("two.example.org")
        assert certificate.renew()
        assert shown(port, authority, "two.example.org") != first
        (tmp_path / "key.pem").write_text("half")
        assert not certificate.renew()
        assert shown(port, authority, "two.example.org"), "the old one stays"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)
        loop.close()
