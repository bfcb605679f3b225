"""The home of a workbench: its folders, the lock that one `up` holds, the environment of its processes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.config import ENV_PREFIX, Settings, ensure_private_dir
from workbench.errors import ConfigError

FOLDERS = ("state", "notebooks", "dashboards", "scheduled", "rules", "reports", "snapshots")
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

KERNELS = Path(__file__).resolve().parents[3] / ".cache" / "numba"
"""Where the installer put the kernels that it compiled."""

MAX_CAP_BYTES = 20 * 10**9
LOOPBACK = "localhost,127.0.0.1,::1"


def make_home(settings: Settings) -> None:
    """Make the home, for its owner only. Raises ConfigError if it is somebody else's."""
    ensure_private_dir(settings.home)
    for folder in FOLDERS:
        ensure_private_dir(settings.home / folder)
    ensure_private_dir(logs_dir(settings))
    seed_kernels(settings)


def seed_kernels(settings: Settings) -> None:
    """Give the home a copy of the kernels that the installer compiled, so that its first query need not wait for it."""
    made, target = KERNELS / ".compiled", settings.state_dir / "cache" / "numba"
    known = target / ".compiled"
    if made.is_file() and not (known.is_file() and known.read_bytes() == made.read_bytes()):
        shutil.copytree(KERNELS, target, dirs_exist_ok=True)


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


def use_caches(settings: Settings) -> None:
    """Point this process's libraries at the caches of the home too, unless somebody said where. Before they load."""
    for variable, folder in CACHES.items():
        os.environ.setdefault(variable, str(settings.state_dir / "cache" / folder))


def child_environment(settings: Settings, resolved: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of every process: its home, `resolved` settings, caches, no proxy on loopback."""
    made = dict(environ)
    made["WORKBENCH_HOME"] = str(settings.home)
    for name, value in resolved.items():
        text = " ".join(value) if isinstance(value, (tuple, list)) else str(value)
        made[ENV_PREFIX + name.replace(".", "_").upper()] = text
    for variable, folder in CACHES.items():
        made[variable] = str(settings.state_dir / "cache" / folder)
    for variable in ("NO_PROXY", "no_proxy"):
        made[variable] = ",".join(filter(None, (made.get(variable), LOOPBACK)))
    made["PYTHONUNBUFFERED"] = "1"
    return made


def settle_cap(settings: Settings) -> None:
    """At the first start, write the disk cap of the lake into `workbench.toml`, where it stays until somebody edits it.

    It is 20 GB or a fifth of the space that is free now, whichever is less. Nothing happens where a cap is set already.
    """
    if settings.lake.cap_bytes:
        return
    cap_bytes = min(MAX_CAP_BYTES, shutil.disk_usage(settings.home).free // 5)
    file = settings.home / "workbench.toml"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    heading = next((at for at, line in enumerate(lines) if line.split("#")[0].strip() == "[lake]"), None)
    if heading is None:
        lines += ["[lake]"]
        heading = len(lines) - 1
    lines[heading + 1 : heading + 1] = [
        "# Computed at the first start from the space then free; it never changes by itself.",
        f"cap_bytes = {cap_bytes}",
    ]
    text = "\n".join(lines) + "\n"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "the disk cap cannot be added to this file", where=str(file), hint=f"Add lake.cap_bytes = {cap_bytes}."
        ) from error
    write_private(file, text)
