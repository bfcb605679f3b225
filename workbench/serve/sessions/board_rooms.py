"""Where the kernels of interactive boards run: each in a sandbox, with a broker that answers with its person's rows."""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench import log
from workbench.config import Settings
from workbench.errors import Forbidden
from workbench.query import Matchers, limited
from workbench.sandbox import Broker, ConfinedKernel, Limits, available, own_caches, sandboxed
from workbench.serve.access.rows import RowsViews
from workbench.serve.identity.people import Person
from workbench.store import Reader, View, open_view, state

HINT = "Boards for many readers should ask for less at once."

_log = log.get(__name__)


@dataclass
class Room:
    """What belongs to one session's kernel; `kernel` is None where the system has no sandbox."""

    matchers: Matchers = ()
    """What the rows of its person had to meet when it was made."""
    kernel: ConfinedKernel | None = None
    cache: Path = Path()
    broker: Broker | None = None

    def close(self) -> None:
        """When the kernel has ended: nothing of it stays."""
        if self.kernel is not None:
            self.kernel.close()
        if self.broker is not None:
            self.broker.close()
            self.broker.folder.rmdir()


@dataclass
class Rooms:
    """Makes the rooms; what they share is the view of the data, opened when the first one is asked for."""

    settings: Settings

    def open(self, person: Person) -> Room:
        """A room for a session of `person`. Raises Forbidden where it would show more than his rows."""
        rows = self._rows.of(person)
        reason = available()
        if reason:
            if rows.matchers:
                raise Forbidden(f"an interactive session cannot be limited to your rows. {reason}")
            _log.warning("session without a sandbox", reason=reason)
            return Room()

        @functools.lru_cache(maxsize=4)
        def pinned(version: str, matchers: Matchers) -> View:
            return limited(open_view(self.settings, version=version), matchers)

        def views(version: str) -> View:
            now = self._rows.of(person)
            if version:
                return pinned(version, now.matchers)
            self._view.refresh()
            return now.view

        settings = self.settings
        limits = Limits(settings.lab.memory_bytes, settings.lab.processes, HINT)
        cache, environment = own_caches(settings, re.sub(r"[^a-z0-9]", "-", person.id))
        broker = Broker(settings.runtime_dir / f"b-{uuid.uuid4().hex[:8]}", views, settings)

        def wrap(argv: Sequence[str], write: Sequence[Path], read: Sequence[Path]) -> list[str]:
            return sandboxed(
                argv,
                settings=settings,
                write=write,
                read={path: path for path in read},
                broker=broker.folder,
                lake=not rows.matchers,
                environment=environment,
                memory_bytes=limits.memory_bytes,
                processes=limits.processes,
            )

        return Room(rows.matchers, ConfinedKernel(settings.runtime_dir, wrap, limits), cache, broker)

    def limits_of(self, person: Person) -> Matchers:
        """What the rows of a person have to meet now: a session made under another limit is over."""
        return self._rows.of(person).matchers

    @functools.cached_property
    def _view(self) -> Reader:
        view = open_view(self.settings)
        view.refresh()
        return view

    @functools.cached_property
    def _rows(self) -> RowsViews:
        return RowsViews(self._view, state.engine(self.settings))
