"""Rows as they happen: piece by piece the same as the history, kept back while nobody takes them, there once."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from tests.simulate.moments import CELL_US, STEP_US, platform, us
from workbench import config
from workbench.errors import StoreError
from workbench.simulate.live import LiveRows
from workbench.simulate.rows.cell import rows_of

PLACE = us("2026-09-03T06:00:00") // CELL_US  # when the day before is billed
START = PLACE * CELL_US


class EventsDoor:
    """A server that takes events as the hub's door does, or refuses with `status`."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.media: set[str] = set()
        self.status = 200
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                door.media.add(f"{self.path} {self.headers['Content-Type']} {self.headers['Authorization']}")
                if door.status == 200:
                    door.events += json.loads(body)
                self.send_response(door.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def door(settings: config.Settings) -> Iterator[EventsDoor]:
    found = EventsDoor()
    config.ensure_private_dir(settings.runtime_dir)
    settings.up_file.write_text(json.dumps({"ingest_url": found.url}))
    (settings.runtime_dir / "ingest.token").write_text("secret\n")
    yield found
    found.close()


class Hub:
    """What of the hub's writer is used: it keeps what is appended, or refuses."""

    def __init__(self) -> None:
        self.kept: dict[str, list[pa.RecordBatch]] = {}
        self.away = False

    @contextmanager
    def open(self, _: config.Settings) -> Iterator[Hub]:
        yield self

    def append(self, batches: dict[str, pa.RecordBatch]) -> Future[int]:
        future: Future[int] = Future()
        if self.away:
            future.set_exception(StoreError("the hub does not answer"))
            return future
        for kind, batch in batches.items():
            self.kept.setdefault(kind, []).append(batch)
        future.set_result(0)
        return future

    def hashes(self, kind: str) -> list[str]:
        return [one for batch in self.kept.get(kind, []) for one in batch.column("hash").to_pylist()]


def test_step_by_step_it_is_the_same_as_the_history(settings, door):
    hub = Hub()
    rows = LiveRows(settings, platform(), START, hub.open)
    for step in range(1, CELL_US // STEP_US + 1):
        rows.send(START + step * STEP_US)
    rows.close()
    whole = rows_of(platform(), PLACE)
    assert [event["id"] for event in door.events] == whole["events"]["id"].to_pylist()
    assert [event["data"] for event in door.events] == [
        json.loads(text) for text in whole["events"]["data"].to_pylist()
    ]
    assert hub.hashes("usage") == whole["usage"]["hash"].to_pylist()
    assert hub.hashes("costs") == whole["costs"]["hash"].to_pylist()
    assert len(hub.kept["costs"]) == 1
    assert door.media == {"/events application/cloudevents-batch+json Bearer secret"}


def test_what_nobody_takes_comes_later_and_once(settings, door):
    hub = Hub()
    rows = LiveRows(settings, platform(), START, hub.open)
    door.status = 503
    rows.send(START + STEP_US)
    assert rows.sent_us == START
    door.status, hub.away = 200, True
    rows.send(START + 2 * STEP_US)
    assert rows.sent_us == START
    hub.away = False
    rows.send(START + CELL_US)
    rows.close()
    assert rows.sent_us == START + CELL_US
    whole = rows_of(platform(), PLACE)
    assert {event["id"] for event in door.events} == set(whole["events"]["id"].to_pylist()), "doubles have one id"
    assert hub.hashes("usage") == whole["usage"]["hash"].to_pylist()


def test_without_a_hub_it_waits_and_asks_for_an_hour_at_most_at_once(settings, door):
    hub = Hub()
    rows = LiveRows(settings, platform(), START, hub.open)
    rows.send(START + 30 * CELL_US)
    assert rows.sent_us == START + 12 * CELL_US
    rows.close()
