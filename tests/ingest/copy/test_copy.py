"""Copies in both directions, against real servers; one is killed in its middle, and the next goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from store.backends import servers
from store.conftest import sample_batch

from workbench import config
from workbench.errors import InputError
from workbench.ingest import run_copy
from workbench.query import labelled_samples
from workbench.schema import KINDS, STALE_NAN_BITS
from workbench.store import Identity, LabelMatcher, open_timeseries, open_view, open_warehouse, open_writer

NOW_US = time.time_ns() // 60_000_000_000 * 60_000_000
HOURS = 8
START_US = NOW_US - HOURS * 3_600_000_000
STALE = float(np.array([STALE_NAN_BITS], np.uint64).view(np.float64)[0])
EVER = (0, 2**52)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.prometheus(tmp_path_factory.mktemp("prometheus")) as url:
        yield url


@pytest.fixture(scope="module")
def influxdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.influxdb(tmp_path_factory.mktemp("influxdb")) as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with hours of two metrics, one series of which ends, and with usage."""
    made = tmp_path_factory.mktemp("home")
    with open_writer(config.load(made, environ={})) as writer:
        names = [("load", str(host)) for host in range(3)] + [("queue", "a"), ("gone", "b")]
        identities = [
            Identity("prometheus", name, "unknown", "", "", (), (("host", host), ("job", "x"))) for name, host in names
        ]
        ids = writer.register([(one, "", "") for one in identities], "test")
        times = np.arange(START_US, NOW_US, 30_000_000)
        for number, id_ in enumerate(ids):
            values = np.sin(np.arange(len(times)) / (7 + number))
            own = times[:20] if number == 4 else times
            found = np.append(values[:19], STALE) if number == 4 else values
            writer.append({"samples": sample_batch([id_] * len(own), own, found)}).result()
        rows = [{"time": NOW_US - n * 3_600_000_000, "hash": f"h{n}", "output_tokens": n} for n in range(60)]
        writer.append({"usage": pa.RecordBatch.from_pylist(rows, schema=KINDS["usage"].schema)}).result()
        writer.seal()
    return made


def settings_of(home: Path) -> config.Settings:
    return config.load(home, environ={})


def contents(found) -> dict:
    """Labels -> (times, bits of the values), of series that have samples."""
    bits = found.values.view(np.uint64)
    return {
        labels: (found.times_us[lo:hi].tolist(), bits[lo:hi].tolist())
        for labels, lo, hi in zip(found.labels, found.offsets[:-1], found.offsets[1:], strict=True)
        if lo < hi
    }


def lake_contents(home: Path) -> dict:
    return contents(labelled_samples(open_view(settings_of(home)), [LabelMatcher("job", "=", "x")], *EVER))


def test_a_copy_that_is_killed_goes_on_and_writes_nothing_twice(home: Path, prometheus: str):
    command = [sys.executable, "-m", "workbench.cli", "copy", "--home", str(home), "--from", "lake", "--to", prometheus]
    command += ["--start", str(START_US / 1e6)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while progress(home) < 2 and process.poll() is None:
        time.sleep(0.01)  # the file of another process: there is no event to await
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = progress(home)
    result = run_copy("lake", prometheus, settings=settings_of(home), start_us=START_US)
    assert process.returncode == -signal.SIGKILL, process.stderr.read()
    assert begun >= 2
    assert result.resumed >= begun
    assert result.rows < 4 * HOURS * 120 + 20
    assert contents(open_timeseries(prometheus).read([], *EVER)) == lake_contents(home)
    again = run_copy("lake", prometheus, settings=settings_of(home), start_us=START_US)
    assert again.rows == 0
    assert "were there already" in str(again)


def progress(home: Path) -> int:
    for file in (home / "state" / "copies").glob("*.json"):
        return int(json.loads(file.read_text())["done"])
    return 0


def test_matchers_and_times_choose_and_the_lake_takes_each_step_once(home: Path, influxdb: str, tmp_path: Path):
    middle = NOW_US - HOURS * 1_800_000_000
    told = []
    out = run_copy(
        "lake", influxdb, settings=settings_of(home), match='load{host=~"0|1"}', start_us=middle, end_us=NOW_US,
        progress=lambda done, total, what: told.append((done, total, what)),
    )  # fmt: skip
    assert out.rows == 2 * HOURS * 60
    assert told[-1] == (out.pieces, out.pieces, "load")
    other = settings_of(tmp_path / "other")
    back = run_copy(influxdb, "lake", settings=other)
    assert back.rows == out.rows
    expected = {
        labels: [at for at in times if at >= middle]
        for labels, (times, _) in lake_contents(home).items()
        if dict(labels)["host"] in ("0", "1")
    }
    found = {labels: times for labels, (times, _) in lake_contents(tmp_path / "other").items()}
    assert found == expected
    # As if the run had ended between the last commit and the file that says so.
    file = next((tmp_path / "other" / "state" / "copies").glob("*.json"))
    plan = json.loads(file.read_text())
    file.write_text(json.dumps({**plan, "done": plan["done"] - 1, "loads": plan["loads"] - 1}))
    assert run_copy(influxdb, "lake", settings=other).rows == 0
    series = open_view(other).table("series").to_pylist()
    assert {row["source"] for row in series} == {f"copy:{influxdb.partition('?')[0]}"}


def test_an_open_end_goes_on_from_where_the_last_copy_ended(home: Path, influxdb: str, tmp_path: Path):
    other = settings_of(tmp_path / "other")
    url = influxdb.replace("db=workbench", "db=growing")
    store = open_timeseries(url)
    whole = labelled_samples(open_view(settings_of(home)), [LabelMatcher("__name__", "=", "queue")], *EVER)
    half = len(whole.times_us) // 2
    first = np.arange(len(whole.times_us)) < half
    store.write(whole.chosen(np.array([0]), first))
    assert run_copy(url, "lake", settings=other).rows == half
    store.write(whole.chosen(np.array([0]), ~first))
    assert run_copy(url, "lake", settings=other).rows == len(whole.times_us) - half
    assert list(lake_contents(tmp_path / "other").values()) == list(contents(whole).values())


def test_tables_go_to_a_warehouse_and_back(home: Path, tmp_path: Path):
    url = f"chdb://{tmp_path / 'warehouse'}"
    pytest.importorskip("chdb")
    out = run_copy("lake", url, settings=settings_of(home), tables=["usage", "series"])
    assert out.rows == 65
    again = run_copy("lake", url, settings=settings_of(home), tables=["usage", "series"])
    assert again.rows == 5  # series have no time: those that came since are told by looking at all
    assert open_warehouse(url).table("series").num_rows == 5
    other = settings_of(tmp_path / "other")
    assert run_copy(url, "lake", settings=other).rows == 60
    tables = [open_view(one).table("usage").sort_by("hash").select(["hash", "time", "output_tokens"])
              for one in (settings_of(home), other)]  # fmt: skip
    assert tables[0].equals(tables[1])


def test_what_cannot_be_copied_is_refused_before_anything_is_written(settings: config.Settings):
    for source, target, more, words in (
        ("lake", "lake", {}, "two places"),
        ("lake", "prometheus+http://127.0.0.1:1", {"tables": ["usage"]}, "warehouse"),
        ("chdb:///x", "lake", {"tables": ["samples"]}, "samples cannot"),
        ("chdb:///x", "lake", {"match": "up"}, "matchers"),
        ("lake", "chdb:///x", {"tables": ["nothing"]}, "no table"),
    ):
        with pytest.raises(InputError, match=words):
            run_copy(source, target, settings=settings, **more)
    assert not (settings.state_dir / "copies").exists()
