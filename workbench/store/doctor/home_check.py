"""What lies around log, lake and state: the clock, other homes, what is derived."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from workbench.config import Settings, default_home
from workbench.store.doctor.findings import Finding, moment
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
