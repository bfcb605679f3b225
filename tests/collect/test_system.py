"""The host's figures: named as the conventions name them, true to what psutil says, and hard to upset."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from workbench.collect import SystemMetricsCollector, delivery, process, system
from workbench.collect.instruments import Instrument, Pairs

# Not in the conventions: load averages have the Collector's names, open files of the host have none anywhere.
OWN_NAMES = {
    "system.cpu.load_average.1m": "{thread}",
    "system.cpu.load_average.5m": "{thread}",
    "system.cpu.load_average.15m": "{thread}",
    "system.linux.file_descriptor.count": "{file_descriptor}",
}
ATTRIBUTES = {
    "system.cpu.time": {"cpu.mode"},
    "system.cpu.utilization": {"cpu.mode"},
    "system.memory.usage": {"system.memory.state"},
    "system.memory.utilization": {"system.memory.state"},
    "system.paging.usage": {"system.paging.state"},
    "system.paging.utilization": {"system.paging.state"},
    "system.paging.faults": {"system.paging.fault.type"},
    "system.paging.operations": {"system.paging.fault.type", "system.paging.direction"},
    "system.disk.io": {"system.device", "disk.io.direction"},
    "system.disk.operations": {"system.device", "disk.io.direction"},
    "system.disk.io_time": {"system.device"},
    "system.filesystem.usage": {
        "system.device",
        "system.filesystem.mountpoint",
        "system.filesystem.state",
        "system.filesystem.type",
    },
    "system.filesystem.limit": {"system.device", "system.filesystem.mountpoint", "system.filesystem.type"},
    "system.filesystem.utilization": {"system.device", "system.filesystem.mountpoint", "system.filesystem.type"},
    "system.network.io": {"network.interface.name", "network.io.direction"},
    "system.network.packet.count": {"network.interface.name", "network.io.direction"},
    "system.network.errors": {"network.interface.name", "network.io.direction"},
    "system.network.packet.dropped": {"network.interface.name", "network.io.direction"},
}
VALUES = {
    "cpu.mode": {"user", "system", "nice", "idle", "iowait", "interrupt", "steal"},
    "system.memory.state": {"used", "free", "buffers", "cached"},
    "system.paging.state": {"used", "free"},
    "system.paging.direction": {"in", "out"},
    "system.paging.fault.type": {"major", "minor"},
    "system.filesystem.state": {"used", "free", "reserved"},
    "disk.io.direction": {"read", "write"},
    "network.io.direction": {"receive", "transmit"},
}


class DeclaringMeter:
    """Stands in for a meter and keeps what is declared with it."""

    def __init__(self) -> None:
        self.declared: dict[str, tuple[str, str]] = {}

    def __getattr__(self, method: str) -> Any:
        kind = method.removeprefix("create_").removeprefix("observable_").replace("_", "")

        def declare(name: str, unit: str = "", **_: Any) -> None:
            self.declared[name] = (kind, unit)

        return declare


def conventions() -> dict[str, tuple[str, str]]:
    """name -> (kind, unit), as OpenTelemetry's own package declares them."""
    meter = DeclaringMeter()
    for family in ("system", "process", "otel"):
        module = importlib.import_module(f"opentelemetry.semconv._incubating.metrics.{family}_metrics")
        for name, create in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("create_"):
                create(meter, *([None] * (len(inspect.signature(create).parameters) - 1)))
    return meter.declared


@pytest.mark.parametrize(
    "instrument", [*system.INSTRUMENTS, *process.INSTRUMENTS, delivery.EXPORTED], ids=lambda i: i.name
)
def test_names_units_and_kinds_are_those_of_the_conventions(instrument):
    if instrument.name in OWN_NAMES:
        assert instrument.unit == OWN_NAMES[instrument.name]
        assert instrument.name not in conventions(), "the conventions have a name for it now: use that"
    else:
        assert conventions()[instrument.name] == (instrument.kind, instrument.unit)


def measured(collector: SystemMetricsCollector | None = None) -> dict[str, dict[Pairs, float]]:
    """name -> attributes -> value of one round."""
    (observation,) = (collector or SystemMetricsCollector()).collect(0)
    found: dict[str, dict[Pairs, float]] = {}
    for instrument, pairs, value in observation.points:
        assert pairs not in found.get(instrument.name, {}), f"{instrument.name} {pairs} twice"
        found.setdefault(instrument.name, {})[pairs] = value
    return found


def by(found: dict[Pairs, float], key: str) -> dict[str, float]:
    return {dict(pairs)[key]: value for pairs, value in found.items()}


