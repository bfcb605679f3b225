"""Named lake versions as different people may see them, for every question that names a version or a time."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from workbench.config import Settings
from workbench.errors import InputError
from workbench.query import Matchers, limited, limits_of, moment_us
from workbench.store import Reader, View, open_view

VERSIONS_MAX = 4
"""Versions that are kept open at once: each holds the names of its series."""


class Versions:
    """Opens lake versions when they are first asked for, and keeps a few. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened = functools.lru_cache(VERSIONS_MAX)(self._open)
        # Kept: a limited view learns the names of what it shows.
        self._limited = functools.lru_cache(4 * VERSIONS_MAX)(self._limit)

    def at(self, version: str, matchers: Matchers) -> View:
        """A version as whoever sees the rows of these matchers sees it. Raises VersionGone."""
        return self._limited(version, matchers)

    def asked(self, view: View, parameters: Mapping[str, str], now_us: int) -> tuple[View, int]:
        """The view that `version` or `as_of` name, with the rows of `view`, and what time it is there.

        Without either it is the view itself, now. Raises InputError, VersionGone.
        """
        version, as_of = parameters.get("version", ""), parameters.get("as_of", "")
        if version and as_of:
            raise InputError("give either a version or a time", where="as_of")
        if as_of:
            version = view.version_at(moment_us(as_of, now_us, name="as_of"))
        if not version:
            return view, now_us
        found = self.at(version, limits_of(view))
        return found, found.version_time_us

    def _open(self, version: str) -> Reader:
        return open_view(self._settings, version=version)

    def _limit(self, version: str, matchers: Matchers) -> View:
        return limited(self._opened(version), matchers)
