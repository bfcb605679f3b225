"""The lock of the one writer of a home: `flock` on a file that names its holder.

It vanishes with the process, however that dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from workbench.config import Settings
from workbench.errors import LakeLocked

POLL_SECONDS = 0.02


class FileLock:
    """An exclusive lock on one file. Two locks of the same process exclude each other as well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, *, wait_seconds: float = 0.0) -> None:
        """Take the lock, trying for `wait_seconds`. Raises LakeLocked naming the process that holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    os.close(fd)
                    raise
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                raise LakeLocked(
                    f"process {holder} writes this lake",
                    where=str(self.path),
                    hint="Go through the running workbench, or stop that process.",
                )
            time.sleep(POLL_SECONDS)
        self._fd = fd
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:  # a full disk: nobody would give back a lock that its caller was never told of
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back; without effect where it is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def writer_lock(settings: Settings) -> FileLock:
    """The lock of the one writer of a home."""
    return FileLock(settings.home / "writer.lock")
