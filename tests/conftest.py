"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench import config

ROOT = Path(__file__).resolve().parent.parent
# Compiled kernels are shared between tests and runs; a user's home has its own.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))
for variable in [name for name in os.environ if name.startswith("WORKBENCH_") and name != "WORKBENCH_TEST_DATA"]:
    del os.environ[variable]


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    """Settings of an empty home."""
    return config.load(tmp_path / "home", environ={})


def need(condition: object, reason: str) -> None:
    """Skip with the reason where a server or a folder is missing on a user's machine; in CI fail instead."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must provide it: {reason}")
    pytest.skip(reason)
