"""What was acknowledged is found, once, however often the hub is killed in the middle of its work."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest

from benchmarks.load import Client, run_clients
from system.conftest import Workbench, wait_for
from workbench.config import load
from workbench.store import Lake, compact, open_view, open_writer

CLIENTS = 8
SERIES = 700
PERIOD_SECONDS = 0.1  # 8 x 700 / 0.1 s = 56,000 samples/s
KILLS = 3


def kill_hub(workbench: Workbench, pause: float, stop: threading.Event) -> int:
    """kill -9 the hub at a moment it does not choose, and wait until another one has taken its place."""
    stop.wait(pause)
    before = workbench.pid("hub")
    os.kill(before, signal.SIGKILL)

    def restarted() -> bool:
        found = [process for process in workbench.status()["processes"] if process["name"] == "hub"]
        return bool(found) and found[0]["pid"] not in {before, None, 0} and found[0]["state"] == "running"

    wait_for(restarted, "a new hub", 30)
    wait_for(lambda: workbench.get("/readyz", token=None)[0] == 200, "the new hub takes writes", 60)
    return before


def count_by_independent_reader(home: Path, *, compacted: bool) -> dict[str, tuple[int, int]]:
    """client -> (rows, distinct rows) of the load in the Delta tables, read by polars alone."""
    series = (
        pl.scan_delta(str(home / "lake" / "series"))
        .filter(pl.col("name") == "load_samples")
        .sort("segment", "row")
        .unique("series", keep="last")
        .with_columns(client=pl.col("attributes").map.get("client"))
        .select("series", "client")
    )  # fmt: skip
    samples = pl.scan_delta(str(home / "lake" / "samples")).select("series", "time", "type", "segment", "row")
    if not compacted:
        samples = samples.sort("segment", "row").unique(["series", "time", "type"], keep="last")
    rows = samples.join(series, on="series").group_by("client").agg(
        rows=pl.len(), distinct=pl.struct("series", "time", "type").n_unique()
    )  # fmt: skip
    return {row["client"]: (row["rows"], row["distinct"]) for row in rows.collect().iter_rows(named=True)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_acknowledged_is_found_once_after_kills(tmp_path: Path):
    # Short segments, so that kills fall into seals and compactions too.
    settings = {
        "WORKBENCH_LOG_SEGMENT_SECONDS": "2",
        "WORKBENCH_LAKE_COMPACT_AFTER_FILES": "2",
        "WORKBENCH_LAKE_COMPACT_EVERY_SECONDS": "2",
        "WORKBENCH_LAKE_COMPACT_BLOCK_SECONDS": "6",
    }
    workbench = Workbench(tmp_path / "home", environment=settings).up("--no-demo")
    try:
        ingest = urlsplit(workbench.status()["ingest_url"])
        token = workbench.token("ingest")
        clients = [
            Client((ingest.hostname, ingest.port), token, number, SERIES, PERIOD_SECONDS) for number in range(CLIENTS)
        ]
        stop = threading.Event()
        threads = run_clients(clients, stop)
        chance = random.Random(20261124)
        for _ in range(KILLS):
            kill_hub(workbench, chance.uniform(2, 6), stop)
        stop.wait(2)
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        assert sum(client.retries for client in clients) > 0, "no kill was felt: the test shows nothing"
        expected = {str(client.number): client.acknowledged * SERIES for client in clients}
        found = workbench.query("sum by (client) (count_over_time(load_samples[30m]))", workbench.token("viewer"))
        assert {row["metric"]["client"]: int(row["value"][1]) for row in found} == expected
    finally:
        workbench.down()
    # The workbench is down: what is not sealed yet is sealed by the next writer, and another engine counts.
    writer = open_writer(load(workbench.home))
    writer.seal()
    writer.close()
    assert count_by_independent_reader(workbench.home, compacted=False) == {
        client: (count, count) for client, count in expected.items()
    }
    assert compact(Lake(load(workbench.home)), time.time_ns() // 1000, everything=True)
    assert count_by_independent_reader(workbench.home, compacted=True) == {
        client: (count, count) for client, count in expected.items()
    }
    view = open_view(load(workbench.home))
    assert len(view.registry) >= CLIENTS * SERIES
    view.close()
