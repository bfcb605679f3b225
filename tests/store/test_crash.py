"""kill -9 at any moment, and what the kernel saw: acknowledged means durable, and found once."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from conftest import need

from workbench.config import Settings
from workbench.store import open_view, open_writer

BATCH = 10
WRITE = """
import dataclasses, itertools, os, sys, threading
from pathlib import Path
from workbench import config
from workbench.store import open_writer
sys.path.insert(0, sys.argv[2])
from conftest import NOW_US, identity, sample_batch
home, first, threads, rounds, seal = Path(sys.argv[1]), *map(int, sys.argv[3:])
settings = config.load(home, environ={}, flags={"log.reader_grace_seconds": 0})
writer = open_writer(settings)
numbers = itertools.count(first)
def append():
    (series,) = writer.register([(identity("a"), "", "")], "token:1")
    for n in itertools.islice(numbers, rounds):
        times = range(n * 10, n * 10 + 10)
        writer.append({"samples": sample_batch([series] * 10, times, [float(t) for t in times])}).result()
        os.write(1, b"ACK %d\\n" % n)
workers = [threading.Thread(target=append) for _ in range(threads)]
for worker in workers:
    worker.start()
while seal and any(worker.is_alive() for worker in workers):
    writer.seal()
for worker in workers:
    worker.join()
writer.close()
"""


def command(settings: Settings, first: int, *, threads: int, rounds: int, seal: bool) -> list[str]:
    here = str(Path(__file__).parent)
    return [sys.executable, "-c", WRITE, str(settings.home), here, *map(str, (first, threads, rounds, int(seal)))]


@contextmanager
def started(*args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def acknowledged(process: subprocess.Popen[str], kill_after: int) -> list[int]:
    """Kill the writer once that many writes were answered; all that were."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) == kill_after:
            process.kill()
    assert len(lines) >= kill_after, "the writer ended by itself"
    return [int(line.split()[1]) for line in lines if line.startswith("ACK") and line.endswith("\n")]


def check(numbers: np.ndarray, acknowledged: set[int]) -> None:
    """Every acknowledged write is there once, whole; others are there whole or not at all."""
    found, counts = np.unique(numbers // BATCH, return_counts=True)
    assert set(counts.tolist()) <= {BATCH}
    assert len(np.unique(numbers)) == len(numbers)
    assert acknowledged <= set(found.tolist())


def test_acknowledged_is_found_once_after_kills_inside_appends_and_seals(settings: Settings) -> None:
    seed = random.Random(20260711)
    done: set[int] = set()
    for round_ in range(4):
        args = command(settings, 100_000 * (round_ + 1), threads=3, rounds=30_000, seal=True)
        with started(*args) as process:
            done |= set(acknowledged(process, seed.randint(5, 250)))
        # With the workbench stopped, and no recovery yet: as any other process sees it.
        view = open_view(settings)
        samples = view.samples(np.array([1]), 0, 2**62)
        assert np.array_equal(samples.values, samples.times_us)
        check(samples.times_us, done)
        assert view.table("samples").num_rows == len(samples.times_us)
    with open_writer(settings) as writer:
        assert len(writer.view.registry) == 1
        check(writer.view.samples(np.array([1]), 0, 2**62).times_us, done)
        writer.seal()
    rows = pl.read_delta(str(settings.lake_dir / "samples"))
    check(rows["time"].to_physical().to_numpy(), done)
    assert rows.select("segment", "row").is_unique().all()


def test_a_reader_survives_the_kill_and_follows_the_next_writer(settings: Settings) -> None:
    done: set[int] = set()
    view = open_view(settings)
    for round_ in range(2):
        with started(*command(settings, 1000 * (round_ + 1), threads=2, rounds=400, seal=True)) as process:
            stop = threading.Event()
            looks: list[bool] = []

            def follow(stop: threading.Event = stop, looks: list[bool] = looks) -> None:
                while not stop.wait(0.005):
                    view.refresh()
                    times = view.samples(np.array([1]), 0, 2**62).times_us
                    looks.append(len(np.unique(times)) == len(times))
                looks.append(True)

            follower = threading.Thread(target=follow)
            follower.start()
            try:
                done |= set(acknowledged(process, 60))
            finally:
                stop.set()
                follower.join()
        assert looks[-1]  # it came to its end
        assert all(looks)
        view.refresh()
        check(view.samples(np.array([1]), 0, 2**62).times_us, done)


def test_under_strace_no_answer_precedes_its_sync(settings: Settings, tmp_path: Path) -> None:
    need(shutil.which("strace"), "strace, to see the order of system calls")
    trace = tmp_path / "trace"
    tracer = ["strace", "-f", "-y", "-e", "trace=pwrite64,fdatasync,write", "-s", "16", "-o", str(trace)]
    run = subprocess.run(
        [*tracer, *command(settings, 0, threads=1, rounds=20, seal=False)], capture_output=True, text=True, timeout=120
    )
    if run.returncode != 0:
        need("PTRACE" not in run.stderr and "not permitted" not in run.stderr, f"strace may trace: {run.stderr[-200:]}")
    assert run.stdout.count("ACK") == 20, run.stderr
    written = synced = answers = 0
    for line in trace.read_text().splitlines():
        if re.search(r"pwrite64\(\d+<[^>]*\.wal", line):
            written, synced = written + 1, 0
        elif re.search(r"fdatasync(\(\d+<[^>]*\.wal>\)| resumed>\)) += 0", line):
            synced = 1
        elif "write(1<" in line and '"ACK' in line:
            answers += 1
            assert synced == 1, f"answer {answers} came before its sync: {line}"
            assert written > answers  # one record more: the registration
            synced = 0
    assert answers == 20
