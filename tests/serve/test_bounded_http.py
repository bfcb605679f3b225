"""Connections that send without end, or hardly at all, are closed; what is within the bounds is served."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from workbench.serve.running.bounded_http import HEAD_BYTES, bounded_protocol

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


async def length_of_body(scope, receive, send):
    """Answers with the number of bytes that came."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    text = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@asynccontextmanager
async def served(head_seconds: float = 30.0) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server with the bounds."""
    listening = socket.create_server(("127.0.0.1", 0))
    protocol = bounded_protocol(head_seconds=head_seconds)
    server = uvicorn.Server(uvicorn.Config(length_of_body, http=protocol, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    assert b" 200 " in head.splitlines()[0]
    length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.split(b":")[1]))


async def closed(reader: asyncio.StreamReader) -> bool:
    """Waits for the end of the connection; whether it came without an answer."""
    try:
        return await asyncio.wait_for(reader.read(), 20) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "part",
    [b"X: " + b"a" * 4096, b"".join(b"X-%d: a\r\n" % number for number in range(400))],
    ids=["one header without end", "headers without end"],
)
def test_a_head_without_end_is_cut_off(part: bytes):
    async def run() -> int:
        async with served() as (reader, writer):
            writer.write(HEAD)
            ended = asyncio.create_task(closed(reader))
            sent = 0
            while not ended.done() and sent < 64 * HEAD_BYTES:
                writer.write(part)
                sent += len(part)
                try:
                    await writer.drain()
                except ConnectionError:
                    break
                await asyncio.sleep(0)
            assert await ended
            return sent

    assert asyncio.run(run()) < 64 * HEAD_BYTES


@pytest.mark.parametrize("start", [b"", b"PO", HEAD, b"\r\n"], ids=["nothing", "two letters", "half a head", "a line"])
def test_who_says_hardly_anything_is_not_waited_for(start: bytes):
    async def run() -> None:
        async with served(head_seconds=0.05) as (reader, writer):
            writer.write(start)
            assert await closed(reader)

    asyncio.run(run())


def test_a_second_request_is_not_waited_for_either():
    async def run() -> None:
        async with served(head_seconds=0.5) as (reader, writer):
            writer.write(HEAD + b"Content-Length: 2\r\n\r\nab")
            assert await answer(reader) == b"2"
            writer.write(HEAD)
            assert await closed(reader)

    asyncio.run(run())


def test_bodies_may_be_long_and_in_the_smallest_pieces():
    async def run() -> None:
        async with served() as (reader, writer):
            size = 40 * HEAD_BYTES
            writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % size + b"a" * size)
            assert await answer(reader) == b"%d" % size
            writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * HEAD_BYTES + b"0\r\n\r\n")
            assert await answer(reader) == b"%d" % HEAD_BYTES

    asyncio.run(run())


def test_trailers_without_end_are_cut_off():
    async def run() -> None:
        async with served() as (reader, writer):
            writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ")
            ended = asyncio.create_task(closed(reader))
            for _ in range(2000):
                if ended.done():
                    break
                writer.write(b"a" * 4096)
                await asyncio.sleep(0)
            assert await ended

    asyncio.run(run())
