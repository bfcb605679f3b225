"""`workbench up`: the supervisor that starts the workbench, says where it is, and ends all of it together.

It holds the lock of the home and the listening sockets; every process is its child, and what it knows of them stands in
`up.json` in the run-time folder, written anew each second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

import workbench
from workbench import config, log
from workbench.config import Settings, ensure_private_dir
from workbench.serve.access.reach import addresses
from workbench.serve.identity import claims, people
from workbench.serve.running import browser, home, local_http, on_demand
from workbench.serve.running.children import Child, Children, Spec, adopt_orphans
from workbench.serve.running.control import control_socket, serve_control
from workbench.serve.running.ports import LOOPBACK, SETTING, Ports, open_ports
from workbench.store import state

PUBLISH_SECONDS = 1.0
VERSION_EVERY = 5  # the hub is asked for its lake version each so many seconds
TOKEN_NAME = "internal: agent and demo"

Say = Callable[[str], None]
Processes = Callable[[Settings, Ports], Sequence[Spec]]


def processes(settings: Settings, ports: Ports) -> list[Spec]:
    """The processes of a workbench. Those that say when they are ready start first, the others after them."""
    socket_path = settings.hub_socket

    async def hub_ready() -> bool:
        return (await local_http.get(socket_path, "/health"))[0] == 200

    async def front_ready() -> bool:
        tls = bool(settings.front.tls_cert)
        return (await local_http.get((LOOPBACK, ports.numbers["main"]), "/readyz", tls=tls))[0] == 200

    specs = [
        _ours("hub", ports, ("ingest",), hub_ready),
        _ours("front", ports, ("main", "notebook"), front_ready),
        _ours("keeper", ports, (), None),
        _ours("jobs", ports, (), None),
        _ours("scrape", ports, (), None),
        Spec("agent", ("-m", "workbench.serve.process", "--parent", str(os.getpid()), "workbench.collect")),
    ]
    if settings.demo.enabled:
        specs.append(
            Spec("demo", ("-m", "workbench.serve.process", "--parent", str(os.getpid()), "workbench.simulate"))
        )
    return specs


def say_to_terminal(text: str) -> None:
    """Print a line; with the terminal gone, go on without words."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _ours(name: str, ports: Ports, sockets: Sequence[str], ready: Any) -> Spec:
    numbered = [(kind, one.fileno()) for kind in sockets for one in ports.sockets[kind]]
    handed = [part for kind, fd in numbered for part in ("--fd", f"{kind}={fd}")]
    argv = ("-m", f"workbench.serve.{name}", "--parent", str(os.getpid()), *handed)
    return Spec(name, argv, tuple(fd for _, fd in numbered), ready)


def up(
    folder: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    say: Say = say_to_terminal,
    list_processes: Processes = processes,
) -> int:
    """Run the workbench of `folder` until Ctrl-C or SIGTERM; the exit code.

    With one running already on that home, its address is said and 0 returned. Raises PortTaken for a port that stands
    in `flags` (or differs from the default in the settings) and is taken, ConfigError for a home that is not ours.
    """
    flags = flags or {}
    settings = config.load(folder, flags=flags)
    claims.check(settings.auth)
    home.make_home(settings)
    lock = home.take_lock(settings)
    if lock is None:
        found = home.running(settings) or {}
        say(f"The workbench runs already: {found.get('url') or 'it is just starting'}")
        say("`workbench open` prints a sign-in link.")
        return 0
    try:
        home.settle_cap(settings)
        log.configure("up", level="WARNING", json=False)
        ports = open_ports(settings, set(flags))
        shutil.rmtree(settings.runtime_dir, ignore_errors=True)  # what a killed predecessor said is true no longer
        ensure_private_dir(settings.runtime_dir)
        settings = config.load(folder, flags={**flags, **{SETTING[name]: n for name, n in ports.numbers.items()}})
        supervisor = Supervisor(settings, ports, flags, say)
        return asyncio.run(supervisor.run(list_processes(settings, ports)))
    finally:
        os.close(lock)


