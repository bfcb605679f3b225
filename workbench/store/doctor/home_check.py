"""What lies around log, lake and state: the clock, other homes, what is derived."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from workbench.config import Settings, default_home
from workbench.errors import StoreError
from workbench.store.doctor.findings import Finding, Quarantine, Remedy, moment, several
from workbench.store.index.block import open_block
from workbench.store.index.catalog import catalog_lock, catalog_path, index_dir, read_catalog, write_catalog
from workbench.store.lake import Lake

_FUTURE_US = 600 * 1_000_000
"""Doors take times up to ten minutes ahead; what was written later than that was written by another clock."""


def check_clock(lake: Lake, now_us: int) -> Iterator[Finding]:
    """Nothing that is here was written later than now."""
    manifest = lake.manifest()
    written_us = manifest.time_us if manifest else 0
    if written_us > now_us + _FUTURE_US:
        yield Finding(
            "warn",
            f"clock: the newest version was written at {moment(written_us)}, and it is {moment(now_us)}: set back?",
            "Set the clock right. Until then doors refuse what honest senders call now as too_new, and old versions "
            "and rows are kept longer; nothing is lost. Replay what was refused: workbench dead-letters replay.",
        )
    latest_us = lake.latest_us()
    if latest_us > now_us + _FUTURE_US + 86_400_000_000:
        yield Finding(
            "warn", f"clock: the newest sample is of {moment(latest_us)}, ahead of {moment(now_us)}",
            "A sender's clock, or an import, is ahead; queries of now do not show it.",
        )  # fmt: skip


def check_other_homes(settings: Settings) -> Iterator[Finding]:
    """There is one home, and it is this one."""
    others = [home for home in (default_home().expanduser().resolve(),) if home != settings.home and _is_home(home)]
    others += [home for home in sorted(settings.home.parent.glob(f"{settings.home.name}.before-*")) if _is_home(home)]
    for other in others:
        yield Finding(
            "warn", f"two homes: this is {settings.home}; {other} holds a log and a lake too",
            "Commands use --home, else WORKBENCH_HOME, else the default. Look at the other with --home.",
        )  # fmt: skip


def check_index(settings: Settings) -> Iterator[Finding]:
    """The derived index: every chunk file that its catalogue names opens, and no query is slower than it need be."""
    folder = index_dir(settings)
    if not folder.exists():
        return
    entries = read_catalog(settings)
    bad = [entry.file for entry in entries if not _opens(folder / entry.file)]
    lost = catalog_path(settings).exists() and not entries and any(folder.glob("*.chunks"))
    if not bad and not lost:
        yield Finding("ok", f"index: {len(entries)} chunk files, every header right")
        return

    def act(quarantine: Quarantine) -> str:
        with catalog_lock(settings):
            for name in [*bad, *([catalog_path(settings).name] if lost else [])]:
                if (folder / name).exists():
                    quarantine.take(folder / name, "the index is derived: it is built again")
            if not lost:
                write_catalog(settings, [entry for entry in entries if entry.file not in bad])
        return "what was damaged of the index is gone; the keeper builds it again"

    what = "its catalogue is damaged" if lost else f"damaged or missing: {several(bad)}"
    hint = "Nothing is lost: queries read the rows instead, and are slower."
    yield Finding("warn", f"index: {what}", hint, Remedy("let it be built again", act))


def _opens(path: Path) -> bool:
    try:
        open_block(path)
    except (StoreError, OSError, ValueError):
        return False
    return True


def check_quarantine(settings: Settings) -> Iterator[Finding]:
    """How much lies in quarantine."""
    folder = settings.home / "quarantine"
    if folder.exists():
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        yield Finding("ok", f"quarantine: {size_bytes / 1e6:.1f} MB in {folder}; delete it when nobody needs it")


def now_us() -> int:
    """The wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _is_home(folder: Path) -> bool:
    return (folder / "layout.json").is_file()
