"""Kernels of reports: reached over files that only their owner can open, not over TCP ports that every user could."""

from __future__ import annotations

from typing import Any

from jupyter_client.manager import AsyncKernelManager


class IpcKernelManager(AsyncKernelManager):
    """A kernel manager whose kernels listen on unix sockets beside their connection file."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "transport": "ipc"})
