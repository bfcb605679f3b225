"""What takes long says so: questions tell how far they are to whoever shows it (in a notebook a bar)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Tell = Callable[[float], None]
"""Takes the share that is done, from 0 to 1."""

Show = Callable[[str], AbstractContextManager[Tell]]
"""Shows that something is under way, as long as its context is open."""

_show: Show | None = None


def show_waiting(show: Show | None) -> None:
    """Set who shows it from now on in this process; None: nobody, which is so at first."""
    global _show  # noqa: PLW0603 - a process has one notebook, or none
    _show = show


@contextmanager
def waiting(what: str) -> Iterator[Tell]:
    """While `what` is under way; gives the function that takes the share that is done, where that is known."""
    if _show is None:
        yield lambda _share: None
        return
    with _show(what) as tell:
        yield tell
