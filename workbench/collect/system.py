"""This host: OpenTelemetry `system.*` metrics (semantic conventions 1.44), read through psutil.

Cheap counters are read in every round, dear ones every `SLOW_SECONDS`. A counter that this system does not have, or
does not let us read, is left out and tried again a minute later; devices and interfaces may come and go.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import psutil

from workbench import log
from workbench.collect.instruments import Instrument, Observation, Pairs, Point

SLOW_SECONDS = 10
"""Space on disks and the number of processes change slowly, and listing them costs most of a round."""
RETRY_SECONDS = 60
"""How long a reader that failed is left alone."""

_LOG = log.get(__name__)

CPU_TIME = Instrument("system.cpu.time", "s", "counter", "Seconds all logical CPUs spent in each mode")
CPU_UTILIZATION = Instrument(
    "system.cpu.utilization", "1", "gauge", "Share of CPU time in each mode since the last measurement"
)
CPU_LOGICAL = Instrument("system.cpu.logical.count", "{cpu}", "updowncounter", "Number of logical CPUs")
# Load averages are not in the conventions; the names are those of the OpenTelemetry Collector's host metrics receiver.
LOAD_1M = Instrument("system.cpu.load_average.1m", "{thread}", "gauge", "Average CPU load over 1 minute")
LOAD_5M = Instrument("system.cpu.load_average.5m", "{thread}", "gauge", "Average CPU load over 5 minutes")
LOAD_15M = Instrument("system.cpu.load_average.15m", "{thread}", "gauge", "Average CPU load over 15 minutes")
MEMORY_USAGE = Instrument("system.memory.usage", "By", "updowncounter", "Memory in use by state")
MEMORY_UTILIZATION = Instrument("system.memory.utilization", "1", "gauge", "Share of memory by state")
MEMORY_LIMIT = Instrument("system.memory.limit", "By", "updowncounter", "Total memory")
MEMORY_AVAILABLE = Instrument(
    "system.memory.linux.available", "By", "updowncounter", "Memory that new programs can use without swapping"
)
PAGING_USAGE = Instrument("system.paging.usage", "By", "updowncounter", "Swap by state")
PAGING_UTILIZATION = Instrument("system.paging.utilization", "1", "gauge", "Share of swap by state")
PAGING_OPERATIONS = Instrument("system.paging.operations", "{operation}", "counter", "Pages swapped in and out")
PAGING_FAULTS = Instrument("system.paging.faults", "{fault}", "counter", "Page faults")
DISK_IO = Instrument("system.disk.io", "By", "counter", "Bytes read from and written to disks")
DISK_OPERATIONS = Instrument("system.disk.operations", "{operation}", "counter", "Disk reads and writes")
DISK_IO_TIME = Instrument("system.disk.io_time", "s", "counter", "Time the disk was busy")
FILESYSTEM_USAGE = Instrument("system.filesystem.usage", "By", "updowncounter", "Space of a file system by state")
FILESYSTEM_LIMIT = Instrument("system.filesystem.limit", "By", "updowncounter", "Size of a file system")
FILESYSTEM_UTILIZATION = Instrument(
    "system.filesystem.utilization", "1", "gauge", "Share of a file system's space that is used"
)
NETWORK_IO = Instrument("system.network.io", "By", "counter", "Bytes received and transmitted")
NETWORK_PACKETS = Instrument("system.network.packet.count", "{packet}", "counter", "Packets received and transmitted")
NETWORK_ERRORS = Instrument("system.network.errors", "{error}", "counter", "Network errors")
NETWORK_DROPPED = Instrument("system.network.packet.dropped", "{packet}", "counter", "Packets dropped without an error")
PROCESS_COUNT = Instrument("system.process.count", "{process}", "updowncounter", "Number of processes")
UPTIME = Instrument("system.uptime", "s", "gauge", "Time since the host started")
# The conventions have no name for the host's open files; this one follows `system.memory.linux.*`.
FILE_DESCRIPTORS = Instrument(
    "system.linux.file_descriptor.count", "{file_descriptor}", "updowncounter", "Open file handles of the host"
)

INSTRUMENTS: tuple[Instrument, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Instrument)
)
"""Every instrument of this module."""

Reader = Callable[[], Iterator[Point]]


class SystemMetricsCollector:
    """Measures the host it runs on. One observation a round, with the points that are due."""

    def __init__(self) -> None:
        self.resource = host_resource()
        self._start_ns = _boot_ns()
        self._previous_cpu: dict[str, float] = {}
        every: list[Reader] = [self._cpu, _memory, _paging, _disk, _network, _load]
        slow: list[Reader] = [_filesystem, _processes, _file_descriptors, _uptime, _cpu_count]
        self._readers = [(reader, 0) for reader in every] + [(reader, SLOW_SECONDS) for reader in slow]
        self._due = [0.0] * len(self._readers)

    def collect(self, time_ns: int) -> list[Observation]:
        """Read what is due. Never raises for a missing counter."""
        now = time.monotonic()
        points: list[Point] = []
        for number, (reader, period_seconds) in enumerate(self._readers):
            if now < self._due[number]:
                continue
            # A tenth of a second early still counts as due: rounds do not start to the microsecond.
            self._due[number] = now + period_seconds - 0.1
            try:
                points.extend(reader())
            except Exception as error:  # whatever this system gives instead of the counter; the others are measured
                self._due[number] = now + RETRY_SECONDS
                _LOG.info("counter_missing", reader=reader.__name__, error=repr(error))
        return [Observation(self.resource, self._start_ns, time_ns, points)]

    def _cpu(self) -> Iterator[Point]:
        times = _cpu_times()
        for mode, seconds in times.items():
            yield CPU_TIME, _pairs("cpu.mode", mode), seconds
        previous, self._previous_cpu = self._previous_cpu, times
        # Of the CPUs' own time, not of the clock's: a clock that is set does not make a share wrong. A mode that the
        # kernel counts backwards (iowait, see proc(5)) is taken as idle for that moment.
        spent = {mode: max(0.0, seconds - previous[mode]) for mode, seconds in times.items() if mode in previous}
        total = sum(spent.values())
        if total > 0:
            for mode, seconds in spent.items():
                yield CPU_UTILIZATION, _pairs("cpu.mode", mode), seconds / total


def host_resource(service: str = "host", instance: str = "") -> Pairs:
    """Resource of something that runs on this host; the host itself is service `host`, instance its name."""
    name = socket.gethostname()
    system = {"linux": "linux", "darwin": "darwin", "win32": "windows"}.get(sys.platform, sys.platform)
    return (
        ("host.name", name),
        ("os.type", system),
        ("service.instance.id", instance or name),
        ("service.name", service),
    )


def _boot_ns() -> int:
    """Since when the host's counters count. Asked once: what the kernel reports moves when the clock is set."""
    try:
        return int(psutil.boot_time() * 1e9)
    except (OSError, RuntimeError, psutil.Error):  # a sandbox that hides it: counters are seen from now on
        return time.time_ns()


