"""A target that exposes what a test says, and a home that keeps what is scraped."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from workbench.config import Settings
from workbench.ingest import Receiver
from workbench.ingest.points import Member
from workbench.store import Writer, open_writer

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Answer:
    """What a path of the target answers."""

    body: bytes
    media: str = TEXT
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Exposer:
    """An HTTP server whose answers can be changed; `asked` are the (path, headers) of the requests so far."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        exposer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                exposer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = exposer.answers.get(self.path.partition("?")[0], Answer(b"", status=404))
                self.send_response(answer.status)
                if answer.media:
                    self.send_header("Content-Type", answer.media)
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class WriterSink:
    """A sink that is the hub's inside, without a socket between."""

    def __init__(self, writer: Writer, receiver: Receiver) -> None:
        self.writer = writer
        self.receiver = receiver

    async def enter(self, members: Sequence[Member], source: str) -> list[int | None]:
        return await asyncio.to_thread(self.receiver.enter_scraped, members, source)

    async def append(self, samples: pa.RecordBatch) -> None:
        await asyncio.wrap_future(self.writer.append({"samples": samples}))


@pytest.fixture
def exposer() -> Iterator[Exposer]:
    made = Exposer()
    yield made
    made.close()


@pytest.fixture
def sink(settings: Settings) -> Iterator[WriterSink]:
    with open_writer(settings) as writer:
        receiver = Receiver(writer, settings)
        yield WriterSink(writer, receiver)
        receiver.close()
