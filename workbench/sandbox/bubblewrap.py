"""A command in a room of its own: bubblewrap's arguments, and whether this system can have such rooms.

Inside there are the system's programs, the interpreter and our code (all read-only), one or more folders of the person,
`/tmp` and a process table of its own, and no network but its own loopback. Nothing else is there to be read: what is
not bound does not exist.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.config import Settings

PROJECT = Path(__file__).resolve().parent.parent.parent
"""Where our code lies: the checkout, or `site-packages`."""

PARTS_OF_PROJECT = ("workbench", "notebooks", "dashboards", "catalogs", "scheduled", "pyproject.toml")
"""What of a checkout is shown inside; what else lies there is nobody's business."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
OF_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime", "mime.types")
INSIDE_HOME = "/tmp/home"
TMP_BYTES = 512 * 2**20
OPEN_FILES = 4096
FILE_BYTES = 8 * 2**30
# Private memory that is mapped, but never touched: thread stacks and arenas of Arrow, DuckDB and polars. Measured: 1.2
# GB more than is used once all of them are loaded. Above it an allocation fails with a MemoryError, at once.
MAPPED_BEYOND_BYTES = 3 * 2**30

_PROBE_SECONDS = 10


@functools.cache
def available() -> str:
    """ "" where commands can be sandboxed here, else the reason why not, as a sentence for people."""
    if sys.platform != "linux":
        return "Sandboxes need Linux, because they are made by bubblewrap."
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not installed (Debian, Ubuntu, Fedora: the package `bubblewrap`)."
    if shutil.which("prlimit") is None:
        return "prlimit is not installed (the package `util-linux`)."
    try:
        trial = subprocess.run(
            [program, *_NAMESPACES, *_system(), "--proc", "/proc", "--dev", "/dev", "true"],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap cannot be run: {error}."
    if trial.returncode:
        said = trial.stderr.strip().splitlines()[-1:] or [f"code {trial.returncode}"]
        return f"The system does not let bubblewrap make a sandbox ({said[0]}); it may forbid user namespaces."
    return ""


def sandboxed(
    argv: Sequence[str],
    *,
    settings: Settings,
    write: Sequence[Path],
    broker: Path | None = None,
    read: Mapping[Path, Path] | None = None,
    hide: Sequence[Path] = (),
    lake: bool = False,
    environment: Mapping[str, str] | None = None,
    memory_bytes: int = 0,
    processes: int = 256,
) -> list[str]:
    """The command that runs `argv` in a sandbox, in the first folder of `write`; its file descriptors stay open.

    `write` are the folders that it may change, `read` more that it may see (path outside -> path inside) but for the
    folders `hide` (paths inside); `broker` is the folder of its broker's socket. `lake` shows the lake's files,
    read-only: only to who may see every row. Of our environment it gets nothing but `environment`. `memory_bytes` (0:
    none) bounds what one process may map; `Guard` bounds what all of them use.
    """
    given = {**_environment(settings, broker), **(environment or {})}
    inside = [
        *_NAMESPACES,
        *_system(),
        *("--size", str(TMP_BYTES), "--tmpfs", "/tmp"),
        *("--dir", INSIDE_HOME, "--proc", "/proc", "--dev", "/dev", "--size", str(TMP_BYTES), "--tmpfs", "/dev/shm"),
        *_code(),
        *_hidden(settings),
        *(_lake(settings) if lake else ()),
        *(_bind("--ro-bind", broker) if broker else ()),
        *(part for folder in write for part in _bind("--bind", folder)),
        *(part for outside, to in (read or {}).items() for part in ("--ro-bind-try", str(outside), str(to))),
        *(part for folder in hide for part in ("--tmpfs", str(folder), "--remount-ro", str(folder))),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", str(write[0])),
        *(part for name, value in given.items() for part in ("--setenv", name, value)),
    ]
    return [_program("bwrap"), *inside, "--", *_limits(memory_bytes, processes), *argv]


_NAMESPACES = (
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--uid",
    "1000",
    "--gid",
    "1000",
    "--hostname",
    "sandbox",
)


def _program(name: str) -> str:
    return shutil.which(name) or name


def _system() -> list[str]:
    """Programs and libraries of the system, and of /etc what they need to run; no names, keys or settings."""
    found: list[str] = []
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            found += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            found += ["--ro-bind", name, name]
    for name in OF_ETC:
        found += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return [*found, "--ro-bind", str(Path(__file__).with_name("passwd")), "/etc/passwd"]


def _code() -> list[str]:
    """The interpreter with its packages, and our own code."""
    found: list[str] = []
    for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not _is_system(Path(prefix)):
            found += _bind("--ro-bind", Path(prefix))
    if not PROJECT.is_relative_to(Path(sys.prefix).resolve()):
        for name in PARTS_OF_PROJECT:
            found += ["--ro-bind-try", str(PROJECT / name), str(PROJECT / name)]
    return found


def _hidden(settings: Settings) -> list[str]:
    """Empty folders over home and run-time folder, where they lie within something that is shown."""
    shown = [*SYSTEM, sys.prefix, sys.base_prefix, *(str(PROJECT / name) for name in PARTS_OF_PROJECT)]
    secret = [settings.home, settings.runtime_dir]
    within = [path for path in secret if any(path.is_relative_to(Path(place).resolve()) for place in shown)]
    return [part for path in within for part in ("--tmpfs", str(path))]


def _lake(settings: Settings) -> list[str]:
    """The lake's files, its index, which holds the same samples, and what says how they are laid out."""
    places = (settings.lake_dir, settings.home / "index", settings.home / "layout.json")
    return [part for place in places for part in _bind("--ro-bind-try", place)]


def _is_system(path: Path) -> bool:
    return path.resolve().is_relative_to("/usr")


def _bind(how: str, path: Path) -> list[str]:
    return [how, str(path), str(path)]


def _environment(settings: Settings, broker: Path | None) -> dict[str, str]:
    given = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": INSIDE_HOME,
        "USER": "person",
        "LOGNAME": "person",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "WORKBENCH_HOME": str(settings.home),
        "XDG_RUNTIME_DIR": "/tmp",
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if broker is not None:
        given["WORKBENCH_QUERY_BROKER"] = str(broker / "broker.sock")
    return given


def _limits(memory_bytes: int, processes: int) -> list[str]:
    """Bounds that the system itself keeps for each process."""
    bounds = [f"--nofile={OPEN_FILES}", f"--nproc={processes}", f"--fsize={FILE_BYTES}", "--core=0"]
    if memory_bytes:
        bounds.append(f"--data={memory_bytes + MAPPED_BEYOND_BYTES}")
    return [_program("prlimit"), *bounds]
