"""From an event to the alert and to the page, while 10,000 samples a second come in.

A probe sends one sample that crosses a threshold. The clock starts when it is measured (just before it is sent) and
ends when a webhook has the alert, and when an event stream of the page has the value.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import statistics
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from benchmarks.load import MEDIA_TYPE, Body, Client, run_clients
from benchmarks.machine import Running, workbench

PROBES = 60
PAUSE_SECONDS = 1.6
BACKGROUND = 10_000  # samples per second
RULES = """
groups:
  - name: probe
    interval: 1s
    rules:
      - alert: Probe
        expr: probe_value > 0
"""
BOARD = """
title: Probe
description: The newest probe.
filters: {range: {default: 5m, offered: [5m]}}
sections:
  - title: Probe
    tiles:
      - {id: newest, type: stat, title: Newest, expr: max(probe_value), unit: count}
"""


def run() -> str:
    """Measure, and return the section of the page."""
    hook = _Hook()
    settings = {"WORKBENCH_ALERT_NOTIFY": f"http://127.0.0.1:{hook.server_port}/"}
    with workbench("--no-demo", settings=settings, rules=RULES, board=BOARD) as ours:
        token = ours.token("ingest")
        port = int(ours.status()["ingest_url"].rstrip("/").rpartition(":")[2])
        stop = threading.Event()
        load = [Client(("127.0.0.1", port), token, number, BACKGROUND // 10, 0.2) for number in range(2)]
        threads = run_clients(load, stop)
        page = _Page(ours)
        begun = time.monotonic()
        sent = _probe(port, token, hook)
        seconds = time.monotonic() - begun
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
        page.close()
    hook.shutdown()
    to_alert = [hook.seen[number] - at for number, at in sent.items() if number in hook.seen]
    to_page = [page.seen[number] - at for number, at in sent.items() if number in page.seen]
    rate = sum(client.acknowledged * client.series for client in load) / seconds
    acknowledged = [latency for client in load for latency in client.latencies_seconds]
    return "\n".join(
        [
            "## From an event to people",
            "",
            f"{PROBES} probes at random moments beside {rate:,.0f} samples/s of remote write; the rule runs every 1 s.",
            "The clock starts before the sample is sent.",
            "",
            "| from the measurement to | p50 | p99 | arrived |",
            "|---|---|---|---|",
            _row("the alert at a webhook", to_alert),
            _row("the value on a page's event stream", to_page),
            _row("the acknowledgement of a write (durable)", acknowledged),
        ]
    )


def _row(what: str, found: list[float]) -> str:
    if not found:
        return f"| {what} | - | - | 0 |"
    p50, p99 = statistics.median(found), float(np.quantile(found, 0.99))
    return f"| {what} | {p50 * 1000:,.0f} ms | {p99 * 1000:,.0f} ms | {len(found)} |"


def _probe(port: int, token: str, hook: _Hook) -> dict[int, float]:
    chance, sent = random.Random(7), {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(1, PROBES + 1):
        time.sleep(PAUSE_SECONDS * chance.uniform(0.5, 1.5))
        at = time.time()
        body = Body("probe_value", 1, {"probe": str(number)}, int(at * 1000))
        connection.request(
            "POST",
            "/api/v1/write",
            body.at(int(at * 1000), np.array([float(number)])),
            {**MEDIA_TYPE, "Authorization": f"Bearer {token}"},
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"answered {answer.status}")
        sent[number] = at
    deadline = time.monotonic() + 10
    while len(hook.seen) < PROBES and time.monotonic() < deadline:
        time.sleep(0.1)
    return sent


class _Hook(ThreadingHTTPServer):
    """A webhook that notes when each probe's alert came first."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                now = time.time()
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in document["alerts"]:
                    if alert["labels"]["alertname"] == "Probe":
                        hook.seen.setdefault(int(alert["labels"]["probe"]), now)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Page:
    """Reads the event stream of the probe's page, as a browser does."""

    def __init__(self, ours: Running) -> None:
        self.seen: dict[int, float] = {}
        host, _, port = ours.status()["url"].split("/")[2].rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=60)
        self._connection.request(
            "GET", "/live/probe/stream", headers={"Authorization": f"Bearer {ours.token('viewer')}"}
        )
        self._answer = self._connection.getresponse()
        if self._answer.status != 200:
            raise RuntimeError(f"the stream answered {self._answer.status}")
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        """Leave the page."""
        self._connection.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for line in self._answer:
                if not line.startswith(b"data:"):
                    continue
                now = time.time()
                tile = json.loads(line[5:]).get("tiles", {}).get("newest", {})
                for value in tile.get("values", {}).values():
                    if value is not None:
                        self.seen.setdefault(int(value), now)
