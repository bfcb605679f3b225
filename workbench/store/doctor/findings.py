"""What the doctor says, and where he puts what he takes away."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.config import Settings, ensure_private_dir
from workbench.store.layout import sync_folder


@dataclass(frozen=True)
class Remedy:
    """What can be done about a finding: `plan` says it beforehand, `act` does it and says what came of it.

    Nothing is deleted: `act` is given the place for what it takes away.
    """

    plan: str
    act: Callable[[Quarantine], str]


@dataclass(frozen=True)
class Finding:
    """One line: `level` is ok, warn or fail; `hint` says what to do, `remedy` what can be done at once."""

    level: str
    text: str
    hint: str = ""
    remedy: Remedy | None = None


class Quarantine:
    """The folder `quarantine/<time>` of a home, with `why.jsonl`: a line {"file", "why"} for each file moved there."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self.folder = settings.home / "quarantine" / f"{stamp}-{os.getpid()}"

    def take(self, path: Path, why: str) -> Path:
        """Move a file or folder of the home there, by its path below the home; its new place."""
        name = path.relative_to(self._home)
        target = self.folder / name
        number = 0
        while target.exists():
            number += 1
            target = (self.folder / name).with_name(f"{name.name}.{number}")
        ensure_private_dir(self.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / "why.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"file": str(target.relative_to(self.folder)), "why": why}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.rename(target)
        sync_folder(target.parent)
        sync_folder(path.parent)
        return target


def moment(time_us: int | None) -> str:
    """A time in microseconds since 1970 as people read it, UTC."""
    if time_us is None:
        return "?"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(time_us // 1_000_000))
    except (OverflowError, ValueError, OSError):
        return f"{time_us} µs"


def several(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
