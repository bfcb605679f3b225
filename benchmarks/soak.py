"""`make soak`: kill -9 the hub again and again under load; what was acknowledged must be found, once.

    make soak ARGS="--kills 20"

Segments, blocks and compaction are made short, so that kills fall into the middle of seals and compactions.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import threading
import time
from urllib.parse import quote

from benchmarks.__main__ import write
from benchmarks.load import Client, run_clients
from benchmarks.machine import Running, until, workbench

CLIENTS, SERIES, PERIOD_SECONDS = 8, 700, 0.1  # 56,000 samples/s
SETTINGS = {
    "WORKBENCH_LOG_SEGMENT_SECONDS": "2",
    "WORKBENCH_LAKE_COMPACT_AFTER_FILES": "2",
    "WORKBENCH_LAKE_COMPACT_EVERY_SECONDS": "2",
    "WORKBENCH_LAKE_COMPACT_BLOCK_SECONDS": "6",
}


def main() -> int:
    """Exit code 0 if nothing was lost or doubled."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with workbench("--no-demo", settings=SETTINGS) as ours:
        port = int(ours.status()["ingest_url"].rstrip("/").rpartition(":")[2])
        token = ours.token("ingest")
        clients = [Client(("127.0.0.1", port), token, number, SERIES, PERIOD_SECONDS) for number in range(CLIENTS)]
        stop, begun, away_seconds = threading.Event(), time.monotonic(), []
        threads = run_clients(clients, stop)
        for number in range(1, options.kills + 1):
            time.sleep(chance.uniform(1.5, 6))
            away_seconds.append(kill(ours))
            total = sum(client.acknowledged for client in clients) * SERIES
            print(f"kill {number}: back after {away_seconds[-1]:.1f} s, {total:,} samples acknowledged", flush=True)
        time.sleep(3)
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
        seconds = time.monotonic() - begun
        expected = {str(client.number): client.acknowledged * SERIES for client in clients}
        found = counted(ours)
    lost = {name: (count, found.get(name, 0)) for name, count in expected.items() if found.get(name, 0) != count}
    rate = sum(expected.values()) / seconds
    verdict = "nothing lost, nothing doubled" if not lost else f"LOST OR DOUBLED (acknowledged, found): {lost}"
    print(section(options.kills, sum(expected.values()), rate, away_seconds, verdict))
    write("soak", section(options.kills, sum(expected.values()), rate, away_seconds, verdict), "make soak")
    return 1 if lost else 0


def section(kills: int, samples: int, rate: float, away_seconds: list[float], verdict: str) -> str:
    """The section of the page of benchmarks."""
    back = f"back after {statistics.median(away_seconds):.1f} s (median; longest {max(away_seconds):.1f} s)"
    return "\n".join(
        [
            "## Kills under load",
            "",
            f"{CLIENTS} writers that repeat what was not acknowledged, kill -9 of the hub {kills} times at random,",
            "with segments of 2 s and compaction every 2 s, so that kills fall into both; counted by the query API.",
            "",
            f"{samples:,} samples acknowledged ({rate:,.0f}/s, pauses included); {back} on busy cores: **{verdict}**.",
        ]
    )


def kill(ours: Running) -> float:
    """kill -9 the hub; seconds until another one takes writes."""
    before = ours.pid("hub")
    os.kill(before, signal.SIGKILL)
    begun = time.monotonic()
    until(lambda: ours.pid("hub") not in {0, before}, 60)
    until(lambda: ours.get("/readyz")[0] == 200, 120)
    return time.monotonic() - begun


def counted(ours: Running) -> dict[str, int]:
    """client -> samples found by the query API."""
    expr = quote("sum by (client) (count_over_time(load_samples[2h]))")
    status, body = ours.get(f"/api/v1/query?query={expr}", ours.token("viewer"))
    if status != 200:
        raise RuntimeError(f"the query answered {status}: {body[:200]!r}")
    return {row["metric"]["client"]: int(row["value"][1]) for row in json.loads(body)["data"]["result"]}


if __name__ == "__main__":
    sys.exit(main())
