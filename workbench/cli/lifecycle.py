"""`workbench lifecycle`: what lies where, what the rules let go of, and doing it now instead of within the hour."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench import config, log
from workbench.errors import InputError
from workbench.serve import home

if TYPE_CHECKING:
    from workbench.store import Going


def lifecycle(options: argparse.Namespace) -> int:
    """Say what each table holds and what each rule lets go of or archives; with `--dry-run` nothing is done."""
    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    if not settings.lake_dir.exists():
        raise InputError("there is nothing yet", where=str(settings.lake_dir))
    home.use_caches(settings)
    from workbench.store import Lake, apply_retention, read_rules, state, table_sizes

    rules, lake, now_us = read_rules(settings), Lake(settings), time.time_ns() // 1000
    print(f"{'table':<12} {'rows':>14} {'bytes':>14} {'archived':>14}  days")
    for size in table_sizes(lake):
        days = f"{size.first_day} to {size.last_day}" if size.first_day else ""
        print(f"{size.table:<12} {size.rows:>14,} {size.size_bytes:>14,} {size.archived_bytes:>14,}  {days}")
    for rule in (rule for rule in rules if rule.hold):
        print(f"held: {rule.table}, {rule.metric}, rule {rule.name}: {rule.hold}")
    done = apply_retention(lake, settings, now_us, engine=state.engine(settings), dry_run=options.dry_run)
    _tell("would go" if options.dry_run else "went", done.going)
    _tell("would be archived" if options.dry_run else "archived", done.archived)
    if not done.going and not done.archived:
        print("nothing is past its time")
    print(f"{done.used_bytes:,} bytes used, {f'cap {done.cap_bytes:,}' if done.cap_bytes else 'no cap'}")
    return 0


def _tell(what: str, found: Sequence[Going]) -> None:
    for one in found:
        days = one.first_day if one.first_day == one.last_day else f"{one.first_day} to {one.last_day}"
        print(f"{what}: {one.table}, rule {one.rule}: {one.rows:,} rows, {one.size_bytes:,} bytes, {days}")
