"""The workbench's own processes, as `up` names them in its file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from workbench.collect import ProcessMetricsCollector, process


def up(file: Path, *processes: dict[str, object]) -> Path:
    file.write_text(json.dumps({"state": "running", "processes": list(processes)}))
    return file


def test_every_process_has_a_resource_of_its_own(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        file = up(
            tmp_path / "up.json",
            {"name": "hub", "pid": os.getpid()},
            {"name": "front", "pid": child.pid, "state": "up"},
        )
        observations = ProcessMetricsCollector(file).collect(77)
    finally:
        child.communicate(b"\n")
    found = {dict(one.resource)["service.instance.id"]: one for one in observations}
    assert set(found) == {"hub", "front"}
    assert {dict(one.resource)["service.name"] for one in observations} == {"workbench"}
    ours = {(instrument.name, pairs): value for instrument, pairs, value in found["hub"].points}
    me = psutil.Process()
    assert ours["process.memory.usage", ()] == pytest.approx(me.memory_info().rss, rel=0.2)
    assert ours["process.thread.count", ()] >= 1
    assert ours["process.cpu.time", (("cpu.mode", "user"),)] <= me.cpu_times().user
    assert found["hub"].start_ns == pytest.approx(me.create_time() * 1e9)
    assert found["hub"].time_ns == 77


def test_who_has_ended_is_left_out_and_who_starts_is_found(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(process.time, "monotonic", lambda: clock.now)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    file = up(tmp_path / "up.json", {"name": "keeper", "pid": child.pid})
    collector = ProcessMetricsCollector(file)
    assert len(collector.collect(0)) == 1
    assert collector.collect(0) == [], "not due yet"
    child.communicate(b"\n")
    clock.now += process.PERIOD_SECONDS
    assert collector.collect(0) == []
    up(file, {"name": "keeper", "pid": os.getpid()})
    clock.now += process.PERIOD_SECONDS
    assert len(collector.collect(0)) == 1


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", '{"processes": null}', '{"processes": [1, {"name": "x"}, {"name": "y", "pid": null}]}'],
)
def test_a_file_that_says_nothing_gives_nothing(tmp_path, text):
    file = tmp_path / "up.json"
    if text is not None:
        file.write_text(text)
    assert ProcessMetricsCollector(file).collect(0) == []
