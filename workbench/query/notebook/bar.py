"""A bar in the notebook for what takes more than a second."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.query.waiting import Tell

AFTER_SECONDS = 1.0
EVERY_SECONDS = 0.5


@contextmanager
def bar(what: str) -> Iterator[Tell]:
    """Show after a second that `what` is under way, for how long and, where that is told, how far it is.

    Afterwards nothing is left of it.
    """
    shares: list[float] = []
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(what, shares, over), name="bar", daemon=True)
    thread.start()
    try:
        yield lambda share: shares.__setitem__(slice(None), [share])
    finally:
        over.set()
        thread.join()


def _show(what: str, shares: list[float], over: threading.Event) -> None:
    began = time.monotonic()
    if over.wait(AFTER_SECONDS):
        return
    from IPython.display import display

    handle = display(_Bar(what, shares, time.monotonic() - began), display_id=True)
    while not over.wait(EVERY_SECONDS):
        handle.update(_Bar(what, shares, time.monotonic() - began))
    handle.update(_Nothing())


class _Bar:
    """A picture of the moment, for notebooks and terminals."""

    def __init__(self, what: str, shares: list[float], seconds: float) -> None:
        share = shares[0] if shares else 0.0
        self._known = f"value={share:.3f}" if share else ""
        self._text = f"{what}: {seconds:.0f} s" + (f", {share:.0%} read" if share else "")

    def _repr_html_(self) -> str:
        text = html.escape(self._text)
        return f'<progress max="1" {self._known} aria-label="{text}"></progress> {text}'

    def __repr__(self) -> str:
        return self._text


class _Nothing:
    """What stands there when it is done."""

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": "", "text/html": ""}
