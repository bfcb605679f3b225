"""Kernels of reports: reached over files that only their owner can open, and started without our secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from jupyter_client.manager import AsyncKernelManager

PASSED_ON = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "NUMBA_CACHE_DIR",
             "IPYTHONDIR", "MPLCONFIGDIR", "WORKBENCH_HOME")  # fmt: skip
PASSED_ON_BY_BEGINNING = ("LC_", "PYTHON", "XDG_", "JUPYTER_", "OMP_", "OPENBLAS_", "MKL_", "WORKBENCH_QUERY_")


def kernel_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a kernel may know of our environment: where things lie and how many threads, never a token or an address."""
    return {
        name: value for name, value in environ.items() if name in PASSED_ON or name.startswith(PASSED_ON_BY_BEGINNING)
    }


class IpcKernelManager(AsyncKernelManager):
    """A kernel manager whose kernels listen on unix sockets beside their connection file."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "transport": "ipc"})

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        return await super()._async_pre_start_kernel(**{**options, "env": kernel_environment(os.environ)})
