"""The run: fill, ask in turns, compare the answers, and say what was found."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.machine import workbench
from benchmarks.tsbs import ours, peers
from benchmarks.tsbs.data import Load
from benchmarks.tsbs.peers import Peer
from benchmarks.tsbs.shapes import HOUR_US, Shape, dashboard, shapes

SETTINGS = {"WORKBENCH_INDEX_WINDOW_DAYS": "45", "WORKBENCH_QUERY_MAX_SAMPLES": "500000000"}
_ALIKE = 1e-9


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Sizes of the run; by default the small form, of a few minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tsbs", description=__doc__)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=100)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rough", action="store_true", help="with jitter, gaps, resets and churn")
    parser.add_argument("--dashboard", action="store_true", help="twelve panels over all the time, in place of TSBS")
    parser.add_argument("--step", type=int, default=10, help="seconds between samples")
    return parser.parse_args(given)


def run(options: argparse.Namespace) -> str:
    """Measure, and return the section of the page."""
    # The end of a block, and before what either server still holds in memory because it is recent.
    end_us = (time.time_ns() // 1000 - 3 * HOUR_US) // (2 * HOUR_US) * 2 * HOUR_US
    load = Load(options.hosts, options.metrics, options.hours, end_us, options.step, options.rough)
    asked = dashboard(load) if options.dashboard else shapes(load)
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(peers.started(name, path)) for name, path in peers.binaries().items()]
        if targets:
            peers.feed(targets, load)
        folder = Path(tempfile.mkdtemp(prefix="tsbs-ours-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        spent = ours.fill(folder / "home", [load])
        sizes: dict[str, float | None] = {peer.name: peers.bytes_a_sample(peer) for peer in targets}
        sizes |= ours.bytes_a_sample(folder / "home")
        running = stack.enter_context(workbench("--no-demo", settings=SETTINGS, home=folder / "home"))
        port = int(running.status()["url"].rstrip("/").rpartition(":")[2])
        mine = Peer("workbench", "", port, folder, running.pid("front"), running.token("viewer"))
        return section(load, spent, sizes, measure([mine, *targets], asked, load.end_us, options.rounds))


Found = dict[str, dict[str, list[float]]]
"""Shape -> server, or `<server> CPU` -> seconds of each round; `differs` counts points off Prometheus'."""


def measure(servers: list[Peer], asked: list[Shape], end_us: int, rounds: int) -> Found:
    """Ask every server every question in turns: seconds by question and server. The first round is not counted."""
    connections = {peer.name: http.client.HTTPConnection("127.0.0.1", peer.port, timeout=300) for peer in servers}
    found: Found = {}
    for shape in asked:
        seconds: dict[str, list[float]] = {name: [] for peer in servers for name in (peer.name, _cpu(peer.name))}
        answers: dict[str, list[Any]] = {}
        for turn in range(rounds + 1):
            for peer in servers:
                begun, computed = time.perf_counter(), peer.cpu_seconds()
                bodies = [_ask(connections[peer.name], path, peer.token) for path in shape.paths(end_us)]
                if turn:
                    seconds[peer.name].append(time.perf_counter() - begun)
                    seconds[_cpu(peer.name)].append(peer.cpu_seconds() - computed)
                else:
                    answers[peer.name] = [orjson.loads(body)["data"]["result"] for body in bodies]
        if "Prometheus" in answers:
            seconds["differs"] = [float(_differing(answers["workbench"], answers["Prometheus"]))]
        found[shape.name] = seconds
        print(shape.name, {k: f"{statistics.median(v) * 1000:.1f} ms" for k, v in seconds.items()}, flush=True)
    return found


def _cpu(name: str) -> str:
    return f"{name} CPU"


def _ask(connection: http.client.HTTPConnection, path: str, token: str) -> bytes:
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"answered {answer.status}: {body[:300]!r}")
    return body


def _differing(ours_: list[Any], theirs: list[Any]) -> int:
    """Points that are not within 1e-9 of Prometheus', or that only one of the two has."""
    wrong = 0
    for mine, other in zip(map(_points, ours_), map(_points, theirs), strict=True):
        wrong += len(mine.keys() ^ other.keys())
        wrong += sum(abs(mine[k] - other[k]) > _ALIKE * max(abs(other[k]), 1e-300) for k in mine.keys() & other.keys())
    return wrong


def _points(result: list[Any]) -> dict[tuple[str, float], float]:
    return {
        (str(sorted(entry["metric"].items())), point[0]): float(point[1])
        for entry in result
        for point in entry.get("values", [entry.get("value")])
    }


def section(load: Load, spent: dict[str, float], sizes: dict[str, float | None], found: Found) -> str:
    """The tables, in Markdown."""
    servers = [name for name in next(iter(found.values())) if name != "differs" and not name.endswith(" CPU")]
    theirs = servers[1:]
    kind = "rough (jitter, gaps, resets, churn)" if load.rough else "steady"
    lines = [
        f"{load.hosts} hosts x {load.metrics} metrics, {load.step_seconds} s, {load.hours} h: {sizes['samples']:,.0f}",
        f"samples, {kind}, simulated. Over HTTP, warm, in turns; medians, ms of wall. "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items()) + ".",
        "",
        "| " + " | ".join(["question", *servers, *(f"{name} / ours (by CPU)" for name in theirs), "differs"]) + " |",
        "|---" * (2 + len(servers) + len(theirs)) + "|",
    ]  # fmt: skip
    for name, seconds in found.items():
        middle = {server: statistics.median(found_) * 1000 for server, found_ in seconds.items()}
        cells = [f"{middle[server]:.1f}" for server in servers]
        cells += [
            f"{middle[server] / middle['workbench']:.1f}x ({middle[_cpu(server)] / middle[_cpu('workbench')]:.1f}x)"
            for server in theirs
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {seconds.get('differs', [0])[0]:.0f} |")
    every = sorted(second * 1000 for seconds in found.values() for second in seconds["workbench"])
    lines += [
        "",
        f"Ours over all: median {every[len(every) // 2]:.0f} ms, p95 {every[len(every) * 19 // 20]:.0f} ms.",
        "",
        "| bytes a sample | " + " | ".join(name for name in sizes if name != "samples") + " |",
        "|---" * len(sizes) + "|",
        "| | " + " | ".join(f"{size:.2f}" if size else "-" for name, size in sizes.items() if name != "samples") + " |",
    ]  # fmt: skip
    return "\n".join(lines)
