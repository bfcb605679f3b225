"""`workbench quality run|check`."""

from __future__ import annotations

import argparse
import time

from workbench import config, log
from workbench.errors import ConfigError


def run(options: argparse.Namespace) -> int:
    """Look now and print a line a result, with the first bad rows below; 1 where a check is not met."""
    from workbench.serve import declarations, looking
    from workbench.store import Follower

    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    checks, faults = declarations.read_checks(declarations.quality_files(settings))
    outcomes = looking.look(Follower(settings), checks, time.time_ns() // 1000, settings.query)
    for outcome in outcomes:
        word = "ok  " if outcome.ok else "FAIL"
        print(
            f"{word}  {outcome.source}  {outcome.name}  {outcome.kind}: {outcome.message} ({outcome.checked} looked at)"
        )
        for row in outcome.rows[:3]:
            print(f"      {row.what} {row.why}")
    for fault in faults:
        print(f"FAIL  {fault}")
    return int(bool(faults) or not all(outcome.ok for outcome in outcomes))


def check(options: argparse.Namespace) -> int:
    """Check files of checks, all faults at once."""
    from workbench.serve import declarations

    found, faults = declarations.read_checks(options.files)
    if faults:
        raise ConfigError("; ".join(faults), where="quality check")
    print(f"{len(found)} checks in {len(options.files)} files: no faults")
    return 0