@cache
def _pairs(*keys_and_values: str) -> Pairs:
    """Pairs of alternating keys and values, the same object every time."""
    return tuple(zip(keys_and_values[::2], keys_and_values[1::2], strict=True))


def _cpu_times() -> dict[str, float]:
    """Seconds by `cpu.mode`, summed over all CPUs; modes that this system does not count are absent."""
    times = psutil.cpu_times()
    found = {
        mode: getattr(times, mode)
        for mode in ("user", "system", "nice", "idle", "iowait", "steal")
        if hasattr(times, mode)
    }
    interrupt = [getattr(times, name) for name in ("irq", "softirq", "interrupt") if hasattr(times, name)]
    return {**found, "interrupt": sum(interrupt)} if interrupt else found


def _cpu_count() -> Iterator[Point]:
    count = psutil.cpu_count()
    if count:
        yield CPU_LOGICAL, (), count


def _load() -> Iterator[Point]:
    for instrument, value in zip((LOAD_1M, LOAD_5M, LOAD_15M), psutil.getloadavg(), strict=True):
        yield instrument, (), value


def _memory() -> Iterator[Point]:
    memory = psutil.virtual_memory()
    states = {"free": memory.free}
    for state in ("buffers", "cached"):
        if hasattr(memory, state):
            states[state] = getattr(memory, state)
    # The states sum up to the limit, as the conventions ask; psutil's own `used` counts reclaimable cache differently.
    states["used"] = max(0, memory.total - sum(states.values()))
    for state, size_bytes in states.items():
        yield MEMORY_USAGE, _pairs("system.memory.state", state), size_bytes
        yield MEMORY_UTILIZATION, _pairs("system.memory.state", state), size_bytes / memory.total
    yield MEMORY_LIMIT, (), memory.total
    if sys.platform == "linux":
        yield MEMORY_AVAILABLE, (), memory.available


def _paging() -> Iterator[Point]:
    swap = psutil.swap_memory()
    for state, size_bytes in (("used", swap.used), ("free", swap.free)):
        yield PAGING_USAGE, _pairs("system.paging.state", state), size_bytes
        if swap.total:
            yield PAGING_UTILIZATION, _pairs("system.paging.state", state), size_bytes / swap.total
    if sys.platform != "linux":
        return
    # Read directly: psutil gives swapped bytes, the conventions ask for operations and faults.
    counters = dict(line.split(" ", 1) for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines())
    major, minor = int(counters["pgmajfault"]), int(counters["pgfault"])
    for direction, key in (("in", "pswpin"), ("out", "pswpout")):
        pairs = _pairs("system.paging.direction", direction, "system.paging.fault.type", "major")
        yield PAGING_OPERATIONS, pairs, int(counters[key])
    yield PAGING_FAULTS, _pairs("system.paging.fault.type", "major"), major
    yield PAGING_FAULTS, _pairs("system.paging.fault.type", "minor"), minor - major


