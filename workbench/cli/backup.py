"""`workbench backup DIR` and `workbench restore DIR`."""

from __future__ import annotations

import argparse
import sys

from workbench import config, log
from workbench.cli.progress import Bar
from workbench.errors import LakeLocked
from workbench.serve import home


def backup(options: argparse.Namespace) -> int:
    """Copy log, lake, state and what people keep, whether a workbench runs or not."""
    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    if settings.home.exists():
        home.use_caches(settings)
    from workbench.store import back_up

    with Bar(sys.stderr) as bar:
        made = back_up(settings, options.folder, progress=bar)
    size_bytes = sum(size for size, _ in made.files.values())
    print(f"{options.folder}: lake version {made.lake_version}, {len(made.files)} files, {size_bytes / 1e6:,.1f} MB")
    return 0


def restore(options: argparse.Namespace) -> int:
    """Check a backup and put it in the place of the home."""
    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    if home.running(settings) is not None:
        raise LakeLocked(
            "a workbench runs on this home", where=str(settings.home), hint="Stop it, or name another with --home."
        )
    from workbench.store import read_contents
    from workbench.store import restore as put_in_place

    contents = read_contents(options.folder)
    with Bar(sys.stderr) as bar:
        aside = put_in_place(settings, options.folder, force=options.force, progress=bar)
    print(f"{settings.home}: restored at lake version {contents.lake_version}")
    if aside is not None:
        print(f"what was there before is in {aside}")
    return 0
