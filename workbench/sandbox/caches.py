"""Where the libraries of sandboxed processes keep what they made: a folder for each owner, shown to nobody else.

What a kernel may write must not be what another process of ours loads; so the compiled kernels of the home are copied
into it once, and never back.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from workbench.config import Settings, ensure_private_dir

_VARIABLES = {"NUMBA_CACHE_DIR": "numba", "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
_OWNER = re.compile(r"[a-z0-9-]{1,40}")


def own_caches(settings: Settings, owner: str) -> tuple[Path, dict[str, str]]:
    """The folder of an owner (`user-3`, `reports`), made if need be, and the variables that point into it."""
    if not _OWNER.fullmatch(owner):
        raise ValueError(f"{owner!r} names no folder")
    folder = ensure_private_dir(settings.state_dir / "cache" / "sandbox" / owner)
    compiled = Path(os.environ.get("NUMBA_CACHE_DIR") or settings.state_dir / "cache" / "numba")
    mine = folder / "numba"
    if compiled.is_dir() and not mine.exists():
        shutil.copytree(compiled, mine)
    return folder, {name: str(folder / part) for name, part in _VARIABLES.items()}
