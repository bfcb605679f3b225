"""What every benchmark needs: a workbench of its own, processes pinned to cores, CPU seconds of a process tree."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Running:
    """A workbench that runs for a benchmark."""

    home: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def command(self, *arguments: str) -> str:
        """Output of a command of the workbench on this home."""
        run = subprocess.run(
            [sys.executable, "-m", "workbench.cli", *arguments, "--home", str(self.home)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self.environment,
        )
        return run.stdout

    def status(self) -> dict[str, Any]:
        """`workbench status --json`."""
        return dict(json.loads(self.command("status", "--json")))

    def token(self, role: str) -> str:
        """A new token of that role."""
        return self.command("token", "create", "--role", role).strip().splitlines()[-1]

    def pid(self, name: str) -> int:
        """Process id of one of its processes, 0 while it has none."""
        return next((entry["pid"] or 0 for entry in self.status()["processes"] if entry["name"] == name), 0)

    def get(self, path: str, token: str | None = None) -> tuple[int, bytes]:
        """GET from the main port: (status, body)."""
        return get(self.status()["url"].rstrip("/") + path, token)


@contextlib.contextmanager
def workbench(
    *flags: str, settings: dict[str, str] | None = None, rules: str = "", board: str = "", home: Path | None = None
) -> Iterator[Running]:
    """A workbench on a new home, or the one given, and free ports, ready; with a rule file and a dashboard `probe`."""
    folder = Path(tempfile.mkdtemp(prefix="workbench-bench-"))
    home = home or folder / "home"
    for name, text in (("rules/probe.yaml", rules), ("dashboards/probe.yaml", board)):
        if text:
            (home / name).parent.mkdir(parents=True, mode=0o700)
            (home / name).write_text(text)
    ports = [part for name in ("port", "notebook-port", "ingest-port", "grpc-port") for part in (f"--{name}", "0")]
    environment = {**os.environ, **(settings or {})}
    command = [sys.executable, "-m", "workbench.cli", "up", "--home", str(home), "--no-browser", *ports, *flags]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    running = Running(home, process, environment)
    try:
        until(lambda: running.status()["state"] == "running", 120)
        until(lambda: running.get("/readyz")[0] == 200, 120)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def get(url: str, token: str | None = None) -> tuple[int, bytes]:
    """GET without a proxy: (status, body), status 0 where nobody answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with OPENER.open(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def until(condition: Callable[[], Any], seconds: float) -> Any:
    """Poll until a condition holds and give what it gave; TimeoutError where it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not within {seconds} s")


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def pin(pid: int, core: int) -> None:
    """Bind every thread of a process to one core, where the system can."""
    with contextlib.suppress(AttributeError, OSError, psutil.Error):
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, {core})


def describe() -> str:
    """The machine in a line."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {system}"
