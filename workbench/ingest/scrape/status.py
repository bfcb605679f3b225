"""What there is to say of a scraper: its targets in the shape of Prometheus' API, and what a page shows beside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workbench.ingest.scrape.loop import TargetLoop
from workbench.ingest.scrape.scraper import Scraper
from workbench.ingest.scrape.targets import duration_text

NEVER = "0001-01-01T00:00:00Z"
"""How Prometheus writes the time of something that has not happened."""


def targets_data(scraper: Scraper) -> dict[str, Any]:
    """The `data` of `GET /api/v1/targets`: `activeTargets`, `droppedTargets`, `droppedTargetCounts`."""
    jobs = scraper.jobs.values()
    return {
        "activeTargets": [_active(job.job.name, loop) for job in jobs for loop in job.loops.values()],
        "droppedTargets": [
            {"discoveredLabels": labels, "scrapePool": job.job.name} for job in jobs for labels in job.dropped
        ],
        "droppedTargetCounts": {job.job.name: len(job.dropped) for job in jobs},
    }


def scrape_status(scraper: Scraper) -> dict[str, Any]:
    """`data` as `targets_data`; `file`, `fault` (why the file is not in force), `unread`, `troubles` by job."""
    return {
        "data": targets_data(scraper),
        "file": str(scraper.file),
        "fault": scraper.fault,
        "unread": list(scraper.scraping.unread),
        "troubles": {name: list(job.troubles) for name, job in scraper.jobs.items() if job.troubles},
    }


def _active(pool: str, loop: TargetLoop) -> Mapping[str, Any]:
    target, health = loop.target, loop.health
    last = datetime.fromtimestamp(health.last_us / 1e6, UTC).isoformat().replace("+00:00", "Z")
    return {
        "discoveredLabels": dict(target.discovered),
        "labels": dict(target.labels),
        "scrapePool": pool,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": health.error,
        "lastScrape": last if health.last_us else NEVER,
        "lastScrapeDuration": health.duration_seconds,
        "health": health.state,
        "scrapeInterval": duration_text(target.interval_seconds),
        "scrapeTimeout": duration_text(target.timeout_seconds),
        "samples": health.samples,
        "refused": health.refused,
        "trouble": health.trouble,
    }
