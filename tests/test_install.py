"""The way from a clone to a running workbench: which Python is taken, what uv and npm are told, what a clean leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from workbench import install

FINDER = ROOT / ".ci" / "python.sh"
SHELL = shutil.which("sh")


def fake_python(folder: Path, name: str, *, version: str, venv: bool = True) -> None:
    """A program that answers the finder's questions as a Python of that version would."""
    script = f"""#!{SHELL}
case "$*" in
  *"not (3, 11)"*) {"exit 0" if version >= "3.11" else "exit 1"} ;;
  *ensurepip*) {"exit 0" if venv else "exit 1"} ;;
  *version_info*) echo {version} ;;
  *) echo "ran with {name}: $*" ;;
esac
"""
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def find(folder: Path) -> subprocess.CompletedProcess:
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("apt-get",):
        (tools / tool).write_text(f"#!{SHELL}\n")
        (tools / tool).chmod(0o755)
    environment = {"PATH": f"{folder}:{tools}"}
    return subprocess.run(
        [str(SHELL), str(FINDER), "script.py"], capture_output=True, text=True, env=environment, check=False
    )


def test_the_newest_supported_python_is_taken(tmp_path: Path):
    fake_python(tmp_path, "python3.12", version="3.12")
    fake_python(tmp_path, "python3.11", version="3.11")
    assert find(tmp_path).stdout == "ran with python3.12: -P script.py\n"


def test_without_python_one_command_is_named(tmp_path: Path):
    fake_python(tmp_path, "python3", version="3.09")
    run = find(tmp_path)
    assert run.returncode == 1
    assert "Python 3.11 or newer" in run.stderr
    assert run.stderr.splitlines()[-1].strip() == "sudo apt-get install -y python3 python3-venv"


def test_without_venv_its_package_is_named(tmp_path: Path):
    fake_python(tmp_path, "python3.11", version="3.11", venv=False)
    run = find(tmp_path)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].strip() == "sudo apt-get install -y python3.11-venv"


def test_what_pip_knows_is_handed_to_uv_and_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_CERT", "NODE_"))]:
        monkeypatch.delenv(name)
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://mirror.example/simple\ncert = /certificates.pem\nproxy = http://proxy.example:3128\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    found = install.settings_of_pip()
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found["SSL_CERT_FILE"] == found["NODE_EXTRA_CA_CERTS"] == "/certificates.pem"
    assert found["HTTPS_PROXY"] == "http://proxy.example:3128"
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple")
    assert install.settings_of_pip()["UV_DEFAULT_INDEX"] == "https://other.example/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://asked.example/simple")
    assert "UV_DEFAULT_INDEX" not in install.settings_of_pip(), "what was set for uv itself stays"


def test_the_installer_pins_the_installer():
    block = install.locked("uv")
    assert block.startswith("uv==")
    assert block.count("--hash=sha256:") > 3
    with pytest.raises(SystemExit, match="make lock"):
        install.locked("no-such-package")


def test_help_lists_every_command():
    run = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in ("run", "install", "test", "bench", "soak", "lint", "clean", "help"):
        assert f"make {command} " in run.stdout


def test_make_says_nothing_of_the_outside_to_our_own_calls():
    run = subprocess.run(
        ["make", "-s", "-f", "-", "show"],
        input=(ROOT / "Makefile").read_text() + "\nshow:\n\t@echo $$NO_PROXY\n",
        cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "NO_PROXY": "elsewhere.example"},
    )  # fmt: skip
    assert "127.0.0.1" in run.stdout
    assert "elsewhere.example" in run.stdout