def test_attributes_are_those_of_the_conventions():
    for name, points in measured().items():
        for pairs in points:
            keys = [key for key, _ in pairs]
            assert set(keys) <= ATTRIBUTES.get(name, set()), name
            assert keys == sorted(keys)
            for key, value in pairs:
                assert value in VALUES.get(key, {value}), (name, key)


@pytest.mark.skipif(sys.platform != "linux", reason="the whole set is there on Linux")
def test_this_host_has_everything_that_pages_and_rules_are_made_of():
    found = measured()
    wanted = {i.name for i in system.INSTRUMENTS} - {"system.cpu.utilization", "system.paging.utilization"}
    # A machine without disks of its own (a container) has no disk counters; everything else is always there.
    assert wanted - {"system.disk.io", "system.disk.operations", "system.disk.io_time"} <= set(found)


def test_values_agree_with_what_the_system_says():
    found = measured()
    memory = psutil.virtual_memory()
    states = by(found["system.memory.usage"], "system.memory.state")
    assert sum(states.values()) == memory.total == found["system.memory.limit"][()]
    assert sum(found["system.memory.utilization"].values()) == pytest.approx(1)
    cpu = by(found["system.cpu.time"], "cpu.mode")
    assert cpu["user"] == pytest.approx(psutil.cpu_times().user, abs=10)
    root = psutil.disk_usage("/")
    spaces = {
        pairs: value
        for pairs, value in found["system.filesystem.usage"].items()
        if ("system.filesystem.mountpoint", "/") in pairs
    }
    assert sum(spaces.values()) == pytest.approx(root.total, rel=0.01)
    assert by(found["system.filesystem.utilization"], "system.filesystem.mountpoint")["/"] == pytest.approx(
        root.percent / 100, abs=0.02
    )
    assert found["system.process.count"][()] == pytest.approx(len(psutil.pids()), rel=0.5, abs=50)
    assert found["system.cpu.logical.count"][()] == psutil.cpu_count()


CpuTimes = namedtuple("CpuTimes", "user system idle iowait")


def test_cpu_utilization_is_the_share_of_cpu_time_between_two_rounds(monkeypatch):
    rounds = iter(
        [CpuTimes(10, 5, 100, 3), CpuTimes(13, 6, 106, 3), CpuTimes(13, 6, 107, 2.5), CpuTimes(13, 6, 107, 2.5)]
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(rounds))
    collector = SystemMetricsCollector()
    assert "system.cpu.utilization" not in measured(collector)
    assert by(measured(collector)["system.cpu.utilization"], "cpu.mode") == {
        "user": 0.3,
        "system": 0.1,
        "idle": 0.6,
        "iowait": 0,
    }
    # iowait may run backwards; shares stay shares
    assert by(measured(collector)["system.cpu.utilization"], "cpu.mode") == {
        "user": 0,
        "system": 0,
        "idle": 1,
        "iowait": 0,
    }
    assert "system.cpu.utilization" not in measured(collector), "no CPU time passed: nothing to say"


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("no"),
        NotImplementedError(),
        AttributeError("no such call"),
        psutil.AccessDenied(1),
        KeyError("pswpin"),
    ],
)
def test_a_counter_that_is_missing_takes_no_other_with_it(monkeypatch, error):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(system.time, "monotonic", lambda: clock.now)

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    collector = SystemMetricsCollector()
    with monkeypatch.context() as broken:
        for name in ("net_io_counters", "swap_memory", "virtual_memory"):
            broken.setattr(psutil, name, refuse)
        found = measured(collector)
        assert {"system.cpu.time", "system.cpu.load_average.1m", "system.process.count"} <= set(found)
        assert not {"system.network.io", "system.paging.usage", "system.memory.usage"} & set(found)
    clock.now += 1
    assert "system.memory.usage" not in measured(collector), "what failed is left alone for a while"
    clock.now += system.RETRY_SECONDS
    assert "system.memory.usage" in measured(collector)


