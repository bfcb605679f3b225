"""The process of an interactive board's kernel: in its room, reached over files that only their owner can open."""

from __future__ import annotations

import os
from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from workbench.sandbox import kernel_environment
from workbench.serve.sessions.board_kernels import starting
from workbench.serve.sessions.board_rooms import Room


class BoardProcess(ServerKernelManager):
    """A kernel that owns nothing, for the session that is being started."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "transport": "ipc"})
        self._room = Room()

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        self._room = starting.get().room
        kernel = self._room.kernel
        if kernel is not None:
            kernel.place(self)
        argv, prepared = await super()._async_pre_start_kernel(**{**options, "env": kernel_environment(os.environ)})
        return argv if kernel is None else kernel.command(argv, self._room.cache), prepared

    async def _async_post_start_kernel(self, **options: Any) -> None:
        if self._room.kernel is not None and self.provisioner is not None:
            self._room.kernel.watch(self.provisioner.pid)  # type: ignore[attr-defined]
        await super()._async_post_start_kernel(**options)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart)
        if not restart:
            self._room.close()
            self._room = Room()
