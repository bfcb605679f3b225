"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench import config

ROOT = Path(__file__).resolve().parent.parent
# Compiled kernels are shared between tests and runs; a user's home has its own.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))
KEPT = ("WORKBENCH_TEST_DATA", "WORKBENCH_PROMETHEUS")
for variable in [name for name in os.environ if name.startswith("WORKBENCH_") and name not in KEPT]:
    del os.environ[variable]


ON_EACH_STATE = {
    "alert/test_manager.py", "alert/test_outbox.py", "report/test_job_runs.py", "serve/test_people.py",
    "serve/test_users.py", "store/test_state.py",
}  # fmt: skip
"""Tests that run twice: with the relational state in SQLite, and in PostgreSQL."""
ONCE = {
    "test_killed_in_the_middle_it_gives_one_report_and_one_mail",  # in a process of its own
    "test_a_failure_is_tried_again_then_told_with_its_cell_and_what_follows_is_skipped",  # runs notebooks
    "test_what_is_switched_off_is_not_started_by_the_job_before",
}
"""But for these, which take long."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    file = Path(metafunc.module.__file__).relative_to(Path(__file__).parent).as_posix()
    if file in ON_EACH_STATE and metafunc.function.__name__ not in ONCE:
        # First, so that every engine that the test opens is of that kind.
        metafunc.fixturenames.insert(0, "state_kind")
        metafunc.parametrize("state_kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def state_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the state of every home lies during the test: `sqlite` or `postgresql`."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").database()
        monkeypatch.setattr(config.Settings, "state_url", property(lambda settings: url))
    return str(request.param)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[object]:
    """A PostgreSQL server, started when the first test asks for it."""
    import postgresql

    programs = postgresql.programs()
    need(programs, "PostgreSQL (Debian: postgresql)")
    assert programs is not None
    with postgresql.running(programs) as server:
        yield server


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
