"""The supervisor's control socket: starts a process of the workbench when somebody first needs it.

One line of JSON in, one line out, over a unix socket that only the owner of the home can reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.config import Settings

TIMEOUT_SECONDS = 5.0
MAX_LINE_BYTES = 4096

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def control_socket(settings: Settings) -> Path:
    """Where the supervisor listens."""
    return settings.runtime_dir / "up.sock"


async def serve_control(path: Path, handler: Handler) -> asyncio.Server:
    """Listen, and answer each line with what `handler` makes of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                line = await reader.readline()
            try:
                answer = handler(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                answer = {"error": f"not understood: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass
        finally:
            writer.close()

    path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(serve, path, limit=MAX_LINE_BYTES)
    finally:
        os.umask(mask)


async def ask_to_start(settings: Settings, name: str, **arguments: str) -> Mapping[str, Any]:
    """Ask for a process by name; `{"state": …}` of it, or `{"error": …}` where it cannot be had."""
    with contextlib.suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(control_socket(settings), limit=MAX_LINE_BYTES)
            try:
                writer.write(json.dumps({"start": name, **arguments}).encode() + b"\n")
                await writer.drain()
                return dict(json.loads(await reader.readline()))
            finally:
                writer.close()
    return {"error": "`workbench up` does not answer; the process must be started by hand"}
