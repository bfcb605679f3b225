"""One Jupyter kernel in a sandbox of its own: where its sockets lie, how it is started, and who watches it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import log
from workbench.config import ensure_private_dir
from workbench.sandbox.guard import Group, Guard, Limits

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager

_log = log.get(__name__)

Wrap = Callable[[Sequence[str], Sequence[Path], Sequence[Path]], list[str]]
"""(argv, folders to write, folders to read) -> the sandboxed command."""


class ConfinedKernel:
    """What belongs to one kernel from before its start until `close`: files, sockets, guard.

    The connection file is only read inside; its sockets lie in a folder that holds nothing else, so that nothing that
    a kernel writes is where we would follow it.
    """

    def __init__(self, runtime_dir: Path, wrap: Wrap, limits: Limits) -> None:
        self.why_ended = ""
        self._wrap = wrap
        self._limits = limits
        self._guard: Guard | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="k-", dir=ensure_private_dir(runtime_dir)))
        (self._folder / "c").mkdir()
        (self._folder / "s").mkdir()
        (self._folder / "w").mkdir()

    def place(self, manager: KernelManager) -> None:
        """Before the kernel is prepared: say where its file and its sockets lie, and how it is interrupted."""
        manager.transport = "ipc"
        manager.connection_file = str(self._folder / "c" / "kernel.json")
        manager.ip = str(self._folder / "s" / "k")
        # A signal would reach bubblewrap, which would end; the kernel interrupts itself when it is told to.
        if manager.kernel_spec is not None:
            manager.kernel_spec.interrupt_mode = "message"

    def command(self, argv: Sequence[str], *write: Path) -> list[str]:
        """The command that runs the kernel, in an empty working folder; it may write there and in `write`."""
        return self._wrap(argv, [self._folder / "w", *write, self._folder / "s"], [self._folder / "c"])

    def watch(self, pid: int) -> None:
        """Once it runs: see to its limits."""
        self._guard = Guard(pid, self._limits, self._ended)
        self._guard.start()

    def close(self) -> None:
        """When it has ended: nothing of it stays."""
        if self._guard is not None:
            self._guard.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ended(self, group: Group, why: str) -> None:
        self.why_ended = why
        _log.warning("kernel ended", why=why)
