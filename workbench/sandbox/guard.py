"""Ends what uses too much: looks at a sandbox's processes from outside, where nothing inside can stop it.

Memory is what its processes really hold (their proportional set size: a page that several share counts once). A bound
on the address space would not do: Arrow, DuckDB and numba reserve gigabytes that they never touch.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY_SECONDS = 0.25
_ROUNDS = 20
"""Looks that are taken for what a group starts while it is being killed; then the whole sandbox goes."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_KERNEL_FILE = re.compile(rb"kernel-([0-9a-f-]{36})\.json")


@dataclass(frozen=True)
class Limits:
    """What one group of processes may use; 0 is no bound."""

    memory_bytes: int = 0
    processes: int = 256
    hint: str = ""


@dataclass(frozen=True)
class Process:
    """A process as the system's table has it."""

    pid: int
    parent: int
    rss_bytes: int


@dataclass(frozen=True)
class Group:
    """Processes that are bounded, and ended, together; `name` is the kernel's id, "" the rest of the sandbox."""

    name: str
    pids: tuple[int, ...]


Split = Callable[[Sequence[Process]], Iterable[Group]]


def whole(processes: Sequence[Process]) -> list[Group]:
    """The whole sandbox as one group."""
    return [Group("", tuple(process.pid for process in processes))]


def each_kernel(processes: Sequence[Process]) -> list[Group]:
    """A group for each Jupyter kernel with all that it started, and one for the rest."""
    kernel: dict[int, str] = {}
    for process in processes:  # parents come before their children
        if process.parent in kernel:
            kernel[process.pid] = kernel[process.parent]
        elif found := _KERNEL_FILE.search(_command(process.pid)):
            kernel[process.pid] = found[1].decode()
    names = ["", *dict.fromkeys(kernel.values())]
    return [Group(name, tuple(p.pid for p in processes if kernel.get(p.pid, "") == name)) for name in names]


class Guard(threading.Thread):
    """Watches the sandbox that began with process `pid` until it ends or `stop` is called.

    A group over its limits is killed, after `ended(group, why)` was told; `why` is a sentence for its person. The rest
    of a sandbox cannot go without it: where that is over its limits, all of it ends.
    """

    def __init__(self, pid: int, limits: Limits, ended: Callable[[Group, str], None], *, split: Split = whole) -> None:
        super().__init__(name=f"guard {pid}", daemon=True)
        self._pid = pid
        self._limits = limits
        self._ended = ended
        self._split = split
        self._over = threading.Event()

    def run(self) -> None:
        """Look, until there is nothing to look at."""
        while not self._over.wait(EVERY_SECONDS):
            processes = tree(self._pid)
            if not processes:
                return
            for group in self._split(processes):
                why = over(group, processes, self._limits)
                if why:
                    self._ended(group, why)
                    self._end(group)

    def stop(self) -> None:
        """Stop watching."""
        self._over.set()

    def _end(self, group: Group) -> None:
        if group.name:
            for _ in range(_ROUNDS):
                left = next((one for one in self._split(tree(self._pid)) if one.name == group.name), None)
                if left is None:
                    return
                kill(left.pids)
        # The first process of the sandbox takes all others with it, at once.
        kill([self._pid, *(process.pid for process in tree(self._pid))])


def over(group: Group, processes: Sequence[Process], limits: Limits) -> str:
    """Why a group has to end; "" if it need not."""
    if limits.processes and len(group.pids) > limits.processes:
        return f"It started more than {limits.processes} processes."
    if not limits.memory_bytes:
        return ""
    own = set(group.pids)
    if sum(process.rss_bytes for process in processes if process.pid in own) <= limits.memory_bytes:
        return ""  # shared pages counted several times, and yet not too many: the dear count is not needed
    used_bytes = sum(map(proportional_bytes, group.pids))
    if used_bytes <= limits.memory_bytes:
        return ""
    used, allowed = (f"{size_bytes / 2**30:.1f} GiB" for size_bytes in (used_bytes, limits.memory_bytes))
    return f"It used {used} of memory, more than the {allowed} that it may use. {limits.hint}".strip()


def tree(root: int) -> list[Process]:
    """A process and all that descend from it, parents before children; empty if it is gone."""
    table: dict[int, list[Process]] = {}
    first = None
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        process = _process(int(name))
        if process is None:
            continue
        table.setdefault(process.parent, []).append(process)
        if process.pid == root:
            first = process
    found = [first] if first else []
    for process in found:
        found += table.get(process.pid, [])
    return found


def proportional_bytes(pid: int) -> int:
    """Proportional set size of a process, 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def kill(pids: Iterable[int]) -> None:
    """End processes at once; those that are gone already are no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _process(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything, even spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, int(fields[1]), int(fields[21]) * _PAGE_BYTES)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
