"""`workbench index status|rebuild|verify`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

from workbench import config, log


def status(options: argparse.Namespace) -> int:
    """Print the coverage."""
    from workbench.store import Lake, index_coverage

    settings = config.load(options.home)
    found = index_coverage(Lake(settings), time.time_ns() // 1000)
    print(f"lake version  {found.lake_version or '(nothing sealed yet)'}")
    print(f"blocks        {found.valid} answer, {found.stale} are stale, {found.waiting} wait to be made")
    if found.valid:
        print(f"time          {_time(found.start_us)} to {_time(found.end_us)}")
        print(f"samples       {found.samples:,}, {found.size_bytes / found.samples:.2f} bytes each on disk")
    print(f"window        {settings.index.window_days} days, blocks of {settings.index.block_seconds} s")
    return 0


def rebuild(options: argparse.Namespace) -> int:
    """Make it anew; queries read rows meanwhile."""
    from workbench.store import Lake, build_index, drop_index

    log.configure("cli", level="WARNING", json=False)
    settings = config.load(options.home)
    drop_index(settings)
    done = build_index(Lake(settings), time.time_ns() // 1000)
    print(f"{done.blocks} blocks, {done.samples:,} samples, {done.size_bytes:,} bytes")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Print what is wrong; the exit code is 1 if anything is."""
    from workbench.store import Lake, verify_index

    log.configure("cli", level="WARNING", json=False)
    verdicts = list(verify_index(Lake(config.load(options.home))))
    wrong = [verdict for verdict in verdicts if verdict.fault]
    for verdict in wrong:
        print(f"{_time(verdict.entry.start_us)}  {verdict.entry.file}: {verdict.fault}")
    print(f"{len(verdicts) - len(wrong)} of {len(verdicts)} blocks say what the rows say")
    return int(bool(wrong))


def _time(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
