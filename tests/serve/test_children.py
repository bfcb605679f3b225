"""Logs that stay short, and the one question that processes ask each other."""

from __future__ import annotations

import asyncio
import socket

import pytest

from workbench.serve.running import children, local_http
from workbench.serve.running.children import Child, Children, Spec


def test_the_output_of_a_process_is_cut_and_nothing_of_it_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "LOG_BYTES", 1000)
    kept = Children({}, tmp_path, print)
    kept.all.append(Child(Spec("hub", ())))
    file = tmp_path / "hub.log"
    with file.open("ab", buffering=0) as output:  # as a process holds it
        output.write(b"a" * 1000)
        kept.rotate_logs()
        assert file.stat().st_size == 1000
        output.write(b"b")
        kept.rotate_logs()
        assert file.read_bytes() == b""
        assert (tmp_path / "hub.log.1").read_bytes() == b"a" * 1000 + b"b"
        output.write(b"c")
        assert file.read_bytes() == b"c"
        assert sum(entry.stat().st_size for entry in tmp_path.iterdir()) == 1002


def test_a_process_that_cannot_be_started_is_tried_again(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(children, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(children.sys, "executable", str(tmp_path / "no python here"))

    async def run() -> None:
        kept = Children({}, tmp_path, said.append)
        child = kept.start(Spec("hub", ()))
        async with asyncio.timeout(30):
            while child.restarts < 2:
                await asyncio.sleep(0.01)
        assert child.state == "restarting"
        await kept.stop()

    asyncio.run(run())
    assert "hub cannot be started" in said[0]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", (200, b"hi")),
        (b"HTTP/1.1 503 Busy\r\n\r\n", (503, b"")),
        (b"", (0, b"")),
        (b"nonsense", (0, b"")),
        (b"HTTP/1.1 x\r\n\r\n", (0, b"")),
    ],
)
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_one_question(tmp_path, answer, found, kind):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def run():
        if kind == "unix":
            server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
            address = tmp_path / "s"
        else:
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
        async with server:
            return await local_http.get(address, "/health")

    assert asyncio.run(run()) == found


def test_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(local_http, "TIMEOUT_SECONDS", 0.05)
    assert asyncio.run(local_http.get(tmp_path / "nothing", "/")) == (0, b"")
    with socket.create_server(("127.0.0.1", 0)) as listening:  # listens, but never accepts
        assert asyncio.run(local_http.get(listening.getsockname(), "/")) == (0, b"")
