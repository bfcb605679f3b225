"""A home with samples, and commands run in its sandbox."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import need
from report.conftest import measure

from workbench import config
from workbench.sandbox import Broker, available, own_caches, sandboxed
from workbench.store import open_view

Inside = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> config.Settings:
    """A home with a sealed lake, a state data base, a log, and somebody else's folder."""
    made = config.load(tmp_path / "home", environ={})
    measure(made, [1.0, 2.0, 3.0, 4.0])
    made.state_dir.mkdir(parents=True, exist_ok=True)
    (made.state_dir / "state.db").write_text("everybody's secret")
    for person in ("2", "3"):
        folder = made.home / "notebooks" / "people" / person
        folder.mkdir(parents=True)
        (folder / "diary.txt").write_text(f"the diary of {person}")
    return made


@pytest.fixture
def own(home: config.Settings) -> Path:
    """The folder of the person inside."""
    return home.home / "notebooks" / "people" / "2"


@pytest.fixture
def broker(home: config.Settings, tmp_path: Path):
    """The broker of somebody who may see all."""
    opened = functools.cache(lambda version: open_view(home, version=version or None))

    def views(version: str):
        opened(version).refresh()
        return opened(version)

    with Broker(tmp_path / "b", views, home) as made:
        yield made


@pytest.fixture
def inside(home: config.Settings, own: Path, broker: Broker) -> Inside:
    """Run Python in the sandbox of a person; options as `sandboxed` has them."""
    need(not available(), available())
    cache, environment = own_caches(home, "user-2")

    def run(code: str, **options):
        given = {"write": [own, cache], "broker": broker.folder, "environment": environment, **options}
        argv = sandboxed([sys.executable, "-c", code], settings=home, **given)
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    return run
