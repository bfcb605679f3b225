"""The C allocator of a process that answers queries: large arrays that were let go are used again.

As it comes, glibc gives every large array back to the kernel, which hands out, and zeroes, its pages anew for the next:
half the time of long queries (measured: 72 ms of CPU became 33 for 10 x 430,000 samples).
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 256 * 2**20
_LARGEST_BYTES = 32 * 2**20  # the most that glibc takes for it


def keep_freed_memory() -> None:
    """Keep up to 256 MiB of what was freed; where the C library has no such settings, nothing is done."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
        mallopt(_ARENA_MAX, 1)  # queries run in threads: what one has freed serves the next
