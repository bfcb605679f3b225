"""Where a page of the drill-down stands: who asks, its own files, and the ways to the other pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """Who asks, as the front says: `person` is `user:3` or `token:5`, `host` the address the browser used."""

    person: str
    role: str
    host: str


@dataclass(frozen=True)
class Ways:
    """Where the head of a page leads: address of the first page, (name, address) of the others, address of this one."""

    home_url: str
    navigation: tuple[tuple[str, str], ...]
    current: str


@dataclass(frozen=True)
class Place:
    """A page's own files, and the scripts that Bokeh needs."""

    style_url: str
    icon_url: str
    scripts: tuple[str, ...]


Keep = Callable[[str, bytes], str]
"""Puts a notebook of that name (no suffix) where its person's JupyterLab finds it, and gives the address there."""
