"""A time limit on a whole run: when it passes, the kernel is ended, and what it gave so far is kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass
class TimeLimit:
    """How long a run may take (None: as long as it likes), and whether that has passed."""

    seconds: float | None
    passed: bool = False

    def end(self) -> None:
        """End the kernels of this process."""
        self.passed = True
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()


@contextmanager
def time_limit(seconds: float | None) -> Iterator[TimeLimit]:
    """Watch the body; the run in it sees a dead kernel once the limit has passed."""
    limit = TimeLimit(seconds)
    if seconds is None:
        yield limit
        return
    watch = threading.Timer(seconds, limit.end)
    watch.daemon = True
    watch.start()
    try:
        yield limit
    finally:
        watch.cancel()


def last_cell(notebook: Any) -> int:
    """The 1-based number of the last cell that papermill began; 0 where it began none.

    Its own word for a cell whose kernel died is `completed`.
    """
    begun = [
        number for number, cell in enumerate(notebook.cells, 1) if cell.metadata.get("papermill", {}).get("start_time")
    ]
    return begun[-1] if begun else 0
