"""When a helper process ends: on SIGTERM or SIGINT, or when the process that started it is gone."""

from __future__ import annotations

import os
import signal
import threading
import time

CHECK_SECONDS = 0.5


class Lifeline:
    """Made once, on the main thread, when the process starts: takes over both signals and remembers the parent.

    A supervisor that crashed leaves its children to another parent; then nobody wants their figures any more.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._parent = os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())

    @property
    def ended(self) -> bool:
        """Whether it is time to go."""
        return self._stop.is_set() or os.getppid() != self._parent

    def wait(self, seconds: float) -> bool:
        """Wait that long; True, at once, when it is time to go."""
        until = time.monotonic() + seconds
        while not self.ended and (left := until - time.monotonic()) > 0:
            self._stop.wait(min(left, CHECK_SECONDS))
        return self.ended
