"""Who knocks at a door, and what the door needs to know to let them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

ANONYMOUS = "anonymous"
"""Source mark of what came without a token."""


@dataclass(frozen=True)
class Caller:
    """Who sends: `source` is the mark kept with the data (`token:3`, `anonymous`)."""

    source: str
    anonymous: bool


@dataclass(frozen=True)
class Knock:
    """A request before its body is read. Header names are lower-case; `peer` is (address, port) where there is one."""

    protocol: str
    method: str
    path: str
    headers: Mapping[str, str]
    peer: tuple[str, int] | None


Authorize = Callable[[Knock], Caller]
"""Decides who knocks; raises SignInRequired or Forbidden. Called on the event loop, so it must be quick."""
