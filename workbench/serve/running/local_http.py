"""Ask a process of this machine one question over HTTP, without a client library and never through a proxy."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

TIMEOUT_SECONDS = 2.0


async def get(address: Path | tuple[str, int], path: str, *, tls: bool = False) -> tuple[int, bytes]:
    """(status, body) of `GET path` at a unix socket or a (host, port); status 0 where nobody answers in time.

    Over `tls` any certificate will do: it is a socket of our own on this machine, and nothing secret is said.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _get(address, path, tls)
    except (OSError, ValueError, LookupError, EOFError, TimeoutError):
        return 0, b""


async def _get(address: Path | tuple[str, int], path: str, tls: bool) -> tuple[int, bytes]:
    if isinstance(address, Path):
        reader, writer = await asyncio.open_unix_connection(str(address))
        host = "localhost"
    else:
        reader, writer = await asyncio.open_connection(*address, ssl=_any_certificate() if tls else None)
        host = f"{address[0]}:{address[1]}"
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split(None, 2)[1]) if head else 0, body
    finally:
        writer.close()


def _any_certificate() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made
