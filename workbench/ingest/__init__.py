"""The doors for machines: OTLP, Prometheus remote write, CloudEvents, and the import of files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.ingest.callers import ANONYMOUS, Authorize, Caller, Knock
    from workbench.ingest.copy.run import CopyResult, run_copy
    from workbench.ingest.dead_letters import Letter, Mend, Replayed, find_letters, replay
    from workbench.ingest.files import ImportResult, import_files
    from workbench.ingest.grpc import GrpcServer, start_grpc
    from workbench.ingest.http import http_app
    from workbench.ingest.points import Told
    from workbench.ingest.receiver import Outcome, Receiver
    from workbench.ingest.scrape.hub_door import HubSink, answer_enter
    from workbench.ingest.scrape.read import read_scraping
    from workbench.ingest.scrape.scraper import Scraper
    from workbench.ingest.scrape.status import scrape_status
    from workbench.ingest.scrape.targets import find_targets

_HOMES = {
    "ANONYMOUS": "callers",
    "Authorize": "callers",
    "Caller": "callers",
    "CopyResult": "copy.run",
    "GrpcServer": "grpc",
    "HubSink": "scrape.hub_door",
    "ImportResult": "files",
    "Knock": "callers",
    "Letter": "dead_letters",
    "Mend": "dead_letters",
    "Outcome": "receiver",
    "Receiver": "receiver",
    "Told": "points",
    "Replayed": "dead_letters",
    "Scraper": "scrape.scraper",
    "answer_enter": "scrape.hub_door",
    "find_letters": "dead_letters",
    "find_targets": "scrape.targets",
    "http_app": "http",
    "import_files": "files",
    "read_scraping": "scrape.read",
    "replay": "dead_letters",
    "run_copy": "copy.run",
    "scrape_status": "scrape.status",
    "start_grpc": "grpc",
}

__all__ = [
    "ANONYMOUS",
    "Authorize",
    "Caller",
    "CopyResult",
    "GrpcServer",
    "HubSink",
    "ImportResult",
    "Knock",
    "Letter",
    "Mend",
    "Outcome",
    "Receiver",
    "Replayed",
    "Scraper",
    "Told",
    "answer_enter",
    "find_letters",
    "find_targets",
    "http_app",
    "import_files",
    "read_scraping",
    "replay",
    "run_copy",
    "scrape_status",
    "start_grpc",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"workbench.ingest.{_HOMES[name]}"), name)
    raise AttributeError(f"workbench.ingest has no {name}")
