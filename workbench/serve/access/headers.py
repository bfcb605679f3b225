"""The request headers that decide who may come in, read so that two readers cannot differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Headers:
    """The request headers that the gate judges by."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._all: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            self._all.setdefault(name.lower(), []).append(value)
        path = scope["path"]
        accepts_html = "text/html" in (self._one("accept") or "")
        self.navigation = accepts_html and not path.startswith("/api/")
        self.host = (self._one("host") or "").lower()
        self.origin = self._one("origin")
        self.agent = (self._one("user-agent") or "")[:200]
        self.authorization = self._one("authorization")
        given = self._one("x-request-id") or ""
        self.request_id = given if given.isalnum() and len(given) <= 64 else None

    def _one(self, name: str) -> str | None:
        found = self._all.get(name.encode())
        if not found:
            return None
        # Two of them: what each side reads is anybody's guess, so it equals nothing.
        return found[0].decode("latin-1") if len(found) == 1 else "\0several"

    def cookie(self, name: str) -> str | None:
        """The value of a cookie; None where a browser sends several of that name.

        A script on a neighbouring port can add one for a longer path, and whose that is, nobody can tell.
        """
        found = {
            value
            for header in self._all.get(b"cookie", [])
            for key, _, value in (pair.strip().partition("=") for pair in header.decode("latin-1").split(";"))
            if key == name
        }
        return found.pop() if len(found) == 1 else None
