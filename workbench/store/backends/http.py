"""One HTTP request to a store: address and credentials from its URL, errors as StoreError in its own words."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from workbench.errors import Busy, ConfigError, StoreError

TIMEOUT_SECONDS = 120.0
_SAID_CHARACTERS = 500


class HttpStore:
    """A server behind `KIND+http://[user:password@]host[:port][/path]` or `+https`.

    Thread-safe: every request has a connection of its own.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme.endswith("https")
        if not parts.hostname:
            raise ConfigError(
                "the address of a store needs a host", where=shown_url(url), hint="As in kind+http://host"
            )
        self.shown = shown_url(url)
        self.query = parts.query
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._headers = {"User-Agent": "workbench"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """The body of the answer. Raises Busy for 429, StoreError for every other answer but 2xx, or for none."""
        target = self._path + path + (f"?{urlencode(query)}" if query else "")
        make = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = make(self._host, self._port, timeout=self._timeout_seconds)
        try:
            connection.request(method, target, body or None, {**self._headers, **(headers or {})})
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException) as error:
            hint = "Is it running, and is the address right?"
            raise StoreError(f"the store does not answer: {error}", where=self.shown, hint=hint) from error
        finally:
            connection.close()
        if 200 <= reply.status < 300:
            return content
        said = content[:_SAID_CHARACTERS].decode("utf-8", "replace").strip()
        if reply.status == 429:
            raise Busy(f"the store is busy: {said}", where=self.shown, retry_after_seconds=5)
        raise StoreError(f"the store answered {reply.status}: {said}", where=self.shown)

    def form(self, path: str, fields: Sequence[tuple[str, str]]) -> bytes:
        """The body of the answer to a posted form."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, body=urlencode(fields).encode(), headers=headers)


def shown_url(url: str) -> str:
    """An address as it may be shown: without user and password."""
    parts: SplitResult = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl()
