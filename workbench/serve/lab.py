"""The process of one person's JupyterLab: makes its sandbox, watches it, and ends it when its person may not go on.

The server itself and all its kernels are inside (`lab_server`). Socket and token are made here: inside, nothing lies
where we would follow it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench import log
from workbench.config import Settings, ensure_private_dir
from workbench.errors import Forbidden
from workbench.sandbox import (
    Group,
    Guard,
    Limits,
    available,
    each_kernel,
    kernel_environment,
    own_caches,
    sandboxed,
)
from workbench.serve.process import child_main
from workbench.serve.running.home import write_private
from workbench.serve.running.listen import stop_on_signals, unix_socket
from workbench.serve.sessions.brokers import Grant, ask_for_broker

LOOK_SECONDS = 1.0
SHIPPED = Path(__file__).resolve().parents[2] / "notebooks"
PEOPLE = "people"
"""Of the home's notebooks the folder in which everybody has one; all else there is published."""
HINT = "Read less at once (fewer columns, a shorter time, Dask), or ask for a higher lab.memory_bytes."

_log = log.get(__name__)


@dataclass(frozen=True)
class Places:
    """Folders of one person's JupyterLab. `run` is ours; of the others the sandbox sees `own` and `notes`."""

    run: Path
    own: Path
    notes: Path


def main() -> None:
    """Serve until SIGTERM, until nobody uses it, or until its person may not come in any longer."""
    parser = argparse.ArgumentParser(prog="workbench-lab")
    parser.add_argument("--person", required=True)
    parser.add_argument("--role", required=True)
    options, rest = parser.parse_known_args()
    settings = child_main("lab", rest).settings
    sys.exit(asyncio.run(run(settings, options.person, options.role)))


async def run(settings: Settings, person: str, role: str) -> int:
    """The exit code: 0 where it is over, so that it starts again when it is next opened."""
    stop = stop_on_signals(asyncio.get_running_loop())
    reason = available()
    if reason and role != "admin":
        _log.error("JupyterLab is for admins only", reason=reason)
        return 2
    grant = await _granted(settings, person, stop)
    if grant is None:
        return 1
    places = make_places(settings, person)
    token = secrets.token_urlsafe(32)
    with unix_socket(places.run / "lab.sock") as listening:
        argv = _server(places, listening) if reason else command(settings, person, grant, places, listening)
        environment = None if not reason else {**kernel_environment(os.environ), "WORKBENCH_HOME": str(settings.home)}
        server = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=(listening.fileno(),), env=environment)
        assert server.stdin is not None
        server.stdin.write(token.encode() + b"\n")
        server.stdin.close()
        write_private(places.run / "token", token)
        guard = Guard(server.pid, _limits(settings), _noted(places), split=each_kernel)
        guard.start()
        try:
            return await _watch(settings, person, grant, server, stop)
        finally:
            guard.stop()
            _end(server)
            shutil.rmtree(places.run, ignore_errors=True)


def make_places(settings: Settings, person: str) -> Places:
    """The folders of a person, made if need be."""
    number = person.removeprefix("user:")
    run = ensure_private_dir(ensure_private_dir(settings.runtime_dir) / f"lab-{number}")
    ensure_private_dir(settings.home / "notebooks")
    everybody = ensure_private_dir(settings.home / "notebooks" / PEOPLE)
    own = ensure_private_dir(everybody / number)
    shutil.rmtree(run / "notes", ignore_errors=True)
    return Places(run, own, ensure_private_dir(run / "notes"))


def command(settings: Settings, person: str, grant: Grant, places: Places, listening: socket.socket) -> list[str]:
    """The sandboxed server of a person, which takes connections from `listening` and its token from its input."""
    cache, environment = own_caches(settings, person.replace(":", "-"))
    published = settings.home / "notebooks"
    return sandboxed(
        _server(places, listening),
        settings=settings,
        write=[places.own, cache],
        read={places.notes: places.notes, SHIPPED: places.own / "shipped", published: places.own / "published"},
        hide=[places.own / "published" / PEOPLE],
        broker=grant.folder,
        lake=grant.lake,
        environment={
            **environment,
            "JUPYTER_CONFIG_DIR": str(cache / "jupyter"),
            "JUPYTER_DATA_DIR": str(cache / "jupyter-data"),
            "JUPYTER_RUNTIME_DIR": "/tmp/jupyter",
            "WORKBENCH_LAB_IDLE_KERNEL_SECONDS": str(settings.lab.idle_kernel_seconds),
            "WORKBENCH_LAB_IDLE_SERVER_SECONDS": str(settings.lab.idle_server_seconds),
        },
        memory_bytes=settings.lab.memory_bytes,
        processes=4 * settings.lab.processes,
    )


def _server(places: Places, listening: socket.socket) -> list[str]:
    options = {"--fd": str(listening.fileno()), "--folder": str(places.own), "--notes": str(places.notes)}
    return [
        sys.executable,
        "-m",
        "workbench.serve.sessions.lab_server",
        *(part for pair in options.items() for part in pair),
    ]


def _limits(settings: Settings) -> Limits:
    return Limits(settings.lab.memory_bytes, settings.lab.processes, HINT)


def _noted(places: Places) -> Callable[[Group, str], None]:
    """Leave word for the server of why it lost a kernel."""

    def note(group: Group, why: str) -> None:
        _log.warning("ended", kernel=group.name or "all of it", why=why)
        if group.name:
            write_private(places.notes / group.name, why)

    return note


async def _granted(settings: Settings, person: str, stop: asyncio.Event) -> Grant | None:
    """What front grants; waits for a front that is only just starting. None if it is to be nothing."""
    while not stop.is_set():
        try:
            grant = await ask_for_broker(settings, person)
        except Forbidden as error:
            _log.error("not granted", reason=str(error))
            return None
        if grant is not None:
            return grant
        await asyncio.sleep(0.2)
    return None


async def _watch(
    settings: Settings, person: str, grant: Grant, server: subprocess.Popen[bytes], stop: asyncio.Event
) -> int:
    """Until the server ends, or has to: it is told to stop, or its person is granted less than it was made with."""
    while server.poll() is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        if stop.is_set():
            return 0
        try:
            now = await ask_for_broker(settings, person)
        except Forbidden:
            _log.warning("its person may not go on", person=person)
            return 0
        if now is not None and now != grant:
            _log.warning("its person may see other rows now", person=person)
            return 0
    return server.returncode


def _end(server: subprocess.Popen[bytes]) -> None:
    """Bubblewrap's end is the end of all that is inside."""
    if server.poll() is None:
        server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(2)
        return
    server.kill()
    server.wait()


if __name__ == "__main__":
    main()