class Supervisor:
    """One run of the workbench, from the first line in the terminal to the last."""

    def __init__(self, settings: Settings, ports: Ports, flags: Mapping[str, Any], say: Say) -> None:
        self._settings = settings
        self._ports = ports
        self._say = say
        self._addresses = addresses(settings, ports.numbers)
        resolved = {**flags, **{SETTING[name]: number for name, number in ports.numbers.items()}}
        environment = home.child_environment(settings, resolved, os.environ)
        self._children = Children(environment, home.logs_dir(settings), say)
        self._state = "starting"
        self._lake_version = ""
        self._engine = state.engine(settings)
        self._stop = asyncio.Event()
        self._fault: BaseException | None = None

    async def run(self, specs: Sequence[Spec]) -> int:
        """Start, watch until asked to end, end. Always 0: what fails is started again until somebody ends it."""
        adopt_orphans()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        for notice in self._ports.notices:
            self._say(notice)
        self._prepare()
        control = await serve_control(control_socket(self._settings), self._asked)
        tasks = [asyncio.create_task(self._start(specs)), asyncio.create_task(self._publish_every_second())]
        for task in tasks:
            task.add_done_callback(self._note_fault)
        try:
            await self._stop.wait()
        finally:
            control.close()
            await self._end(*tasks)
        if self._fault:
            raise self._fault
        return 0

    def _asked(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Somebody needs a process: start it unless it is there, and say how far it is."""
        spec = on_demand.spec(self._settings, question)
        child = self._children.get(spec.name)
        if child is None:
            self._say(f"Starting {spec.name}, which somebody opened…")
            child = self._children.start(spec)
        return {"state": child.state, "restarts": child.restarts}

    def _note_fault(self, task: asyncio.Task[None]) -> None:
        """A fault of our own ends the whole, loudly: half a supervisor is worse than none."""
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
            self._stop.set()

    def _prepare(self) -> None:
        """The owner, and the token with which our own processes send data."""
        self._owner = people.create_owner(self._engine)
        people.revoke_tokens(self._engine, name=TOKEN_NAME)
        token = people.create_token(self._engine, "ingest", name=TOKEN_NAME)
        home.write_private(self._settings.runtime_dir / "ingest.token", token + "\n")
        self._write()

    async def _start(self, specs: Sequence[Spec]) -> None:
        first = [spec for spec in specs if spec.ready is not None]
        began = time.monotonic()
        self._say(f"Starting {', '.join(spec.name for spec in first)}…")
        children = [self._children.start(spec) for spec in first]
        await asyncio.gather(*(self._say_when_ready(child, began) for child in children))
        for spec in specs:
            if spec.ready is None:
                self._children.start(spec)
        self._state = "running"
        self._write()
        self._announce()

    async def _say_when_ready(self, child: Child, began: float) -> None:
        await child.serving.wait()
        self._say(f"  {child.spec.name} ready in {time.monotonic() - began:.1f} s")

    def _announce(self) -> None:
        link = f"{self._addresses['url']}/signin#{people.create_link(self._engine, self._owner)}"
        self._say(f"\nWorkbench: {link}\n")
        self._say(
            "The link signs you in once, within 5 minutes; `workbench open` prints another. Ctrl-C ends everything."
        )
        if self._settings.front.browser:
            asyncio.get_running_loop().run_in_executor(None, browser.show, self._settings.runtime_dir, link)

    async def _publish_every_second(self) -> None:
        second = 0
        while True:
            if second % VERSION_EVERY == 0:
                await self._ask_version()
            try:
                self._write()
                self._children.rotate_logs()
                self._children.end_overgrown()
            except OSError as error:  # a full disk must not end what still runs
                self._say(f"cannot write: {error}")
            self._children.reap_orphans()
            second += 1
            await asyncio.sleep(PUBLISH_SECONDS)

    async def _ask_version(self) -> None:
        status, body = await local_http.get(self._settings.hub_socket, "/health")
        if status == 200:
            with contextlib.suppress(ValueError, AttributeError):
                self._lake_version = json.loads(body).get("lake_version", "")

    async def _end(self, *tasks: asyncio.Task[None]) -> None:
        self._say("\nStopping…")
        self._state = "stopping"
        self._write()
        for task in tasks:
            task.cancel()
        self._ports.close()
        await self._children.stop()
        people.revoke_tokens(self._engine, name=TOKEN_NAME)
        self._engine.dispose()
        shutil.rmtree(self._settings.runtime_dir, ignore_errors=True)
        self._say("Stopped.")

    def _write(self) -> None:
        own = Child(Spec("up", ()), state="running", pid=psutil.Process().pid)
        children = (own, *self._children.all)
        figures = [child.figures() for child in children]
        # One that somebody is just opening is as it should be.
        well = all(child.state == "running" or child.on_its_way for child in children)
        document = {
            "state": "degraded" if self._state == "running" and not well else self._state,
            **self._addresses,
            "version": workbench.__version__,
            "lake_version": self._lake_version,
            "notices": list(self._ports.notices),
            "processes": figures,
        }
        home.write_private(self._settings.up_file, json.dumps(document, indent=1))
