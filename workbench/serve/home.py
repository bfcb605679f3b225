"""The home of a workbench: its folders, the lock that one `up` holds, the environment of its processes."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.config import ENV_PREFIX, Settings, ensure_private_dir

FOLDERS = ("state", "notebooks", "dashboards", "scheduled", "rules", "reports")
"""What `up` makes; log, lake and index belong to the store, which looks whether they were there before."""

CACHES = {
    "NUMBA_CACHE_DIR": "numba",
    "JUPYTER_CONFIG_DIR": "jupyter/config",
    "JUPYTER_DATA_DIR": "jupyter/data",
    "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    "IPYTHONDIR": "ipython",
    "MPLCONFIGDIR": "matplotlib",
}
"""Where libraries would write elsewhere, and the folder below `state/cache` that they get instead."""

LOOPBACK = "localhost,127.0.0.1,::1"


def make_home(settings: Settings) -> None:
    """Make the home and the run-time folder, for their owner only. Raises ConfigError if they are somebody else's."""
    ensure_private_dir(settings.home)
    for folder in FOLDERS:
        ensure_private_dir(settings.home / folder)
    ensure_private_dir(logs_dir(settings))
    ensure_private_dir(settings.runtime_dir)


def logs_dir(settings: Settings) -> Path:
    """Where the output of every process lies."""
    return settings.state_dir / "logs"


def take_lock(settings: Settings) -> int | None:
    """The file descriptor that holds the lock of this home until it is closed, or None while another `up` holds it."""
    fd = os.open(settings.state_dir / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def running(settings: Settings) -> dict[str, Any] | None:
    """What the `up` that runs on this home says of itself (`up.json`), or None if none runs.

    A file that a killed supervisor left behind does not count: the lock went with it.
    """
    if not (settings.state_dir / "up.lock").exists():
        return None
    fd = take_lock(settings)
    if fd is not None:
        os.close(fd)
        return None
    try:
        found = json.loads(settings.up_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    return {"state": "starting", "url": None, "processes": [], "notices": [], **found}


def write_private(path: Path, text: str) -> None:
    """Replace a file at once and whole; only its owner can read it."""
    draft = path.with_name(path.name + ".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def child_environment(settings: Settings, resolved: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of every process: its home, `resolved` settings, caches, no proxy on loopback."""
    made = dict(environ)
    made["WORKBENCH_HOME"] = str(settings.home)
    for name, value in resolved.items():
        made[ENV_PREFIX + name.replace(".", "_").upper()] = str(value)
    for variable, folder in CACHES.items():
        made[variable] = str(settings.state_dir / "cache" / folder)
    for variable in ("NO_PROXY", "no_proxy"):
        made[variable] = ",".join(filter(None, (made.get(variable), LOOPBACK)))
    made["PYTHONUNBUFFERED"] = "1"
    return made
