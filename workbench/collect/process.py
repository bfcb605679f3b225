"""The workbench's own processes: OpenTelemetry `process.*` metrics, one resource per process.

Which processes there are stands in the file that a running `up` keeps (`settings.up_file`).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil

from workbench.collect.instruments import Instrument, Observation, Pairs, Point
from workbench.collect.system import host_resource

PERIOD_SECONDS = 5
"""Reading one process opens four files below /proc; every fifth second is enough for memory and CPU shares."""

CPU_TIME = Instrument("process.cpu.time", "s", "counter", "CPU time of the process by mode")
MEMORY_USAGE = Instrument("process.memory.usage", "By", "updowncounter", "Physical memory in use by the process")
THREADS = Instrument("process.thread.count", "{thread}", "updowncounter", "Threads of the process")
FILE_DESCRIPTORS = Instrument(
    "process.unix.file_descriptor.count", "{file_descriptor}", "updowncounter", "File descriptors the process has open"
)

INSTRUMENTS = (CPU_TIME, MEMORY_USAGE, THREADS, FILE_DESCRIPTORS)
"""Every instrument of this module."""

_USER: Pairs = (("cpu.mode", "user"),)
_SYSTEM: Pairs = (("cpu.mode", "system"),)


class ProcessMetricsCollector:
    """Measures every process named in `up_file`: service `workbench`, instance the name of the process."""

    def __init__(self, up_file: Path) -> None:
        self._up_file = up_file
        self._due = 0.0
        self._known: dict[tuple[str, int], psutil.Process] = {}

    def collect(self, time_ns: int) -> list[Observation]:
        """One observation per living process, every `PERIOD_SECONDS`. A process that has ended is left out."""
        now = time.monotonic()
        if now < self._due:
            return []
        self._due = now + PERIOD_SECONDS - 0.1
        self._refresh()
        found = []
        for (name, _), process in self._known.items():
            try:
                start_ns = int(process.create_time() * 1e9)
                found.append(Observation(host_resource("workbench", name), start_ns, time_ns, _read(process)))
            except (psutil.Error, OSError):
                continue
        return found

    def _refresh(self) -> None:
        named = {(name, pid) for name, pid in running_processes(self._up_file)}
        self._known = {key: process for key, process in self._known.items() if key in named and process.is_running()}
        for key in sorted(named - self._known.keys()):
            try:
                self._known[key] = psutil.Process(key[1])
            except psutil.Error:
                continue


def read_up_file(up_file: Path) -> dict[str, Any]:
    """What a running `up` says of itself; empty where none runs or the file is half written."""
    try:
        document = json.loads(up_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def running_processes(up_file: Path) -> list[tuple[str, int]]:
    """(name, pid) of the processes that `up_file` names; entries without either are passed over."""
    found = []
    for entry in read_up_file(up_file).get("processes") or []:
        name, pid = (entry.get("name"), entry.get("pid")) if isinstance(entry, dict) else (None, None)
        if isinstance(name, str) and isinstance(pid, int) and pid > 0:
            found.append((name, pid))
    return found


def _read(process: psutil.Process) -> list[Point]:
    with process.oneshot():
        cpu = process.cpu_times()
        points: list[Point] = [
            (CPU_TIME, _USER, cpu.user),
            (CPU_TIME, _SYSTEM, cpu.system),
            (MEMORY_USAGE, (), process.memory_info().rss),
            (THREADS, (), process.num_threads()),
        ]
        if os.name == "posix":
            points.append((FILE_DESCRIPTORS, (), process.num_fds()))
    return points
