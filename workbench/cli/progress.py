"""A progress bar on standard error, for people who watch."""

from __future__ import annotations

import time
from typing import Any, TextIO

WIDTH = 30
EVERY_SECONDS = 0.1


class Bar:
    """Draws `done` of `total`; call it as the work goes on. Draws nothing where nobody watches."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn = 0.0
        self._watched = out.isatty()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._watched and self._drawn:
            self._out.write("\n")

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Show that `done` of `total` is done; `what` names the piece under way."""
        now = time.monotonic()
        if not self._watched or (now - self._drawn < EVERY_SECONDS and done < total):
            return
        self._drawn = now
        share = min(1.0, done / total) if total else 1.0
        filled = round(share * WIDTH)
        self._out.write(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {share:4.0%} {what}\x1b[K")
        self._out.flush()
