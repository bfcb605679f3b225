"""Manifests: the named versions of the whole lake, and the lock under which they are written.

A manifest is a JSON file `lake/manifests/<id>.json` that names one Delta version of every table. Its id is a number
that only grows and the first digits of the content's SHA-256, e.g. `000042-ab12cd34`. The newest one is the one with
the highest number; hub and keeper both write them, each under the maintenance lock, so none ever goes back.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workbench.errors import LayoutUnknown, StoreError, VersionGone
from workbench.schema import LAYOUT_VERSION
from workbench.store.layout import write_durably

# A folder's time stamp moves in steps of the kernel's clock tick: within this time a second change may not show.
_CLOCK_TICK_SECONDS = 1.0


_PLAIN = ("segment", "log", "time_us")


@dataclass(frozen=True)
class Rolled:
    """How far the roll-ups of a version go; times are microseconds UTC.

    `version`: Delta version of `samples` up to which everything was taken in; `until_us`: end of the newest bucket of a
    minute that was made; `exact_us`: up to here nothing is in `samples` that the roll-ups do not know. It is lower than
    `until_us` from the seal of a late sample until the keeper's next round.
    """

    version: int = -1
    until_us: int = 0
    exact_us: int = 0


@dataclass(frozen=True)
class Manifest:
    """One version of the lake: table -> Delta version, the highest log segment in it, the log it belongs to.

    `let_go_us`: table -> rows before this time (microseconds UTC) may have been let go for their age.
    """

    id: str
    tables: Mapping[str, int]
    segment: int
    log: str | None
    time_us: int
    layout: int = LAYOUT_VERSION
    rolled: Rolled = Rolled()
    let_go_us: Mapping[str, int] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Place in the order of all manifests of this lake."""
        return int(self.id.split("-")[0])


def digest_of(body: Mapping[str, Any]) -> str:
    """The part of an id that follows from what a manifest says. Raises KeyError, AttributeError, TypeError."""
    content = {"tables": dict(sorted(body["tables"].items()))} | {name: body[name] for name in _PLAIN}
    # Those that came later are not in the oldest manifests.
    content |= {name: body[name] for name in ("rolled", "let_go_us") if name in body}
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


class Manifests:
    """The folder of manifests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen_ns = -1

    def ids(self) -> list[str]:
        """Ids of all manifests that are still there, oldest first."""
        with contextlib.suppress(FileNotFoundError):
            return sorted((name[:-5] for name in os.listdir(self.folder) if name.endswith(".json")), key=_number)
        return []

    def changed(self) -> bool:
        """Whether the folder may hold something new since the last call; costs one `stat`."""
        try:
            stamp_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if stamp_ns == self._seen_ns and time.time() - stamp_ns / 1e9 > _CLOCK_TICK_SECONDS:
            return False
        self._seen_ns = stamp_ns
        return True

    def newest(self) -> Manifest | None:
        """The manifest with the highest number; None in a new lake."""
        for name in reversed(self.ids()):
            with contextlib.suppress(VersionGone):  # expired between the listing and the reading
                return self.read(name)
        return None

    def at(self, time_us: int) -> Manifest:
        """The version that was the newest at a time (microseconds UTC), as long as it is kept. Raises VersionGone."""
        ids = self.ids()
        after = bisect.bisect_right(ids, time_us, key=lambda name: self.read(name).time_us)
        # What expired between two that are kept was the newest for a while: nobody knows any more whether then.
        gap = 0 < after < len(ids) and _number(ids[after]) != _number(ids[after - 1]) + 1
        if not after or gap:
            raise VersionGone(
                "the lake version of that time is not there",
                where=datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds"),
                hint=self._kept(),
            )
        return self.read(ids[after - 1])

    def read(self, name: str) -> Manifest:
        """One manifest by id. Raises VersionGone, StoreError, and LayoutUnknown for one of a newer workbench."""
        path = self.folder / f"{name}.json"
        try:
            if "/" in name:
                raise FileNotFoundError
            body = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise VersionGone(f"lake version {name!r} is not there", hint=self._kept()) from error
        except ValueError as error:
            raise self._damaged(path) from error
        if not isinstance(body, dict) or "layout" not in body:
            raise self._damaged(path)
        if body["layout"] != LAYOUT_VERSION:
            raise LayoutUnknown(f"layout {body['layout']} is not {LAYOUT_VERSION}", where=str(path))
        try:
            return Manifest(**{**body, "rolled": Rolled(**body.get("rolled", {}))})
        except TypeError as error:
            raise self._damaged(path) from error

    def write(
        self,
        tables: Mapping[str, int],
        *,
        segment: int,
        log: str | None,
        time_us: int,
        rolled: Rolled = Rolled(),
        let_go_us: Mapping[str, int] = MappingProxyType({}),
    ) -> Manifest:
        """Write the next manifest durably and return it. The caller holds the maintenance lock."""
        ids = self.ids()
        content = {"tables": dict(tables), "segment": segment, "log": log, "time_us": time_us}
        digest = digest_of(content | {"rolled": asdict(rolled), "let_go_us": dict(let_go_us)})
        made = Manifest(
            id=f"{_number(ids[-1]) + 1 if ids else 1:06d}-{digest}",
            tables=dict(sorted(tables.items())),
            segment=segment,
            log=log,
            time_us=time_us,
            rolled=rolled,
            let_go_us=dict(let_go_us),
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.folder / f"{made.id}.json", json.dumps(asdict(made), indent=1).encode())
        return made

    def remove(self, name: str) -> None:
        """Let a version go; the files it named are the caller's business."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    @staticmethod
    def _damaged(path: Path) -> StoreError:
        return StoreError(
            "the manifest is damaged", where=str(path), hint="`workbench doctor` shows what can be saved."
        )

    def _kept(self) -> str:
        ids = self.ids()
        return f"Kept are {ids[0]} to {ids[-1]}." if ids else "Nothing has been sealed yet."


def _number(name: str) -> int:
    return int(name.split("-", maxsplit=1)[0])


@contextlib.contextmanager
def maintenance_lock(lake_dir: Path) -> Iterator[None]:
    """Wait for, and hold, the lock under which tables are committed and manifests written.

    The hub holds it for a seal, the keeper only to commit what it prepared before. It ends with its process.
    """
    lake_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lake_dir / "maintenance.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