@cache
def _whole_disk(device: str) -> bool:
    """Whether a device is a disk of its own: a partition would count its disk's bytes a second time."""
    if device.startswith(("loop", "ram", "zram")):
        return False
    return not Path("/sys/block").is_dir() or Path("/sys/block", device.replace("/", "!")).exists()


def _disk() -> Iterator[Point]:
    for device, counters in (psutil.disk_io_counters(perdisk=True) or {}).items():
        if not _whole_disk(device):
            continue
        read = _pairs("disk.io.direction", "read", "system.device", device)
        write = _pairs("disk.io.direction", "write", "system.device", device)
        yield DISK_IO, read, counters.read_bytes
        yield DISK_IO, write, counters.write_bytes
        yield DISK_OPERATIONS, read, counters.read_count
        yield DISK_OPERATIONS, write, counters.write_count
        if hasattr(counters, "busy_time"):
            yield DISK_IO_TIME, _pairs("system.device", device), counters.busy_time / 1000


def _mounts() -> dict[str, tuple[str, str]]:
    """Mount point -> (device, type) of file systems that can fill up: one per device, no read-only images.

    In a container the root is an overlay, which no list of physical devices names; it is always looked at.
    """
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for part in sorted(psutil.disk_partitions(all=False), key=lambda part: len(part.mountpoint)):
        options = part.opts.split(",")
        if part.device in seen or "ro" in options or "cdrom" in options or not os.path.isdir(part.mountpoint):
            continue
        seen.add(part.device)
        found[part.mountpoint] = (part.device, part.fstype)
    if sys.platform != "win32":
        found.setdefault("/", ("rootfs", ""))
    return found


def _filesystem() -> Iterator[Point]:
    for mountpoint, (device, kind) in _mounts().items():
        try:
            usage = psutil.disk_usage(mountpoint)
        except OSError:  # unmounted since it was listed, or not ours to look at
            continue
        if not usage.total:
            continue
        place = ("system.device", device, "system.filesystem.mountpoint", mountpoint)
        kind_pairs = ("system.filesystem.type", kind) if kind else ()
        reserved = max(0, usage.total - usage.used - usage.free)
        for state, size_bytes in (("used", usage.used), ("free", usage.free), ("reserved", reserved)):
            yield FILESYSTEM_USAGE, _pairs(*place, "system.filesystem.state", state, *kind_pairs), size_bytes
        yield FILESYSTEM_LIMIT, _pairs(*place, *kind_pairs), usage.total
        # Of what programs can use (as df shows it): at 1 nothing can be written, whatever is reserved for root.
        yield FILESYSTEM_UTILIZATION, _pairs(*place, *kind_pairs), usage.used / max(1, usage.used + usage.free)


def _network() -> Iterator[Point]:
    for interface, counters in psutil.net_io_counters(pernic=True).items():
        if not counters.packets_recv and not counters.packets_sent:
            continue  # never carried anything: most are templates of the kernel
        receive = _pairs("network.interface.name", interface, "network.io.direction", "receive")
        transmit = _pairs("network.interface.name", interface, "network.io.direction", "transmit")
        yield NETWORK_IO, receive, counters.bytes_recv
        yield NETWORK_IO, transmit, counters.bytes_sent
        yield NETWORK_PACKETS, receive, counters.packets_recv
        yield NETWORK_PACKETS, transmit, counters.packets_sent
        yield NETWORK_ERRORS, receive, counters.errin
        yield NETWORK_ERRORS, transmit, counters.errout
        yield NETWORK_DROPPED, receive, counters.dropin
        yield NETWORK_DROPPED, transmit, counters.dropout


def _processes() -> Iterator[Point]:
    yield PROCESS_COUNT, (), len(psutil.pids())


def _file_descriptors() -> Iterator[Point]:
    if sys.platform == "linux":
        yield FILE_DESCRIPTORS, (), int(Path("/proc/sys/fs/file-nr").read_text(encoding="ascii").split()[0])


def _uptime() -> Iterator[Point]:
    yield (
        UPTIME,
        (),
        time.clock_gettime(time.CLOCK_BOOTTIME)
        if hasattr(time, "CLOCK_BOOTTIME")
        else time.time() - psutil.boot_time(),
    )
