"""The brokers that `front` keeps: one for each person whose code runs in a sandbox, with the rows that he may see now.

Who starts a sandbox asks here first, and again every few seconds: whoever was shut out since, or may no longer see the
lake's files, has to be ended.
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench.config import Settings, ensure_private_dir
from workbench.errors import Forbidden, WorkbenchError
from workbench.sandbox import Broker
from workbench.serve.access.rows import RowsViews
from workbench.serve.access.versions import Versions
from workbench.serve.identity.people import Person
from workbench.serve.running.control import serve_control
from workbench.store import View, state

TIMEOUT_SECONDS = 1.5
REMEMBERED_SECONDS = 0.9


@dataclass(frozen=True)
class Grant:
    """What a sandbox of a person gets: the folder of its broker, and whether it may see the lake's files."""

    folder: Path
    lake: bool


def brokers_socket(settings: Settings) -> Path:
    """Where front is asked for brokers."""
    return settings.runtime_dir / "brokers.sock"


class Brokers:
    """Makes them when they are first asked for, and keeps them until `close`."""

    def __init__(self, settings: Settings, rows: RowsViews, engine: sa.Engine, versions: Versions) -> None:
        self._settings = settings
        self._rows = rows
        self._engine = engine
        self._made: dict[str, Broker] = {}
        self._versions = versions
        self._roles: dict[str, tuple[float, str]] = {}

    async def listen(self) -> asyncio.Server:
        """Answer on `brokers_socket`."""
        ensure_private_dir(self._settings.runtime_dir)
        return await serve_control(brokers_socket(self._settings), self.answer)

    def answer(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """`{"broker": "user:3"}` -> its folder and `lake`; `error` where he may have none."""
        person = str(question["broker"])
        try:
            limits = self._rows.of(self._person(person)).matchers
        except WorkbenchError as error:
            return {"error": error.message}
        if person not in self._made:
            folder = self._settings.runtime_dir / f"broker-{person.removeprefix('user:')}"
            self._made[person] = Broker(folder, functools.partial(self._view, person), self._settings)
        return {"folder": str(self._made[person].folder), "lake": not limits}

    def close(self) -> None:
        """Close all brokers."""
        for broker in self._made.values():
            broker.close()

    def _view(self, person: str, version: str) -> View:
        rows = self._rows.of(self._person(person))
        return self._versions.at(version, rows.matchers) if version else rows.view

    def _person(self, person: str) -> Person:
        """The person as the state has him. Raises Forbidden if he may not come in any longer."""
        known = self._roles.get(person)
        if known is None or time.monotonic() - known[0] >= REMEMBERED_SECONDS:
            kind, _, number = person.partition(":")
            users = state.users
            with self._engine.connect() as connection:
                found = connection.execute(
                    sa.select(users.c.role).where(
                        users.c.id == (int(number) if kind == "user" and number.isdecimal() else -1),
                        users.c.disabled_us.is_(None),
                    )
                ).scalar()
            known = self._roles[person] = (time.monotonic(), found or "")
        if not known[1]:
            raise Forbidden(f"{person} may not come in")
        return Person(person, known[1])


async def ask_for_broker(settings: Settings, person: str) -> Grant | None:
    """What front grants a person now; None while it does not answer. Raises Forbidden where he may have nothing."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(brokers_socket(settings)))
            try:
                writer.write(json.dumps({"broker": person}).encode() + b"\n")
                await writer.drain()
                answer = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None
    if "error" in answer:
        raise Forbidden(str(answer["error"]))
    return Grant(Path(answer["folder"]), bool(answer["lake"]))
