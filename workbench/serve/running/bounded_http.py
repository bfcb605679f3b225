"""uvicorn's HTTP protocol with bounds that it does not have: how long a request may take, how long its head may be.

Both hold before anybody is asked who he is. Without them a stranger on this machine could fill the memory with one
header that never ends (its parts are joined anew each time, which costs the square of their number), or keep
connections open with a few bytes each.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""From the opening of a connection, or the first byte of a later request, to the end of the head."""

REQUEST_SECONDS = 60.0
"""From the end of the head to the end of the body."""

HEAD_BYTES = 64 * 2**10
"""Of request line, headers and trailers. What arrives with one read of the socket more is let through."""


class Watch(Protocol):
    """Who wants to know of connections: called with the peer's (address, port)."""

    def connected(self, peer: tuple[str, int]) -> None:
        """A connection begins."""

    def disconnected(self, peer: tuple[str, int]) -> None:
        """It is over."""


def bounded_protocol(watch: Watch | None = None, *, head_seconds: float = HEAD_SECONDS) -> type[HttpToolsProtocol]:
    """The protocol class for uvicorn. A connection over a bound is closed without an answer."""

    class BoundedProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _spare_bytes = HEAD_BYTES

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect(head_seconds)
            if watch and self.client:
                watch.connected(self.client)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._expect(None)
            if watch and self.client:
                watch.disconnected(self.client)

        def data_received(self, data: bytes) -> None:
            if self._timer is None:  # also for line ends between requests, which begin none
                self._expect(head_seconds)
            self._spare_bytes -= len(data)
            super().data_received(data)
            if self._spare_bytes < 0:
                self.transport.abort()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._spare_bytes = HEAD_BYTES
            self._expect(head_seconds)

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            self._spare_bytes = HEAD_BYTES
            self._expect(REQUEST_SECONDS)

        def on_body(self, body: bytes) -> None:
            super().on_body(body)
            # In a chunked body the frame of a small chunk is larger than what it holds: six bytes around one.
            self._spare_bytes = min(HEAD_BYTES, self._spare_bytes + 8 * len(body))

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._expect(None)

        def handle_websocket_upgrade(self) -> None:
            super().handle_websocket_upgrade()
            self._expect(None)  # what follows is no request, and may last for days

        def _expect(self, seconds: float | None) -> None:
            """Close the connection unless the next step comes within `seconds` (None: it may take its time)."""
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.close)

    return BoundedProtocol
