"""The processes that `up` keeps running: started, watched, started again with back-off, and ended together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A process that served, or that ran this long where it cannot say so, starts again after the first pause: only one that
# dies while it starts is likely to die again.
STEADY_SECONDS = 60.0
TERM_SECONDS = 3.0
LOG_BYTES = 8 * 2**20

State = Literal["starting", "running", "restarting", "stopped"]


@dataclass(frozen=True)
class Spec:
    """One process, as data: `argv` follows the interpreter's name, `ready` says whether it serves (None: at once).

    One `on_demand` is over when it ends by itself with code 0; `memory_bytes` of it (0: no bound) is what it may hold.
    """

    name: str
    argv: tuple[str, ...]
    fds: tuple[int, ...] = ()
    ready: Callable[[], Awaitable[bool]] | None = None
    on_demand: bool = False
    memory_bytes: int = 0


@dataclass
class Child:
    """A process and what is known of it. `restarts` counts how often it was started again."""

    spec: Spec
    state: State = "starting"
    pid: int | None = None
    restarts: int = 0
    serving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def on_its_way(self) -> bool:
        """Whether it is being started for the first time, because somebody opened it."""
        return self.spec.on_demand and self.state == "starting" and not self.restarts

    def figures(self) -> dict[str, Any]:
        """Name, pid, state, resident bytes and CPU seconds (user and system), as `status` shows them."""
        rss_bytes, cpu_seconds = 0, 0.0
        with contextlib.suppress(psutil.Error):
            if self.pid is not None:
                process = psutil.Process(self.pid)
                with process.oneshot():
                    times = process.cpu_times()
                    rss_bytes, cpu_seconds = process.memory_info().rss, times.user + times.system
        return {
            "name": self.spec.name,
            "pid": self.pid,
            "state": self.state,
            "rss_bytes": rss_bytes,
            "cpu_seconds": round(cpu_seconds, 2),
            "restarts": self.restarts,
        }


class Children:
    """Runs the processes; all methods on one event loop, in the main thread (the kernel ties a child's life to the
    thread that started it).
    """

    def __init__(self, environment: Mapping[str, str], logs: Path, say: Callable[[str], None]) -> None:
        self._environment = dict(environment)
        self._logs = logs
        self._say = say
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.all: list[Child] = []

    def start(self, spec: Spec) -> Child:
        """Start a process and keep it running until `stop`."""
        child = Child(spec)
        self.all.append(child)
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(self._keep(child), name=spec.name))
        return child

    def get(self, name: str) -> Child | None:
        """The process of that name, where one is kept."""
        return next((child for child in self.all if child.spec.name == name), None)

    def end_overgrown(self) -> None:
        """Ask those that hold more memory than they may to end; who opens them next starts them again."""
        for child in self.all:
            if child.pid is None or not child.spec.memory_bytes:
                continue
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if psutil.Process(child.pid).memory_info().rss > child.spec.memory_bytes:
                    self._say(f"{child.spec.name} holds more than {child.spec.memory_bytes >> 20} MiB and is ended.")
                    os.kill(child.pid, signal.SIGTERM)

    async def stop(self) -> None:
        """End them all, and what they started: ask first, then kill what is left. Takes less than 5 s."""
        self._stopping = True
        family = psutil.Process().children(recursive=True)
        for child in self.all:
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)
        if self._tasks:
            for task in self._tasks:
                if (found := self.get(task.get_name())) and found.pid is None:
                    task.cancel()
            await asyncio.wait(self._tasks, timeout=TERM_SECONDS)
        for child in self.all:
            if child.pid is not None:
                self._say(f"{child.spec.name} did not end when asked to, and was killed.")
        for process in {*family, *psutil.Process().children(recursive=True)}:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    def rotate_logs(self) -> None:
        """Move the output of a process aside once it is long. Its file stays open, so it is copied and cut."""
        for child in self.all:
            file = self._log(child)
            if file.exists() and file.stat().st_size > LOG_BYTES:
                shutil.copyfile(file, file.with_suffix(".log.1"))
                os.truncate(file, 0)

    def reap_orphans(self) -> None:
        """Take note of ended grandchildren that the system handed to us (see `adopt_orphans`)."""
        ours = {child.pid for child in self.all}
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if process.pid not in ours and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)

    def _log(self, child: Child) -> Path:
        return self._logs / f"{child.spec.name}.log"

    def _last_words(self, child: Child) -> str:
        """The last line that a process wrote, which is where Python names an error."""
        with contextlib.suppress(OSError), self._log(child).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
            return next((line.strip()[:300] + " " for line in reversed(lines) if line.strip()), "")
        return ""

    async def _keep(self, child: Child) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping:
            started, served = time.monotonic(), False
            try:
                code, served = await self._run(child)
                end = f"ended with code {code}"
            except OSError as error:  # no memory or no process to be had: later perhaps
                end = f"cannot be started: {error}"
            if self._stopping or (child.spec.on_demand and end == "ended with code 0"):
                break
            lived = time.monotonic() - started
            pause = FIRST_PAUSE_SECONDS if served or lived > STEADY_SECONDS else pause
            child.state = "restarting"
            self._say(f"{child.spec.name} {end}; trying again. {self._last_words(child)}(all: {self._log(child)})")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            child.restarts += 1
        child.state = "stopped"
        if child.spec.on_demand:
            self.all.remove(child)

    async def _run(self, child: Child) -> tuple[int, bool]:
        """One life of a process, from start to end; its exit code, and whether it said that it was ready."""
        child.state = "starting"
        child.serving.clear()
        with self._log(child).open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *child.spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                pass_fds=child.spec.fds,
            )
        child.pid = process.pid
        watch = asyncio.create_task(self._await_ready(child))
        try:
            code = await process.wait()
            return code, child.spec.ready is not None and child.serving.is_set()
        finally:
            watch.cancel()
            child.pid = None
            child.serving.clear()

    async def _await_ready(self, child: Child) -> None:
        if child.spec.ready is not None:
            while not await child.spec.ready():
                await asyncio.sleep(0.05)
        child.state = "running"
        child.serving.set()


def adopt_orphans() -> None:
    """On Linux, become the parent of grandchildren whose own parent dies, so that `Children.stop` finds them."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
