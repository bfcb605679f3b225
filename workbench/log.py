"""Structured logs: one JSON object a line, each with the request id it belongs to.

Lines go to standard error, where the supervisor collects them into `state/logs/<process>.log`.
"""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import structlog


class _StandardError:
    """Standard error as it is when a line is written: whoever runs us may have replaced, and closed, an earlier one."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(process: str, *, level: str = "INFO", json: bool = True) -> None:
    """Set up logging for this process; `process` stands in every line. Standard `logging` goes the same way."""
    number = logging.getLevelName(level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(cast("TextIO", _StandardError()))
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def get(name: str) -> Any:
    """A logger for one module; call it with an event name and fields: `log.info("sealed", segment=4)`."""
    return structlog.get_logger(module=name)


@contextmanager
def request(request_id: str | None = None) -> Iterator[str]:
    """Bind a request id to every line logged inside; a fresh one where the caller brought none."""
    value = request_id or uuid.uuid4().hex[:16]
    with structlog.contextvars.bound_contextvars(request_id=value):
        yield value