def test_slow_readers_are_not_asked_every_second(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(system.time, "monotonic", lambda: clock.now)
    collector = SystemMetricsCollector()
    seen = []
    for second in range(2 * system.SLOW_SECONDS + 1):
        clock.now = 1000.0 + second
        found = measured(collector)
        assert "system.cpu.time" in found
        seen += [second] if "system.process.count" in found else []
    assert seen == [0, system.SLOW_SECONDS, 2 * system.SLOW_SECONDS]


Nic = namedtuple("Nic", "bytes_sent bytes_recv packets_sent packets_recv errin errout dropin dropout")


def test_interfaces_come_and_go(monkeypatch):
    rounds = iter(
        [
            {"eth0": Nic(1, 2, 3, 4, 5, 6, 7, 8), "ifb0": Nic(0, 0, 0, 0, 0, 0, 0, 0)},
            {"veth1": Nic(9, 8, 7, 6, 5, 4, 3, 2)},
            {},
        ]
    )
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: next(rounds))
    collector = SystemMetricsCollector()
    first = measured(collector)
    assert by(first["system.network.io"], "network.io.direction") == {"receive": 2, "transmit": 1}
    assert by(first["system.network.errors"], "network.io.direction") == {"receive": 5, "transmit": 6}
    assert by(first["system.network.packet.dropped"], "network.io.direction") == {"receive": 7, "transmit": 8}
    assert set(by(first["system.network.io"], "network.interface.name")) == {"eth0"}, "ifb0 never carried anything"
    assert set(by(measured(collector)["system.network.io"], "network.interface.name")) == {"veth1"}
    assert "system.network.io" not in measured(collector)


Part = namedtuple("Part", "device mountpoint fstype opts")


def mountpoints(monkeypatch, parts: list[Part]) -> set[str]:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: parts)
    monkeypatch.setattr(system.os.path, "isdir", lambda path: path != "/etc/hosts")
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(psutil, "disk_usage", lambda path: Usage(100, 60, 30))
    return set(by(measured()["system.filesystem.utilization"], "system.filesystem.mountpoint"))


def test_file_systems_that_can_fill_up_are_told_from_those_that_cannot(monkeypatch):
    parts = [
        Part("/dev/sda1", "/", "ext4", "rw"),
        Part("/dev/sda2", "/var/lib/data", "xfs", "rw,noatime"),
        Part("/dev/sda2", "/var/lib/data/bind", "xfs", "rw"),
        Part("/dev/loop3", "/snap/core", "squashfs", "ro,nodev"),
        Part("/dev/sda1", "/etc/hosts", "ext4", "rw"),
    ]
    assert mountpoints(monkeypatch, parts) == {"/", "/var/lib/data"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no / on Windows")
def test_a_container_without_disks_has_its_root(monkeypatch):
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: None)
    assert mountpoints(monkeypatch, []) == {"/"}
    assert "system.disk.io" not in measured()


def test_utilization_of_a_file_system_is_one_when_programs_can_write_no_more(monkeypatch):
    mountpoints(monkeypatch, [])
    found = measured()
    assert list(found["system.filesystem.utilization"].values()) == [60 / 90]
    assert by(found["system.filesystem.usage"], "system.filesystem.state") == {"used": 60, "free": 30, "reserved": 10}


@pytest.mark.skipif(not system.Path("/sys/block").is_dir(), reason="disks and partitions are told apart on Linux")
def test_a_partition_is_not_counted_beside_its_disk(monkeypatch):
    disk = next(
        (
            entry.name
            for entry in system.Path("/sys/block").iterdir()
            if not entry.name.startswith(("loop", "ram", "zram"))
        ),
        None,
    )
    if disk is None:
        pytest.skip("this machine shows no disk")
    Io = namedtuple("Io", "read_bytes write_bytes read_count write_count busy_time")
    monkeypatch.setattr(
        psutil,
        "disk_io_counters",
        lambda perdisk: {name: Io(1, 2, 3, 4, 5000) for name in (disk, f"{disk}p9", "loop0")},
    )
    found = measured()
    assert set(by(found["system.disk.io"], "system.device")) == {disk}
    assert by(found["system.disk.io_time"], "system.device") == {disk: 5.0}


def test_the_resource_names_the_host():
    (observation,) = SystemMetricsCollector().collect(12345)
    resource = dict(observation.resource)
    assert resource["service.name"] == "host"
    assert resource["service.instance.id"] == resource["host.name"]
    assert resource["os.type"]
    assert observation.time_ns == 12345
    assert observation.start_ns == pytest.approx(psutil.boot_time() * 1e9, rel=1e-6)


def test_a_host_that_hides_when_it_started_counts_from_now(monkeypatch):
    def hidden() -> float:
        raise RuntimeError("line 'btime' not found")

    monkeypatch.setattr(psutil, "boot_time", hidden)
    monkeypatch.setattr(system.time, "time_ns", lambda: 777)
    assert SystemMetricsCollector().collect(888)[0].start_ns == 777


def test_instruments_are_listed_once():
    names = [instrument.name for instrument in system.INSTRUMENTS]
    assert len(names) == len(set(names)) > 25
    assert all(isinstance(instrument, Instrument) and instrument.description for instrument in system.INSTRUMENTS)
