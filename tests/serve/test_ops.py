"""How the drill-down hands a notebook to somebody's JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config import Settings
from workbench.serve.ops import keep_of
from workbench.show import Caller


def caller(role: str, person: str = "user:3") -> Caller:
    return Caller(person, role, "127.0.0.1:8766")


@pytest.mark.parametrize(
    ("role", "walled", "bare"),
    [("viewer", False, False), ("operator", False, False), ("analyst", True, False), ("admin", True, True)],
)
def test_only_those_who_may_use_jupyterlab_keep_notebooks(
    settings: Settings, role: str, walled: bool, bare: bool
) -> None:
    assert bool(keep_of(settings, caller(role), sandbox=True)) is walled
    assert bool(keep_of(settings, caller(role), sandbox=False)) is bare
    assert keep_of(settings, caller(role, "token:3"), sandbox=True) is None


def test_a_notebook_lies_in_the_persons_own_folder(settings: Settings) -> None:
    keep = keep_of(settings, caller("analyst"), sandbox=True)
    assert keep is not None
    assert keep("queues-1", b"{}") == "/lab/lab/tree/queues-1.ipynb"
    file = settings.home / "notebooks" / "people" / "3" / "queues-1.ipynb"
    assert file.read_bytes() == b"{}"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_that_waits_there_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    keep = keep_of(settings, caller("analyst"), sandbox=True)
    assert keep is not None
    folder = settings.home / "notebooks" / "people" / "3"
    folder.mkdir(parents=True)
    (folder / "queues-1.ipynb").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        keep("queues-1", b"{}")
    assert not (tmp_path / "elsewhere").exists()
