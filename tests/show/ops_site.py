"""The drill-down over a store with known numbers, behind the front's proxy on a real port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tornado.ioloop import IOLoop

from workbench.alert.manager import alert_rows
from workbench.config import Settings
from workbench.query import limited, parse_matchers, range_query
from workbench.schema import KINDS
from workbench.serve.identity.people import Person
from workbench.serve.running.listen import Listener, listen, unix_socket
from workbench.serve.running.proxy import Proxy, Upstream
from workbench.show import SHIPPED_DASHBOARDS, Board, Caller, Surroundings, Ways, drill_server
from workbench.store import Identity, Writer, open_writer

HOSTILE = """</script><img src=x onerror="document.title='owned'">'{{7*7}}"""
STEP_SECONDS = 15
SURGE_SECONDS = 900
"""So long before the start, `/slow` began to take six times as long."""


class Site:
    """A store, its drill-down and the proxy; `person` is who asks next, `rows` what he may see."""

    def __init__(self, settings: Settings, folder: Path, *, sessions_max: int = 8) -> None:
        self.home = settings.home
        self.writer = open_writer(settings)
        self.started_us = time.time_ns() // 1_000_000_000 * 1_000_000
        fill(self.writer, self.started_us)
        self.person = Person("user:1", "operator")
        self.rows = ""
        self.kept: dict[str, bytes] = {}
        self.sessions_max = sessions_max
        self.file = folder / "ops.sock"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def keep(self, name: str, notebook: bytes) -> str:
        self.kept[name] = notebook
        return "/ops/?section=users"

    def view_of(self, _: Caller) -> tuple[Any, Any]:
        matchers = parse_matchers(self.rows) if self.rows else ()
        return (limited(self.writer.view, matchers) if matchers else self.writer.view), matchers

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        board = Board(
            SHIPPED_DASHBOARDS / "operations.yaml",
            evaluate=lambda view, expr, start, end, step: range_query(view, expr, start, end, step),
        )
        main = "http://127.0.0.1:1"
        ways = Ways(
            f"{main}/", (("Live", f"{main}/live/overview"), ("Operations", f"{main}/to/ops/")), f"{main}/to/ops/"
        )
        around = Surroundings(
            board,
            self.view_of,
            ways=lambda _: ways,
            keep_of=lambda caller: self.keep if caller.role == "analyst" else None,
            sessions_max=self.sessions_max,
        )
        self.bokeh, server = drill_server(around, IOLoop.current())
        await board.warm(self.writer.view, ())
        listening = unix_socket(self.file)
        listening.setblocking(False)
        server.add_socket(listening)
        self.bokeh.start()

        async def nothing(_: Person) -> str:
            return ""

        proxy = Proxy("The operations view", lambda _: Upstream(socket=self.file), nothing)

        async def front(scope: Any, receive: Any, send: Any) -> None:
            await proxy({**scope, "state": {"person": self.person}}, receive, send)

        self._loop.call_later(0.05, self._ready.set)
        await listen([Listener(front, [self._listener], websockets=True)], self._stop)
        self.bokeh.stop()

    def on_loop(self, run: Any) -> Any:
        """What `run` gives when it is called on the server's event loop."""

        async def call() -> Any:
            return run()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def sessions(self) -> int:
        return int(self.on_loop(lambda: len(self.bokeh.get_sessions("/"))))

    def drop_connections(self) -> None:
        """Close every websocket, as a network that fails does."""

        def drop() -> None:
            for connection in list(self.bokeh._tornado._clients):
                connection._socket.close()

        self.on_loop(drop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self.writer.close()


def fill(writer: Writer, now_us: int) -> None:
    """Three hours of requests by route, a queue, a cost, this host; some minutes of the future, so that it moves."""
    times = np.arange(now_us - 3 * 3_600_000_000, now_us + 600_000_000, STEP_SECONDS * 1_000_000)
    count = np.arange(len(times), dtype=float)
    late = times >= now_us - SURGE_SECONDS * 1_000_000
    for route, rate, seconds in (("/fast", 60.0, 0.05), ("/slow", 30.0, 0.1), (HOSTILE, 15.0, 0.2)):
        labels = {"job": "api_gateway", "http_route": route, "host_name": "alpha", "http_response_status_code": "200"}
        slow = np.cumsum(np.where(late & (route == "/slow"), 6 * seconds, seconds) * rate)
        write(writer, "http_server_request_duration_seconds_count", labels, times, count * rate)
        write(writer, "http_server_request_duration_seconds_sum", labels, times, slow)
    for queue, job, level in (("generate", "orchestrator", 5.0), ("publish", "orchestrator", 2.0)):
        wave = level + np.sin(count / 7) * 0.3
        write(writer, "synth_queue_depth", {"job": job, "synth_queue": queue, "host_name": "beta"}, times, wave)
    for domain, level in (("arts", 0.95), ("science", 0.9)):
        labels = {"job": "quality_assurance", "synth_domain": domain, "host_name": "beta"}
        write(writer, "synth_quality_accuracy_ratio", labels, times, np.full(len(times), level))
    host = {"job": "host", "host_name": "gamma", "cpu_mode": "user"}
    write(writer, "system_cpu_utilization_ratio", host, times, 0.2 + np.sin(count / 5) * 0.05, simulated=False)
    alert = {
        "fingerprint": "f1",
        "labels": {"alertname": "SlowRequests", "severity": "critical", "http_route": HOSTILE},
        "value": 1.0,
        "annotations": {},
    }
    firing = {**alert, "state": "firing", "time_us": now_us - 800_000_000}
    ended = {**alert, "state": "resolved", "time_us": now_us - 300_000_000}
    writer.append({"alerts": alert_rows([firing, ended])}).result(30)


def write(
    writer: Writer,
    name: str,
    labels: dict[str, str],
    times_us: np.ndarray,
    values: np.ndarray,
    *,
    simulated: bool = True,
) -> None:
    """One Prometheus series."""
    if simulated:
        labels = {**labels, "deployment_environment_name": "simulated"}
    identity = Identity("prometheus", name, "gauge", "", "", (), tuple(sorted(labels.items())))
    (number,) = writer.register([(identity, "", "")], "test")
    schema = KINDS["samples"].schema
    given = {
        "series": pa.array(np.full(len(times_us), number)),
        "time": pa.array(times_us.astype(np.int64)),
        "type": pa.array(np.zeros(len(times_us), np.int8)),
        "value": pa.array(values),
    }
    columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(len(times_us), f.type) for f in schema]
    writer.append({"samples": pa.RecordBatch.from_arrays(columns, schema=schema)}).result(30)


@contextlib.contextmanager
def site(settings: Settings, folder: Path, **options: Any) -> Iterator[Site]:
    """A site that ends with the block."""
    found = Site(settings, folder, **options)
    try:
        yield found
    finally:
        found.close()
