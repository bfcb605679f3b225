"""The processes that start when somebody first opens them: Panel, Voila, and one JupyterLab for each person."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.config import Settings
from workbench.serve.identity.people import Person
from workbench.serve.running import local_http
from workbench.serve.running.children import Spec
from workbench.serve.running.control import ask_to_start

OPS_BYTES = 1536 * 2**20
BOARDS_BYTES = 2 * 2**30  # it holds a view of its own for the brokers: 0.7 GB at rest, more just after a bulk load
LAB_BYTES = 768 * 2**20
PERSON = re.compile(r"user:[0-9]{1,12}")
ROLE = re.compile(r"[a-z]{1,20}")


@dataclass(frozen=True)
class Upstream:
    """Where a server listens: a unix socket, or a port of 127.0.0.1; `token` is its secret, `authorization`'s value."""

    socket: Path | None = None
    port: int = 0
    token: str = ""

    def usable(self) -> bool:
        """Whether there is an address at all."""
        return self.port > 0 or (self.socket is not None and self.socket.exists())


def spec(settings: Settings, question: Mapping[str, Any]) -> Spec:
    """The process that `question` asks for. Raises ValueError for one that nobody may ask for."""
    name, parent = question["start"], ("--parent", str(os.getpid()))
    if name == "ops":
        return _spec("ops", parent, lambda: Upstream(socket=settings.runtime_dir / "ops.sock"), OPS_BYTES)
    if name == "boards":
        return _spec("boards", parent, lambda: boards_upstream(settings), BOARDS_BYTES)
    if name == "lab":
        person, role = question["person"], question["role"]
        if not (PERSON.fullmatch(person) and ROLE.fullmatch(role)):
            raise ValueError(f"no lab for {person!r}")
        own = (*parent, "--person", person, "--role", role)
        someone = Person(person, role)
        return _spec("lab", own, lambda: lab_upstream(settings, someone), LAB_BYTES, suffix=f"-{_number(person)}")
    raise ValueError(f"there is no process {name!r}")


def boards_upstream(settings: Settings) -> Upstream:
    """Where Voila listens, which it says itself; nowhere before it does."""
    try:
        found = json.loads((settings.runtime_dir / "boards.json").read_text(encoding="utf-8"))
        return Upstream(port=int(found["port"]), token=f"token {found['token']}")
    except (OSError, ValueError, KeyError, TypeError):
        return Upstream()


def lab_dir(settings: Settings, person: Person) -> Path:
    """The folder (0700) of socket and token of somebody's JupyterLab."""
    return settings.runtime_dir / f"lab-{_number(person.id)}"


def lab_upstream(settings: Settings, person: Person) -> Upstream:
    """Where somebody's JupyterLab listens; nowhere before it has said its token."""
    folder = lab_dir(settings, person)
    try:
        token = (folder / "token").read_text(encoding="utf-8").strip()
    except OSError:
        return Upstream()
    return Upstream(socket=folder / "lab.sock", token=f"token {token}")


def _number(person: str) -> str:
    return person.removeprefix("user:")


def _spec(name: str, arguments: tuple[str, ...], locate: Any, memory_bytes: int, *, suffix: str = "") -> Spec:
    async def ready() -> bool:
        upstream: Upstream = locate()
        if not upstream.usable():
            return False
        address = upstream.socket if upstream.socket else ("127.0.0.1", upstream.port)
        return (await local_http.get(address, "/"))[0] != 0

    argv = ("-m", f"workbench.serve.{name}", *arguments)
    return Spec(name + suffix, argv, ready=ready, on_demand=True, memory_bytes=memory_bytes)


async def start(settings: Settings, name: str, **arguments: str) -> str:
    """Have the supervisor start a process; what is wrong where it cannot be, for people ("" otherwise)."""
    answer = await ask_to_start(settings, name, **arguments)
    if "error" in answer:
        return f"It cannot be started: {answer['error']}."
    if answer.get("state") == "restarting":
        return f"It ended {answer.get('restarts', 0) + 1} times while starting; its log in the home says why."
    return ""
