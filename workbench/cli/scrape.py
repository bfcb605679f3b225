"""`workbench scrape check`: what a scrape file says, before it is in force."""

from __future__ import annotations

import argparse

from workbench import config


def scrape(options: argparse.Namespace) -> int:
    """Check a scrape file, all its faults at once, and list the targets that stand in it."""
    from workbench.ingest import find_targets, read_scraping

    found = read_scraping(options.file or config.load(options.home).scrape_file)
    for job in found.jobs:
        discoveries = len(job.files) + len(job.http)
        more = f", and what {discoveries} discoveries find" if discoveries else ""
        targets = find_targets(job, job.groups)
        print(f"{job.name}: {len(targets.targets)} targets each {job.interval_seconds:g} s{more}")
        for target in targets.targets:
            print(f"  {target.url}")
        for fault in targets.faults:
            print(f"  {fault}")
    if found.unread:
        print(f"not for scraping, and not read: {', '.join(found.unread)}")
    print(f"{len(found.jobs)} jobs: no faults")
    return 0
