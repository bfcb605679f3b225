"""Real servers for the tests of the back ends, each on a free port of the loopback with an empty folder."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, need

PROMETHEUS = """
global: {scrape_interval: 1h}
storage: {tsdb: {out_of_order_time_window: 40d}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], log: Path, ready: Callable[[], object]) -> Iterator[None]:
    """A server from when it answers until the end of the block."""
    with log.open("w") as out:
        process = subprocess.Popen(list(command), stdout=out, stderr=out, cwd=log.parent)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                ready()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text()[-4000:]) from None
                time.sleep(0.05)  # a server of another make: there is no event to await
        yield
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> Callable[[], object]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return lambda: opener.open(url, timeout=1).read()


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    program = shutil.which("prometheus")
    need(program, "prometheus (Debian: prometheus)")
    (folder / "prometheus.yml").write_text(PROMETHEUS)
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(program), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}", "--web.enable-remote-write-receiver", "--log.level=error",
    ]  # fmt: skip
    with running(command, folder / "prometheus.log", answers(f"http://{address}/-/ready")):
        yield f"prometheus+http://{address}"


@contextmanager
def influxdb(folder: Path) -> Iterator[str]:
    program = shutil.which("influxd")
    need(program, "influxd (Debian: influxdb)")
    http, rpc = free_port(), free_port()
    (folder / "influxdb.conf").write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder / "meta"}"
[data]
dir = "{folder / "data"}"
wal-dir = "{folder / "wal"}"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{http}"
log-enabled = false
""")
    command = [str(program), "-config", str(folder / "influxdb.conf")]
    with running(command, folder / "influxdb.log", answers(f"http://127.0.0.1:{http}/ping")):
        yield f"influxdb+http://127.0.0.1:{http}?db=workbench"


@contextmanager
def victoriametrics(folder: Path) -> Iterator[str]:
    """Not among what CI provides: built from its Go module, looked for by its command."""
    program = shutil.which("victoria-metrics")
    if not program:
        pytest.skip("victoria-metrics (built from its Go module)")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(program), f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={address}", "-retentionPeriod=10y",
        "-search.latencyOffset=0s", "-loggerLevel=ERROR",
    ]  # fmt: skip
    with running(command, folder / "victoriametrics.log", answers(f"http://{address}/health")):
        yield f"victoriametrics+http://{address}"


@contextmanager
def bigquery(folder: Path) -> Iterator[str]:
    """An emulator of BigQuery in an environment of its own below `.cache`, where CI puts it."""
    python = ROOT / ".cache" / "bqemulator" / "bin" / "python"
    need(python.exists(), "bqemulator (python -m venv .cache/bqemulator; pip install bqemulator numpy)")
    rest, grpc = free_port(), free_port()
    script = Path(__file__).with_name("bigquery_emulator.py")
    command = [
        str(python), str(script), "start", "--rest-port", str(rest), "--grpc-port", str(grpc),
        "--project", "test", "--log-level", "error",
    ]  # fmt: skip
    with running(command, folder / "bigquery.log", answers(f"http://127.0.0.1:{rest}/healthz")):
        yield f"bigquery://test/workbench?endpoint=http://127.0.0.1:{rest}"


@contextmanager
def clickhouse(folder: Path) -> Iterator[str]:
    """The engine behind ClickHouse's HTTP interface, in a process of its own; Debian's server is years old."""
    port = free_port()
    script = Path(__file__).with_name("clickhouse_http.py")
    command = [sys.executable, str(script), str(port), str(folder / "data")]
    with running(command, folder / "clickhouse.log", answers(f"http://127.0.0.1:{port}/ping")):
        yield f"clickhouse://me:secret@127.0.0.1:{port}/other"
