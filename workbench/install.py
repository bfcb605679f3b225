"""Install the locked set into `.venv` and build the pages: what `make install` runs.

Nothing but Python's own library is used. Index, proxy and certificate settings of pip are handed on to uv and npm, so
that a machine where pip works needs no more setting up. A second run finds all in place and takes a moment.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements.lock"
STAMP = VENV / ".installed"
KERNELS = ROOT / ".cache" / "numba"


def main() -> int:
    """Bring `.venv` and the built pages to what the sources ask for; returns the exit code."""
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    environment = {**os.environ, **settings_of_pip()}
    try:
        if not (STAMP.exists() and STAMP.read_text() == wanted):
            install(environment)
            STAMP.write_text(wanted)
        run([BIN / "python", "-m", "workbench.show.build"], environment)
        compile_kernels(environment)
    except subprocess.CalledProcessError as error:
        print(
            f"install: {error.cmd[0]} ended with {error.returncode}; see above. Run `make install` again.",
            file=sys.stderr,
        )
        return 1
    return 0


def install(environment: dict[str, str]) -> None:
    """Make `.venv` anew where it is missing, and install every locked package and the project itself."""
    if not (BIN / "python").exists():
        say(f"making .venv with Python {sys.version_info.major}.{sys.version_info.minor}")
        venv.create(VENV, with_pip=True, clear=True)
    if not (BIN / "uv").exists():
        say("fetching uv, the installer")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
            pinned.write(locked("uv"))
            pinned.flush()
            run(
                [BIN / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", pinned.name],
                environment,
            )
    packages = len(re.findall(r"^\S+==", LOCK.read_text(), re.MULTILINE))
    say(f"installing {packages} locked packages")
    run([BIN / "uv", "pip", "sync", "--quiet", "--require-hashes", LOCK], environment)
    run([BIN / "uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ROOT], environment)


def compile_kernels(environment: dict[str, str]) -> None:
    """Compile the numba kernels whose sources changed, so that no user waits for it at the first page."""
    sources = [
        file for file in sorted((ROOT / "workbench").rglob("*.py")) if "@njit" in file.read_text(encoding="utf-8")
    ]
    # What numba itself goes by: time and size of each source, and the version of what compiles it.
    wanted = "\n".join(f"{file.name} {file.stat().st_mtime_ns} {file.stat().st_size}" for file in sources)
    wanted += hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = KERNELS / ".compiled"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"compiling {len(sources)} files of kernels, once; this takes half a minute")
    run([BIN / "python", "-m", "workbench.serve.warm", KERNELS], environment)
    stamp.write_text(wanted)


def locked(name: str) -> str:
    """The lines of the lock file that pin one package, with its hashes."""
    found = re.search(rf"^{re.escape(name)}==.*?(?=^\S)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"install: {LOCK.name} does not pin {name}; run `make lock`")
    return found.group()


def settings_of_pip() -> dict[str, str]:
    """What uv and npm must know of pip's configuration: index, extra indexes, links, proxy, certificates."""
    text = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    # pip's own order: what is set for all commands, for `pip install`, in the environment; the last one wins.
    ranks = ("global", "install", ":env:")
    found: dict[str, str] = {}
    for rank in ranks:
        for line in text.splitlines():
            name, _, value = line.partition("=")
            section, _, key = name.rpartition(".")
            if section == rank:
                found[key] = value.strip("'\"").replace("\\n", " ").strip()
    names = {
        "index-url": ("UV_DEFAULT_INDEX",),
        "extra-index-url": ("UV_INDEX",),
        "find-links": ("UV_FIND_LINKS",),
        "trusted-host": ("UV_INSECURE_HOST",),
        "proxy": ("HTTPS_PROXY", "HTTP_PROXY"),
        "cert": ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"),
    }
    handed = {variable: found[key] for key, variables in names.items() if found.get(key) for variable in variables}
    handed.setdefault("UV_LINK_MODE", "copy")
    handed["VIRTUAL_ENV"] = str(VENV)
    return {name: value for name, value in handed.items() if name == "VIRTUAL_ENV" or name not in os.environ}


def say(text: str) -> None:
    """Show progress."""
    print(f"install: {text} …", flush=True)


def run(command: list[str | Path], environment: dict[str, str]) -> None:
    """Run one command of the installation, or raise CalledProcessError."""
    subprocess.run([str(part) for part in command], check=True, env=environment, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
