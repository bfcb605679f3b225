"""The three simulated hosts: processors, memory, disks, networks, clocks, and the GPUs of the third."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.simulate.catalogue.component import Component
from workbench.simulate.metric import HOST_AGENT, HOSTS, Metric, Reaction

CORES = 8
MEMORY_BYTES = 32 * 2**30
DISK_BYTES = 200e9
GPU_HOST = "sim-3"
# mode: share of the time at mean load
MODES = {"user": 0.26, "system": 0.07, "iowait": 0.02, "nice": 0.005, "irq": 0.005, "steal": 0.005, "idle": 0.635}
STOLEN = 0.25
MEMORY = {"used": 0.58, "free": 0.12, "cached": 0.26, "buffers": 0.04}
HOST_NAMES = tuple(sorted(set(HOSTS.values())))


def metrics() -> Iterator[Metric]:
    """Everything that is measured of the hosts."""
    for host in HOST_NAMES:
        one = Component(HOST_AGENT, host)
        yield from _processor(one, host)
        yield from _memory(one, host)
        yield from _disk(one, host)
        yield from _network(one, host)
        drift: dict[str, Any] = {"drive": "flat", "spread": 0.0008, "normal": True, "low": -1e9}
        drift["reacts"] = (Reaction(f"skew:{host}", 60.0, "value"),)
        yield one.gauge("synth.clock.offset", "s", "How far the clock is ahead of true time", 0.0006, {}, **drift)
    yield from _gpus(Component(HOST_AGENT, GPU_HOST))


def _processor(one: Component, host: str) -> Iterator[Metric]:
    for mode, share in MODES.items():
        at = {"cpu.mode": mode}
        moved = {"steal": STOLEN, "idle": -STOLEN}.get(mode, 0.0) if host == "sim-1" else 0.0
        busy = {"drive": "traffic", "elasticity": {"idle": -0.12}.get(mode, 0.35)}
        # A hundredth of a second of eight cores is one event.
        rate, more = share * CORES * 100, (Reaction("steal", moved / share),) if moved else ()
        text = "CPU time by mode"
        yield one.counter("system.cpu.time", "s", text, rate, at, quantum=0.01, dispersion=1.0, reacts=more, **busy)
        level: dict[str, Any] = {"spread": 0.1 if mode != "idle" else 0.03, "high": 1.0, **busy}
        level["reacts"] = (Reaction("steal", moved, "value"),) if moved else ()
        yield one.gauge("system.cpu.utilization", "1", "Share of CPU time by mode", share, at, **level)


def _memory(one: Component, host: str) -> Iterator[Metric]:
    leaks = [service for service, where in HOSTS.items() if where == host]
    for state, share in MEMORY.items():
        at = {"system.memory.state": state}
        sign = {"used": 1, "cached": -1}.get(state, 0)
        leaked = tuple(Reaction(f"leak:{service}", sign * 40e6, "value") for service in leaks if sign)
        part = tuple(Reaction(a.signal, a.gain / MEMORY_BYTES, "value") for a in leaked)
        shape: dict[str, Any] = {"elasticity": 0.05, "spread": 0.02}
        name, text = "system.memory.usage", "Memory by state"
        yield one.number(name, "By", text, share * MEMORY_BYTES, at, quantum=4096.0, reacts=leaked, **shape)
        name, text = "system.memory.utilization", "Share of memory by state"
        yield one.gauge(name, "1", text, share, at, high=1.0, reacts=part, **shape)
    for direction, rate in (("in", 0.8), ("out", 0.6)):
        at = {"system.paging.direction": direction, "system.paging.fault.type": "major"}
        swaps = tuple(Reaction(f"swap:{service}", 200.0) for service in leaks)
        text = "Paging operations"
        yield one.counter("system.paging.operations", "{operation}", text, rate, at, reacts=swaps)


def _disk(one: Component, host: str) -> Iterator[Metric]:
    for direction, rate in (("read", 5e6), ("write", 12e6)):
        at = {"disk.io.direction": direction, "system.device": "nvme0n1"}
        more: dict[str, Any] = {"quantum": 65_536.0, "elasticity": 0.8}
        yield one.counter("system.disk.io", "By", "Bytes read and written", rate / 65_536, at, **more)
    where = {"system.filesystem.mountpoint": "/"}
    filling, emptying = (Reaction(f"filling:{host}", sign, "value") for sign in (1.0, -1.0))
    full: dict[str, Any] = {"drive": "disk", "spread": 0.001, "high": 1.0}
    name, text = "system.filesystem.utilization", "Used share of a file system"
    yield one.gauge(name, "1", text, 1.0, where, reacts=(filling,), **full)
    name, text = "system.filesystem.usage", "Bytes of a file system by state"
    for state, drive, one_more in (("used", "disk", filling), ("free", "disk_free", emptying)):
        at = {**where, "system.filesystem.state": state}
        bounded: dict[str, Any] = {"drive": drive, "spread": 0.001, "high": DISK_BYTES, "quantum": 4096.0}
        moved = (Reaction(one_more.signal, one_more.gain * DISK_BYTES, "value"),)
        yield one.number(name, "By", text, DISK_BYTES, at, reacts=moved, **bounded)


def _network(one: Component, host: str) -> Iterator[Metric]:
    for direction, rate in (("receive", 2e6), ("transmit", 3.5e6)):
        at = {"network.interface.name": "eth0", "network.io.direction": direction}
        taken = (Reaction("exfiltration", 6.0),) if (host, direction) == ("sim-1", "transmit") else ()
        yield one.counter(
            "system.network.io", "By", "Bytes over the network", rate / 1500, at, quantum=1500.0, reacts=taken
        )
        for name, text in (
            ("system.network.errors", "Errors of the network"),
            ("system.network.packet.dropped", "Packets that were dropped"),
        ):
            yield one.counter(name, "{packet}" if "packet" in name else "{error}", text, 0.0005, at, dispersion=1.0)


def _gpus(one: Component) -> Iterator[Metric]:
    for number in ("0", "1"):
        at = {"hw.id": number}
        busy: dict[str, Any] = {"elasticity": 0.3, "spread": 0.1, "high": 1.0}
        yield one.gauge("hw.gpu.utilization", "1", "Share of time a GPU is busy", 0.55, at, **busy)
        yield one.gauge("hw.gpu.memory.utilization", "1", "Used share of a GPU's memory", 0.6, at, **busy)
        warm: dict[str, Any] = {"elasticity": 0.05, "spread": 0.015, "high": 87.0}
        warm["reacts"] = (Reaction("hot", 24.0, "value"),)
        yield one.gauge("hw.temperature", "Cel", "Temperature of a part", 64.0, at, **warm)
        clock: dict[str, Any] = {"drive": "flat", "spread": 0.005, "reacts": (Reaction("hot", -0.4),)}
        yield one.gauge("synth.gpu.clock", "Hz", "Clock of a GPU", 1.4e9, at, **clock)
