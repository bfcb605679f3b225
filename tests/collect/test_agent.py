"""The agent as a process: from counters to a door, and gone when nobody wants it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

from tests.collect.receiver import OtlpReceiver, points
from workbench import config

COMMAND = [sys.executable, "-m", "workbench.collect"]


def announce(settings: config.Settings, receiver: OtlpReceiver, *processes: tuple[str, int]) -> None:
    config.ensure_private_dir(settings.runtime_dir)
    (settings.runtime_dir / "ingest.token").write_text("internal\n")
    document = {"ingest_url": receiver.url, "processes": [{"name": name, "pid": pid} for name, pid in processes]}
    settings.up_file.write_text(json.dumps(document))


@pytest.fixture
def environment(settings: config.Settings) -> dict[str, str]:
    return {**os.environ, "WORKBENCH_HOME": str(settings.home), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def agent(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    found = subprocess.Popen(COMMAND, env=environment, stderr=subprocess.DEVNULL)
    yield found
    found.kill()
    found.wait()


def services(receiver: OtlpReceiver) -> set[tuple[str, str]]:
    return {(resource["service.name"], resource["service.instance.id"]) for resource, *_ in points(receiver.requests)}


def test_it_finds_the_door_measures_every_second_and_ends_when_asked(agent, settings, receiver):
    announce(settings, receiver, ("hub", os.getpid()), ("agent", agent.pid))
    receiver.wait(lambda: {("workbench", "hub"), ("workbench", "agent")} <= services(receiver), 40)
    receiver.wait(lambda: len({p[5] for p in points(receiver.requests) if p[1] == "system.cpu.utilization"}) >= 3, 40)
    assert all(headers["authorization"] == "Bearer internal" for headers in receiver.headers)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10) == 0


def test_what_it_measured_while_the_hub_was_away_arrives(agent, settings, receiver):
    announce(settings, receiver)
    receiver.wait(lambda: len(receiver.requests) >= 2, 40)
    receiver.close()
    back = OtlpReceiver()  # on another port, as it may, and not ready at first
    back.answers = [(503, {}, b"")] * 1000
    try:
        announce(settings, back)
        back.wait(lambda: len(back.headers) >= 4, 40)
        ready_ns = time.time_ns()
        with back.changed:
            back.answers.clear()
        back.wait(lambda: len({p[5] for p in points(back.requests) if p[1] == "system.cpu.time"}) >= 3, 40)
        assert min(p[5] for p in points(back.requests)) < ready_ns, "the seconds without a hub are not missing"
    finally:
        back.close()


def test_it_ends_when_its_parent_is_gone(settings, receiver, environment):
    announce(settings, receiver)
    script = (
        f"import subprocess; print(subprocess.Popen({COMMAND!r}, stderr=subprocess.DEVNULL).pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    receiver.wait(lambda: receiver.requests, 40)
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs([child], timeout=20)
    for process in alive:
        process.kill()
    assert gone, "nothing survives a crashed supervisor"


def test_a_mistake_in_the_settings_is_said_and_ends_it(tmp_path: Path):
    environment = {**os.environ, "WORKBENCH_HOME": str(tmp_path), "WORKBENCH_INGEST_PROT": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    assert "WORKBENCH_INGEST_PORT" in run.stderr
