"""Kernels of reports: in a sandbox where the system has one, reached over files that only their owner can open.

`confined` says for whom the kernels of this process are started; without it they are outside of a sandbox, which only
the owner of the home can ask for.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from workbench import log
from workbench.config import Settings
from workbench.errors import ReportError
from workbench.query import limited, parse_matchers
from workbench.sandbox import Broker, ConfinedKernel, Limits, available, kernel_environment, own_caches, sandboxed
from workbench.store import View, open_view

HINT = "Read less at once (fewer columns, a shorter time, Dask), or raise lab.memory_bytes."

_log = log.get(__name__)


@dataclass
class _Run:
    """The run of this process, of which there is one at a time: how its kernel is made, and the kernel."""

    make: Callable[[], ConfinedKernel] | None = None
    cache: Path = Path()
    kernel: ConfinedKernel | None = None


_run = _Run()


@contextmanager
def confined(settings: Settings, rows: str = "{}") -> Iterator[None]:
    """Within it kernels are sandboxed and see what meets the matchers `rows`; one run at a time in a process.

    Where the system has no sandboxes they run as we do, but only if nothing is to be hidden: else raises ReportError.
    """
    matchers = parse_matchers(rows)
    reason = available()
    if reason:
        if matchers:
            raise ReportError(f"it cannot be run with the rows of its publisher. {reason}")
        _log.warning("kernel without a sandbox", reason=reason)
        yield
        return

    opened = functools.cache(lambda version: open_view(settings, version=version or None))
    # Once for a version: a limited view keeps the names of what it shows.
    shown = functools.cache(lambda version: limited(opened(version), matchers))

    def views(version: str) -> View:
        opened(version).refresh()
        return shown(version)

    limits = Limits(settings.lab.memory_bytes, settings.lab.processes, HINT)
    cache, environment = own_caches(settings, _owner(rows))
    with Broker(settings.runtime_dir / f"report-{os.getpid()}", views, settings) as broker:

        def wrap(argv: Sequence[str], write: Sequence[Path], read: Sequence[Path]) -> list[str]:
            return sandboxed(
                argv,
                settings=settings,
                write=write,
                read={path: path for path in read},
                broker=broker.folder,
                lake=not matchers,
                environment=environment,
                memory_bytes=limits.memory_bytes,
                processes=limits.processes,
            )

        _run.make, _run.cache = lambda: ConfinedKernel(settings.runtime_dir, wrap, limits), cache
        try:
            yield
        finally:
            _run.make = None
    broker.folder.rmdir()


def _owner(rows: str) -> str:
    """Whose caches: what runs with fewer rows finds nothing that a run with more of them left."""
    return "reports-" + hashlib.sha256(rows.encode()).hexdigest()[:16]


def why_ended() -> str:
    """Why the guard ended the last kernel of this process; "" where it did not."""
    return _run.kernel.why_ended if _run.kernel is not None else ""


class IpcKernelManager(AsyncKernelManager):
    """A kernel manager whose kernels listen on unix sockets, and are sandboxed within `confined`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "transport": "ipc"})
        self._confined: ConfinedKernel | None = None

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        given = {**options, "env": kernel_environment(os.environ)}
        if _run.make is None:
            return await super()._async_pre_start_kernel(**given)
        _run.kernel = self._confined = _run.make()
        self._confined.place(self)
        argv, prepared = await super()._async_pre_start_kernel(**given)
        return self._confined.command(argv, _run.cache), prepared

    async def _async_post_start_kernel(self, **options: Any) -> None:
        if self._confined is not None and self.provisioner is not None:
            self._confined.watch(self.provisioner.pid)  # type: ignore[attr-defined]
        await super()._async_post_start_kernel(**options)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart)
        if self._confined is not None and not restart:
            self._confined.close()
