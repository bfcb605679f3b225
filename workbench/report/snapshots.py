"""The snapshots that boards are shown as: of each board the last good one, its provenance, and what failed since."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench.config import Settings, ensure_private_dir
from workbench.errors import ReportError
from workbench.report.provenance import Provenance
from workbench.report.tiles import Live
from workbench.store import state

PAGE = "index.html"
LIVE_FOLDER = "live"
"""Below `snapshots/`: a dashboard file for the live numbers of each board."""


@dataclass(frozen=True)
class Snapshot:
    """A board as it can be shown. Times are microseconds UTC; `folder` is None where no run has succeeded yet.

    `failed_us` and `error` speak of a run after the last good one.
    """

    name: str
    title: str
    description: str
    interactive: bool
    folder: Path | None
    provenance: Provenance | None
    executed_us: int | None
    live: tuple[Live, ...]
    failed_us: int | None
    error: str
    rows: str
    """Label matchers of whoever published it: it was made of the rows that meet them."""

    @property
    def page(self) -> Path | None:
        """The file that is shown."""
        return self.folder / PAGE if self.folder else None

    @property
    def dashboard(self) -> str:
        """The name of the dashboard that streams its live numbers."""
        return f"board_{self.name}"


def live_dir(settings: Settings) -> Path:
    """Where the dashboards of the live numbers lie."""
    return settings.snapshots_dir / LIVE_FOLDER


def list_snapshots(settings: Settings) -> list[Snapshot]:
    """Every board that was ever run, by title."""
    query = sa.select(state.snapshots).order_by(state.snapshots.c.title)
    with state.engine(settings).connect() as connection:
        return [_snapshot(row, settings) for row in connection.execute(query)]


def get_snapshot(name: str, *, settings: Settings) -> Snapshot:
    """The snapshot of a board. Raises ReportError where it was never run."""
    query = sa.select(state.snapshots).where(state.snapshots.c.name == name)
    with state.engine(settings).connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise ReportError(f"there is no board {name!r}", hint="`/boards/` lists them.")
    return _snapshot(row, settings)


@contextmanager
def drafted(settings: Settings, name: str) -> Iterator[Path]:
    """An empty folder for a new snapshot of `name`, one at a time; `put_in_place` makes it the one that is shown."""
    ensure_private_dir(settings.snapshots_dir)
    with (settings.snapshots_dir / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{stamp}-", dir=settings.snapshots_dir))  # 0700, no two alike
        try:
            yield folder
        finally:
            _sweep(settings, name)


@contextmanager
def pinned(settings: Settings, name: str, lake_version: str) -> Iterator[None]:
    """Keep a lake version while a snapshot is made from it; `put_in_place` keeps it for as long as that is shown."""
    engine, pins = state.engine(settings), state.pins
    row = {"lake_version": lake_version, "holder": f"making:{name}", "created_us": time.time_ns() // 1000}
    with engine.begin() as connection:
        connection.execute(sa.delete(pins).where(pins.c.holder == row["holder"]))
        connection.execute(sa.insert(pins).values(row))
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(sa.delete(pins).where(pins.c.holder == row["holder"]))


def put_in_place(
    settings: Settings, folder: Path, provenance: Provenance, about: dict[str, Any], live: Sequence[Live]
) -> None:
    """Show what lies in `folder` from now on, and pin the data it was made from in place of the last one's."""
    name, now_us = provenance.notebook, time.time_ns() // 1000
    _write_live(settings, name, about["title"], live)
    row = {
        **about,
        "name": name,
        "folder": folder.name,
        "provenance": asdict(provenance),
        "executed_us": now_us,
        "live": [asdict(one) for one in live],
        "failed_us": None,
        "error": None,
    }
    pins, holder = state.pins, f"snapshot:{name}"
    with state.engine(settings).begin() as connection:
        connection.execute(sa.delete(state.snapshots).where(state.snapshots.c.name == name))
        connection.execute(sa.insert(state.snapshots).values(row))
        connection.execute(sa.delete(pins).where(pins.c.holder == holder))
        pin = {"lake_version": provenance.lake_version, "holder": holder, "created_us": now_us}
        connection.execute(sa.insert(pins).values(pin))


def mark_failed(settings: Settings, name: str, about: dict[str, Any], error: str) -> None:
    """Say that a run failed; what was shown goes on being shown."""
    snapshots, failed = state.snapshots, {"failed_us": time.time_ns() // 1000, "error": error}
    with state.engine(settings).begin() as connection:
        done = connection.execute(sa.update(snapshots).where(snapshots.c.name == name).values(failed))
        if not done.rowcount:
            connection.execute(sa.insert(snapshots).values({"live": [], **about, "name": name, **failed}))


def _write_live(settings: Settings, name: str, title: str, live: Sequence[Live]) -> None:
    import yaml

    folder = ensure_private_dir(live_dir(settings))
    file = folder / f"board_{name}.yaml"
    if not live:
        file.unlink(missing_ok=True)
        return
    tiles = [
        {"id": f"live_{at}", "type": "stat", "title": one.label, "expr": one.expr, "unit": one.unit}
        for at, one in enumerate(live)
    ]
    text = yaml.safe_dump({"title": f"{title}, live", "sections": [{"title": "Live", "tiles": tiles}]}, sort_keys=False)
    if not (file.exists() and file.read_text(encoding="utf-8") == text):
        draft = file.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)


def _sweep(settings: Settings, name: str) -> None:
    """Remove the folders of this board that are not shown: replaced ones, and those of failed or killed runs."""
    with state.engine(settings).connect() as connection:
        query = sa.select(state.snapshots.c.folder).where(state.snapshots.c.name == name)
        shown = connection.execute(query).scalar()
    for entry in os.scandir(settings.snapshots_dir):
        stem = entry.name.rsplit("-", 2)[0]
        if stem == name and entry.name != shown and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)


def _snapshot(row: Any, settings: Settings) -> Snapshot:
    return Snapshot(
        row.name,
        row.title,
        row.description,
        bool(row.interactive),
        settings.snapshots_dir / row.folder if row.folder else None,
        Provenance(**row.provenance) if row.provenance else None,
        row.executed_us,
        tuple(Live(**one) for one in row.live),
        row.failed_us,
        row.error or "",
        row.rows,
    )
