"""Writing from another process: over the hub's local socket while a hub runs, else with the lock in our own hands.

Both ends of the socket's small protocol are here: `RemoteWriter` asks, `answer` replies.

    POST /register  JSON {"source", "new": [[identity, description, scope], …]} -> {"ids": [...]}, once durable
    POST /append    `encode_batches`                                              -> {"segment", "offset"}, once durable
    POST /register  JSON {"source", "new": [[identity, description, scope]]} -> {"ids": [...]}, once durable
    POST /seal      nothing                                                       -> {"lake_version"}

An error is the JSON that all doors answer with, and its HTTP status.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pyarrow as pa

from workbench.config import Settings
from workbench.errors import InputError, LakeLocked, StoreError, WorkbenchError, raised_again
from workbench.store.batches import decode_batches, encode_batches
from workbench.store.registry import Identity
from workbench.store.wal import Position
from workbench.store.writer import Writer, open_writer

TIMEOUT_SECONDS = 120.0
_PARALLEL = 4
_POLL_SECONDS = 0.1


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class RemoteWriter:
    """The hub's writer, from another process. Thread-safe. A context manager; raises what the hub's writer raised."""

    def __init__(self, settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._socket = settings.hub_socket
        self._timeout_seconds = timeout_seconds
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="remote-writer")

    def register(self, new: Sequence[tuple[Identity, str, str]], source: str) -> list[int]:
        """Ids of (identity, description, scope) triples; see `Writer.register`. They are durable on return."""
        rows = [[astuple(identity), description, scope] for identity, description, scope in new]
        return self._ask("/register", json.dumps({"source": source, "new": rows}).encode())["ids"]

    def append(self, batches: Mapping[str, pa.RecordBatch]) -> Future[Position]:
        """Write batches as one record; see `Writer.append`. All errors come through the future."""
        body = encode_batches(batches)

        def send() -> Position:
            found = self._ask("/append", body)
            return Position(found["segment"], found["offset"])

        return self._pool.submit(send)

    def seal(self) -> str:
        """The lake version that holds everything appended before the call."""
        return self._ask("/seal", b"")["lake_version"]

    def load(self, load_id: str, number: int, batches: Mapping[str, pa.RecordBatch]) -> bool:
        """Commit a numbered step of a bulk load; see `Writer.load`."""
        return self._ask("/load?" + urlencode({"load": load_id, "number": number}), encode_batches(batches))["done"]

    def close(self) -> None:
        """Wait for what is under way, and end."""
        self._pool.shutdown()

    def __enter__(self) -> RemoteWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, target: str, body: bytes) -> dict[str, Any]:
        connection = _SocketConnection(str(self._socket), self._timeout_seconds)
        try:
            connection.request("POST", target, body)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(
                f"the hub does not answer: {error}", where=str(self._socket), hint="See `workbench status`."
            ) from error
        finally:
            connection.close()
        if reply.status != 200:
            raise raised_again(content, StoreError(f"the hub answered {reply.status}", hint="See its log."))
        return json.loads(content)


def answer(writer: Writer, target: str, body: bytes) -> tuple[int, bytes]:
    """The hub's side of the socket: status and JSON for a POST to `target`. Blocks until it is durable."""
    handlers: dict[str, Callable[[Writer, Mapping[str, str], bytes], dict[str, Any]]] = {
        "/register": _register,
        "/append": _append,
        "/load": _load,
        "/seal": lambda hub, query, body: {"lake_version": hub.seal()},
    }
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    try:
        if url.path not in handlers:
            raise InputError(f"no such path {url.path!r}", hint=f"Paths: {', '.join(handlers)}.")
        return 200, json.dumps(handlers[url.path](writer, query, body)).encode()
    except WorkbenchError as error:
        return error.status, json.dumps(error.as_dict()).encode()


def _register(writer: Writer, query: Mapping[str, str], body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
        source = asked["source"]
        new = [(_identity(identity), description, scope) for identity, description, scope in asked["new"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"not a registration: {error!r}", where="body") from error
    ids = writer.register(new, source)
    # The caller keeps the ids; were they lost in a crash, somebody else would get them.
    writer.flush()
    return {"ids": ids}


def _append(writer: Writer, query: Mapping[str, str], body: bytes) -> dict[str, Any]:
    return writer.append(decode_batches(body)).result()._asdict()


def _load(writer: Writer, query: Mapping[str, str], body: bytes) -> dict[str, Any]:
    try:
        load_id, number = query["load"], int(query["number"])
    except (KeyError, ValueError) as error:
        raise InputError("needs ?load=<id>&number=<n>", where="query") from error
    return {"done": writer.load(load_id, number, decode_batches(body))}


def _identity(fields: Sequence[Any]) -> Identity:
    convention, name, type_, unit, temporality, resource, attributes, part, bound = fields
    pairs = [tuple((key, value) for key, value in side) for side in (resource, attributes)]
    return Identity(convention, name, type_, unit, temporality, pairs[0], pairs[1], part, bound)


def attach(settings: Settings, *, wait_seconds: float = 30.0) -> Writer | RemoteWriter:
    """A writer for this home: the running hub's, else our own. Use it as a context manager.

    A hub that is just starting holds the lock before its socket answers; that is waited for. Raises LakeLocked where
    another writer keeps the lock and no hub answers.
    """
    deadline = time.monotonic() + wait_seconds
    while not _hub_answers(settings):
        try:
            return open_writer(settings)
        except LakeLocked:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_SECONDS)
    return RemoteWriter(settings)


def _hub_answers(settings: Settings) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        probe.connect(str(settings.hub_socket))
        return True
    return False
