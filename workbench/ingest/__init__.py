"""The doors for machines: OTLP, Prometheus remote write, CloudEvents, and the import of files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.ingest.callers import ANONYMOUS, Authorize, Caller, Knock
    from workbench.ingest.dead_letters import Letter, Mend, Replayed, find_letters, replay
    from workbench.ingest.files import ImportResult, import_files
    from workbench.ingest.grpc import GrpcServer, start_grpc
    from workbench.ingest.http import http_app
    from workbench.ingest.receiver import Outcome, Receiver

_HOMES = {
    "ANONYMOUS": "callers",
    "Authorize": "callers",
    "Caller": "callers",
    "GrpcServer": "grpc",
    "ImportResult": "files",
    "Knock": "callers",
    "Letter": "dead_letters",
    "Mend": "dead_letters",
    "Outcome": "receiver",
    "Receiver": "receiver",
    "Replayed": "dead_letters",
    "find_letters": "dead_letters",
    "http_app": "http",
    "import_files": "files",
    "replay": "dead_letters",
    "start_grpc": "grpc",
}

__all__ = [
    "ANONYMOUS",
    "Authorize",
    "Caller",
    "GrpcServer",
    "ImportResult",
    "Knock",
    "Letter",
    "Mend",
    "Outcome",
    "Receiver",
    "Replayed",
    "find_letters",
    "http_app",
    "import_files",
    "replay",
    "start_grpc",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"workbench.ingest.{_HOMES[name]}"), name)
    raise AttributeError(f"workbench.ingest has no {name}")
