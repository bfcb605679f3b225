"""The process of an interactive board's kernel: reached over files that only their owner can open."""

from __future__ import annotations

import os
from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from workbench.sandbox import kernel_environment


class BoardProcess(ServerKernelManager):
    """A kernel on unix sockets beside its connection file, without our environment."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "transport": "ipc"})

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        return await super()._async_pre_start_kernel(**{**options, "env": kernel_environment(os.environ)})
