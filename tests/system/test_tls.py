"""A whole workbench that is reached from elsewhere: TLS of its own, a certificate of an authority of ours."""

from __future__ import annotations

import csv
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import psutil
import pytest
import trustme
from conftest import need

from .conftest import Workbench, free_port, wait_for

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
OTLP = {"Content-Type": "application/x-protobuf"}


def outer_address() -> str:
    """An IPv4 address of this machine that is not loopback, or the empty string."""
    found = (one.address for card in psutil.net_if_addrs().values() for one in card if one.family == socket.AF_INET)
    return next((address for address in found if not address.startswith(("127.", "169.254."))), "")


@pytest.fixture(scope="module")
def outer() -> str:
    found = outer_address()
    need(found, "a network card other than loopback is needed")
    return found


@pytest.fixture(scope="module")
def reached(outer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A workbench on every address; what the tests open knows its authority, as a browser would."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert(outer)
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        made = Workbench(folder / "home")
        try:
            yield made.up(
                "--no-demo", "--bind", "0.0.0.0", "--port", str(port), "--public-url", f"https://{outer}:{port}",
                "--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"),
            )  # fmt: skip
        finally:
            made.down()


def test_people_come_in_over_tls_and_stay_on_it(reached: Workbench, outer: str):
    status = reached.status()
    assert status["url"].startswith(f"https://{outer}:")
    assert status["notebook_url"].startswith(f"https://{outer}:")
    with closing(reached.browser()) as browser:
        assert browser.base_url.scheme == "https"
        (cookie,) = [one for one in browser.cookies.jar if one.name.startswith("workbench_")]
        assert cookie.secure
        answer = browser.get("/people/")
        assert answer.status_code == 200
        assert "max-age" in answer.headers["strict-transport-security"]
        across = browser.get("/to/lab/nowhere", follow_redirects=False).headers["location"]
        assert across.startswith(status["notebook_url"] + "/enter?")
        own = {"Origin": status["url"]}
        assert browser.post("/people/me/link", headers=own).status_code == 200
        assert 'class="qr"' in browser.post("/people/me/link", headers=own).text
        for origin in (status["url"].replace("https", "http"), status["notebook_url"], "https://evil.example"):
            assert browser.post("/people/me/link", headers={"Origin": origin}).status_code == 403


def test_a_user_is_invited_comes_in_and_is_shut_out_while_it_runs(reached: Workbench):
    link = reached.command("user", "add", "anna", "--role", "viewer").stdout.strip()
    address, _, secret = link.partition("/signin#")
    assert address == reached.status()["url"]
    trust = ssl.create_default_context()
    with httpx.Client(base_url=address, verify=trust, trust_env=False, headers={"Origin": address}, timeout=60) as anna:
        assert anna.post("/signin", data={"link": secret}).headers["location"] == "/people/me?welcome"
        words = "seven lamps under water"
        assert anna.post("/people/me/password", data={"password": words, "again": words}).status_code == 200
        anna.cookies.clear()
        assert anna.post("/signin", data={"name": "anna", "password": words}).status_code == 303
        assert anna.get("/people/me").status_code == 200
        assert anna.get("/people/").status_code == 403
        reached.command("user", "role", "anna", "--role", "admin")
        wait_for(lambda: anna.get("/people/").status_code == 200, "the new role is felt")
        reached.command("user", "disable", "anna")
        wait_for(lambda: anna.get("/people/me").status_code == 401, "the end of the session is felt")
    question = "SELECT actor, action, target FROM audit ORDER BY time"
    rows = csv.reader(reached.command("query", "--sql", question, "--format", "csv").stdout.splitlines())
    kept = [row for row in rows if row[-1] == "anna"]
    assert [action for _, action, _ in kept] == ["user.add", "user.password", "user.role", "user.disable"]
    assert kept[0][0].startswith("command line")
    assert kept[1][0].startswith("user:")


def test_nothing_answers_there_without_tls(reached: Workbench):
    status = reached.status()
    for url in (status["url"], status["notebook_url"]):
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url.replace("https", "http"), trust_env=False)
    local = urlsplit(status["url"]).port
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{local}/", trust_env=False)


def test_programs_elsewhere_need_tls_and_a_token_those_here_neither(reached: Workbench, outer: str):
    status = reached.status()
    near = urlsplit(status["ingest_url"])
    assert near.scheme == "http"
    assert (
        httpx.post(f"{status['ingest_url']}/v1/metrics", headers=OTLP, trust_env=False, timeout=60).status_code == 200
    )
    far = f"https://{outer}:{near.port}/v1/metrics"
    assert far.rpartition("/v1")[0] in reached.command("status").stdout
    context = ssl.create_default_context()
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        assert client.post(far, headers=OTLP).status_code == 401
        token = {"Authorization": f"Bearer {reached.token('ingest')}"}
        assert client.post(far, headers={**OTLP, **token}).status_code == 200
        with pytest.raises(httpx.HTTPError):
            client.post(far.replace("https", "http"), headers=OTLP)


def test_grpc_the_same(reached: Workbench, outer: str):
    port = urlsplit(reached.status()["grpc_url"]).port
    authority = Path(os.environ["SSL_CERT_FILE"]).read_bytes()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as near:
        assert near.unary_unary(EXPORT)(b"", timeout=30) is not None
    with grpc.secure_channel(f"{outer}:{port}", grpc.ssl_channel_credentials(authority)) as far:
        with pytest.raises(grpc.RpcError) as refused:
            far.unary_unary(EXPORT)(b"", timeout=30)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        token = (("authorization", f"Bearer {reached.token('ingest')}"),)
        assert far.unary_unary(EXPORT)(b"", metadata=token, timeout=30) is not None
