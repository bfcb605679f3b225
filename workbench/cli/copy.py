"""`workbench copy`: samples and tables between the lake and back ends, resumable."""

from __future__ import annotations

import argparse
import sys
import time

from workbench.cli.data import open_home
from workbench.cli.values import parse_time


def copy(options: argparse.Namespace) -> int:
    """Copy, and say what came of it."""
    from workbench.cli.progress import Bar

    settings = open_home(options, make=True)
    from workbench.ingest import run_copy

    named = {"timeseries": settings.store.timeseries, "warehouse": settings.store.warehouse}
    now_us = time.time_ns() // 1000
    start_us, end_us = (
        parse_time(text, now_us, where=flag) if text else None
        for flag, text in (("--start", options.start), ("--end", options.end))
    )
    with Bar(sys.stderr) as bar:
        result = run_copy(
            named.get(options.source, options.source),
            named.get(options.target, options.target),
            settings=settings,
            match=options.match,
            tables=options.table,
            start_us=start_us,
            end_us=end_us,
            progress=bar,
        )
    print(result)
    return 0
