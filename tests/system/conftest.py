"""A whole workbench, started as a user starts it, on free ports and a home of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT

START_SECONDS = 120


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30, every: float = 0.05) -> Any:
    """Poll a real condition until it holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what}")


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Workbench:
    """A running workbench, seen from outside: its command line and its doors."""

    home: Path
    process: subprocess.Popen | None = None
    environment: dict[str, str] | None = None

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command of the workbench on this home."""
        command = [sys.executable, "-m", "workbench.cli", *arguments, "--home", str(self.home)]
        return subprocess.run(
            command, capture_output=True, text=True, check=check, cwd=ROOT, timeout=120, env=self.environment
        )

    def up(self, *flags: str) -> Workbench:
        """Start it and wait until it says that it runs."""
        self.environment = {**os.environ, **(self.environment or {})}
        ports = [text for name in ("port", "notebook-port", "ingest-port", "grpc-port") for text in (f"--{name}", "0")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workbench.cli", "up", "--home", str(self.home), "--no-browser", *ports, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=self.environment,
            start_new_session=True,
        )
        try:
            wait_for(self.ready, "the workbench answers /readyz", START_SECONDS)
        except BaseException:
            self.down()  # else it would go on beside the tests that follow
            raise
        return self

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"up ended with {self.process.returncode}: {self.process.stdout.read()}")
        if self.status()["state"] != "running":
            return False
        try:
            return self.get("/readyz", token=None)[0] == 200
        except OSError:
            return False

    def status(self) -> dict[str, Any]:
        """`workbench status --json`."""
        return json.loads(self.command("status", "--json", check=False).stdout)

    def pid(self, name: str) -> int:
        """Process id of one of its processes."""
        return next(process["pid"] for process in self.status()["processes"] if process["name"] == name)

    def token(self, role: str) -> str:
        """A new token of that role."""
        return self.command("token", "create", "--role", role).stdout.strip().splitlines()[-1]

    def browser(self) -> httpx.Client:
        """A client with the owner's session, as a browser is after the sign-in link."""
        address, _, secret = self.command("open").stdout.strip().partition("/signin#")
        trust = ssl.create_default_context()  # with SSL_CERT_FILE, an authority of the tests
        client = httpx.Client(base_url=address, follow_redirects=True, trust_env=False, timeout=60, verify=trust)
        answer = client.post("/signin", data={"link": secret, "next": "/reports/"}, headers={"Origin": address})
        assert answer.status_code == 200, answer.text
        return client

    def get(self, path: str, *, token: str | None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """GET from the main port: (status, body)."""
        return request(self.status()["url"].rstrip("/") + path, token=token, headers=headers)

    def query(self, expr: str, token: str, **parameters: Any) -> list[dict[str, Any]]:
        """The `result` of `/api/v1/query` (`/api/v1/query_range` if `start` is given)."""
        path = "/api/v1/query_range" if "start" in parameters else "/api/v1/query"
        text = urllib.parse.urlencode({"query": expr, **parameters})
        status, body = self.get(f"{path}?{text}", token=token)
        document = json.loads(body)
        assert status == 200, document
        assert document["status"] == "success", document
        return document["data"]["result"]

    def down(self) -> str:
        """End it as Ctrl-C does; returns what it printed."""
        if self.process is None:
            return ""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        output, _ = self.process.communicate(timeout=30)
        return output


def request(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """One HTTP request without a proxy: (status, body), whatever the status."""
    sent = dict(headers or {})
    if token:
        sent["Authorization"] = f"Bearer {token}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, body, sent, method=method), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A workbench without the simulated platform, for the tests of one file."""
    made = Workbench(tmp_path_factory.mktemp("workbench") / "home").up("--no-demo")
    yield made
    made.down()
