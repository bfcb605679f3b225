"""Ingest on one core: remote-write bodies of 10,000 series, to the workbench and to Prometheus in turns."""

from __future__ import annotations

import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.load import MEDIA_TYPE, Body
from benchmarks.machine import cpu_seconds, free_port, get, pin, until, workbench

SERIES = 10_000
ROUNDS = 5
ROUND_SECONDS = 6.0
WRITERS = 2
LABELS = {
    "job": "bench", "instance": "host-1:9100", "region": "eu-central", "zone": "a", "service": "checkout",
    "environment": "bench", "version": "1.2.3",
}  # fmt: skip


def run() -> str:
    """Measure, and return the section of the page."""
    binary = shutil.which("prometheus")
    with workbench("--no-demo") as ours:
        hub, token = ours.pid("hub"), ours.token("ingest")
        port = int(ours.status()["ingest_url"].rstrip("/").rpartition(":")[2])
        targets = {"workbench": (hub, port, {"Authorization": f"Bearer {token}"})}
        server, folder = (None, None)
        if binary:
            server, folder, prometheus_port = _prometheus(binary)
            targets["Prometheus"] = (server.pid, prometheus_port, {})
        try:
            for pid, port_, headers in targets.values():
                _write(port_, headers, 2.0)  # first sight of the series, and compiled kernels
                pin(pid, 0)
            os.sched_setaffinity(0, {1})
            rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in targets}
            for _ in range(ROUNDS):
                for name, (pid, port_, headers) in targets.items():
                    pin(pid, 0)
                    before = cpu_seconds(pid)
                    samples, seconds = _write(port_, headers, ROUND_SECONDS)
                    rounds[name].append((samples / seconds, (cpu_seconds(pid) - before) / samples * 1e6))
        finally:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            if server is not None:
                server.terminate()
                server.wait(timeout=30)
                shutil.rmtree(folder, ignore_errors=True)
    return _section(rounds, binary)


def _prometheus(binary: str) -> tuple[subprocess.Popen[bytes], Path, int]:
    folder, port = Path(tempfile.mkdtemp(prefix="prometheus-bench-")), free_port()
    (folder / "prometheus.yml").write_text("global: {}\n")
    server = subprocess.Popen(
        [
            binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
        ],
        env={**os.environ, "GOMAXPROCS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: get(f"http://127.0.0.1:{port}/-/ready")[0] == 200, 30)
    return server, folder, port


def _write(port: int, headers: dict[str, str], seconds: float) -> tuple[int, float]:
    """Write as fast as it is acknowledged, from WRITERS connections; (samples, seconds)."""
    counts = [0] * WRITERS
    begun = time.monotonic()

    def writer(number: int) -> None:
        time_ms = time.time_ns() // 1_000_000
        body = Body("bench_samples", SERIES, {**LABELS, "writer": str(number)}, time_ms)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        values = np.arange(SERIES, dtype=float)
        while time.monotonic() - begun < seconds:
            time_ms = max(time_ms + 1, time.time_ns() // 1_000_000)
            connection.request("POST", "/api/v1/write", body.at(time_ms, values), {**MEDIA_TYPE, **headers})
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"answered {answer.status}")
            values += 1
            counts[number] += SERIES

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), time.monotonic() - begun


def _section(rounds: dict[str, list[tuple[float, float]]], binary: str | None) -> str:
    lines = [
        "## Ingest on one core",
        "",
        f"Remote write 1.0, {SERIES:,} series x {len(LABELS) + 3} labels a body, {WRITERS} connections. Each server is",
        f"pinned to a core, the writers to another; {ROUNDS} turns of {ROUND_SECONDS:.0f} s; median (spread).",
        "Ours answers after `fdatasync` of its log, Prometheus before.",
        "",
        "| server | samples/s | CPU us/sample |",
        "|---|---|---|",
    ]
    for name, found in rounds.items():
        rates, costs = [rate for rate, _ in found], [cost for _, cost in found]
        spread = f"{statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
        lines.append(f"| {name} | {spread} | {statistics.median(costs):.2f} |")
    if binary:
        ratios = [a[0] / b[0] for a, b in zip(rounds["workbench"], rounds["Prometheus"], strict=True)]
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout.split()[2]
        ratio = f"**{statistics.median(ratios):.2f}x** ({min(ratios):.2f}-{max(ratios):.2f})"
        lines += ["", f"Workbench / Prometheus {version}, round by round: {ratio}."]
    else:
        lines += ["", "No Prometheus on this machine: not compared."]
    return "\n".join(lines)
