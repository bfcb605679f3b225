"""The demo as a process: live at once, patient without a hub, gone when nobody wants it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from conftest import ROOT

from tests.collect.receiver import OtlpReceiver
from tests.simulate.moments import STEP_US
from workbench import config

COMMAND = [sys.executable, "-m", "workbench.simulate"]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    found = OtlpReceiver()
    yield found
    found.close()


@pytest.fixture
def environment(settings: config.Settings, receiver: OtlpReceiver) -> dict[str, str]:
    """Of a home whose `up` says where the door is; no hub listens for bulk loads."""
    config.ensure_private_dir(settings.runtime_dir)
    settings.up_file.write_text(json.dumps({"ingest_url": receiver.url}))
    return {
        **os.environ,
        "WORKBENCH_HOME": str(settings.home),
        "WORKBENCH_DEMO_HISTORY_DAYS": "2",
        "WORKBENCH_DEMO_DETAIL_DAYS": "0",
        "PYTHONPATH": str(ROOT),
    }


def eventually(condition: Callable[[], Any]) -> Any:
    """Ask until it holds."""
    pause = threading.Event()
    for _ in range(600):
        if found := condition():
            return found
        pause.wait(0.05)
    raise AssertionError(condition)


def shown(settings: config.Settings) -> dict[str, Any]:
    return json.loads((settings.runtime_dir / "demo.json").read_text())


def test_it_sends_the_present_at_once_and_waits_for_a_hub_with_the_past(settings, receiver, environment):
    demo = subprocess.Popen(COMMAND, env=environment, stderr=subprocess.DEVNULL)
    try:
        receiver.wait(lambda: receiver.requests, 60)
        (point, *_) = receiver.requests[0].resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
        assert point.time_unix_nano // 1000 % STEP_US == 0
        eventually(lambda: shown(settings)["state"] == "waiting")
        assert shown(settings)["done"] == 0
        assert not settings.log_dir.exists(), "it never opens the lake itself"
        (plan,) = json.loads((settings.state_dir / "demo.json").read_text())["plans"]
        eventually(lambda: shown(settings)["live"])
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(20) == 0
        again = subprocess.Popen(COMMAND, env=environment, stderr=subprocess.DEVNULL)
        sent = len(receiver.requests)
        receiver.wait(lambda: len(receiver.requests) > sent, 60)
        again.kill()
        again.wait()
        assert json.loads((settings.state_dir / "demo.json").read_text())["plans"] == [plan], "the same load goes on"
    finally:
        demo.kill()
        demo.wait()


def test_it_ends_when_its_parent_is_gone(receiver, environment):
    script = (
        f"import subprocess; print(subprocess.Popen({COMMAND!r}, stderr=subprocess.DEVNULL).pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    receiver.wait(lambda: receiver.requests, 60)
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs([child], timeout=20)
    for process in alive:
        process.kill()
    assert gone
