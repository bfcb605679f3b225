"""Serve several ASGI apps, each on its own listening sockets, in one event loop until the process is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from workbench.serve.running.bounded_http import Watch, bounded_protocol

GRACE_SECONDS = 1
"""How long requests under way may take to end once the process is asked to."""

WEBSOCKET_BYTES = 64 * 2**20
"""Of one message; a notebook with pictures that is saved comes in one."""


@dataclass(frozen=True)
class Listener:
    """An ASGI app and where it listens. `watch` is told of connections, where their life matters to a door."""

    app: Any
    sockets: Sequence[socket.socket]
    watch: Watch | None = None
    websockets: bool = False
    tls: ssl.SSLContext | None = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        config.load()
        config.ssl = tls  # ours, so that a renewed certificate can be loaded into it

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process: it has several servers and one end."""
        yield


def stop_on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def listen(listeners: Sequence[Listener], stop: asyncio.Event) -> None:
    """Serve until `stop`; returns when every server has closed its connections. One that fails ends all."""
    servers = [
        _Server(
            uvicorn.Config(
                listener.app,
                http=bounded_protocol(listener.watch),
                ws="websockets-sansio" if listener.websockets else "none",
                ws_max_size=WEBSOCKET_BYTES,
                ws_per_message_deflate=False,  # both ends are on one machine, or behind a proxy that does it
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # nobody may say for himself where he comes from
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                backlog=2048,
            ),
            listener.tls,
        )
        for listener in listeners
    ]
    running = [
        asyncio.ensure_future(server.serve(sockets=list(listener.sockets)))
        for server, listener in zip(servers, listeners, strict=True)
    ]
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([stopping, *running], return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.should_exit = True
    stopping.cancel()
    await asyncio.gather(*running)


def unix_socket(path: Path) -> socket.socket:
    """A listening unix socket that only its owner can reach; one left by a process that died is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(mask)
    listening.listen(128)
    return listening
