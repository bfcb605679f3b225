"""The broker: answers one person's sandboxed processes with the rows that this person may see.

It listens on a unix socket in a folder of its own; the folder is all that is shown inside the sandbox. Its protocol
stands in `workbench.query.broker`. It decides nothing: the views that it is given do.
"""

from __future__ import annotations

import io
import json
import socketserver
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pyarrow as pa

from workbench import log
from workbench.config import Settings, ensure_private_dir
from workbench.errors import Busy, InputError, QueryLimit, TooLarge, WorkbenchError
from workbench.query import prometheus_response
from workbench.schema import KINDS, ROLLUPS
from workbench.store import RemoteWriter, SeriesRegistry, View, histograms_to_tables, series_batch

SOCKET = "broker.sock"
MAX_BODY_BYTES = 16 * 2**20
REQUEST_SECONDS = 30.0
AT_ONCE = 2
"""Answers that one broker makes at once; others wait. What a person asks must not slow down everybody's pages."""
WAIT_SECONDS = 60.0
SEAL_EVERY_SECONDS = 10.0
CHUNK_BYTES = 2**20
DAY_US = 86_400_000_000

_log = log.get(__name__)

Views = Callable[[str], View]
"""Lake version ("": the newest, with the log) -> the view of the broker's person. Asked for at every request, and may
refuse: who was signed out or is limited since is told so."""


class Broker:
    """Serves `folder / "broker.sock"` from threads of its own until it is closed. A context manager."""

    def __init__(self, folder: Path, views: Views, settings: Settings) -> None:
        self.folder = ensure_private_dir(folder)
        self.socket = folder / SOCKET
        self.socket.unlink(missing_ok=True)
        self._server = _Server(str(self.socket), _Handler)
        self.socket.chmod(0o600)
        self._server.answers = _Answers(views, settings)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name=f"broker {folder.name}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; answers under way end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.socket.unlink(missing_ok=True)

    def __enter__(self) -> Broker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    answers: _Answers

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An answer broke off: the process inside ended, or what it asked for failed half-way."""
        _log.debug("broker's answer broke off", error=repr(sys.exc_info()[1]))


class _Answers:
    """What is answered, as parts of a body; all state of one broker."""

    def __init__(self, views: Views, settings: Settings) -> None:
        self._views = views
        self._settings = settings
        self._turn = threading.BoundedSemaphore(AT_ONCE)
        self._sealing = threading.Lock()
        self._sealed = (float("-inf"), "")
        # Which registry a client has read from: after another limit of rows it is another one.
        self._books: weakref.WeakKeyDictionary[SeriesRegistry, str] = weakref.WeakKeyDictionary()

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, str, Iterator[bytes]]:
        """Status, media type and the parts of the body. Raises WorkbenchError, also while they are made."""
        ways = {
            ("GET", "/state"): self._state,
            ("GET", "/version"): self._version,
            ("GET", "/series"): self._series,
            ("GET", "/days"): self._days,
            ("GET", "/table"): self._table,
            ("POST", "/samples"): self._samples,
            ("POST", "/histograms"): self._histograms,
            ("POST", "/rollups"): self._rollups,
            ("POST", "/exemplars"): self._exemplars,
            ("POST", "/seal"): self._seal,
        }
        if path.startswith("/api/v1/"):
            return self._prometheus(path, query, body)
        way = ways.get((method, path))
        if way is None:
            known = ", ".join(f"{verb} {name}" for verb, name in ways)
            raise InputError(f"there is no {method} {path}", hint=f"There are: {known}, /api/v1/….")
        plain = path in ("/state", "/version", "/days", "/seal")
        kind = "application/json" if plain else "application/vnd.apache.arrow.stream"
        return 200, kind, self._in_turn(way(query, body))

    def _in_turn(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        if not self._turn.acquire(timeout=WAIT_SECONDS):
            raise Busy("too many questions at once", hint="Ask again in a moment.")
        try:
            yield from parts
        finally:
            self._turn.release()

    def _view(self, query: dict[str, str]) -> View:
        return self._views(query.get("version", ""))

    def _state(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        view = self._view(query)
        registry, rolled = view.registry, view.rolled()
        state = {
            "lake_version": view.lake_version,
            "latest_us": view.latest_us,
            "time_us": view.version_time_us,
            "book": self._books.setdefault(registry, uuid.uuid4().hex),
            "generation": registry.generation,
            "exact_us": rolled.exact_us,
            "let_go_us": dict(rolled.let_go_us),
        }
        yield json.dumps(state).encode()

    def _version(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        time_us = _number(query, "time")
        if time_us is None:
            raise InputError("needs a time", where="query")
        yield json.dumps({"lake_version": self._views("").version_at(time_us)}).encode()

    def _series(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        fresh = self._view(query).registry.since(_number(query, "since") or 0)
        yield from _stream([pa.Table.from_batches([series_batch(fresh)])])

    def _days(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        yield json.dumps({"days": self._view(query).days(_kind(query))}).encode()

    def _table(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        view, kind = self._view(query), _kind(query)
        start_us, end_us = _number(query, "start"), _number(query, "end")
        columns = query["columns"].split(",") if query.get("columns") else None
        # A day at a time where no key spans days: what is held here does not grow with what is asked for.
        days = view.days(kind) if KINDS[kind].time in KINDS[kind].key else []
        spans = _spans(days, start_us, end_us)
        yield from _stream(view.table(kind, start_us=low, end_us=high, columns=columns) for low, high in spans)

    def _samples(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        ids, start_us, end_us = _span(query, body)
        found = self._view(query).samples(ids, start_us, end_us)
        self._check_size(len(found.times_us))
        yield from _stream([pa.table({"offset": found.offsets})])
        yield from _stream([pa.table({"time": found.times_us, "value": found.values})])

    def _histograms(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        ids, start_us, end_us = _span(query, body)
        found = self._view(query).histograms(ids, start_us, end_us)
        # A bucket weighs as much as a sample.
        self._check_size(len(found.times_us) + len(found.histograms.keys))
        for table in histograms_to_tables(found):
            yield from _stream([table])

    def _exemplars(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        ids, start_us, end_us = _span(query, body)
        found = self._view(query).exemplars(ids, start_us, end_us)
        self._check_size(found.num_rows)
        yield from _stream([found])

    def _check_size(self, samples: int) -> None:
        limit = self._settings.query.max_samples
        if samples > limit:
            raise QueryLimit(f"these are more than {limit:,} samples", hint="Ask for fewer series or a shorter time.")

    def _rollups(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        start_us, end_us, name = _number(query, "start"), _number(query, "end"), query.get("kind", "")
        if name not in ROLLUPS or start_us is None or end_us is None or len(body) % 8:
            raise InputError("needs a roll-up, start, end and int64 series ids", where="query")
        columns = query.get("columns", "").split(",")
        yield from _stream([self._view(query).rollups(name, np.frombuffer(body, np.int64), start_us, end_us, columns)])

    def _seal(self, query: dict[str, str], body: bytes) -> Iterator[bytes]:
        with self._sealing:
            at, version = self._sealed
            if time.monotonic() - at >= SEAL_EVERY_SECONDS:
                with RemoteWriter(self._settings) as hub:
                    version = hub.seal()
                self._sealed = (time.monotonic(), version)
        yield json.dumps({"lake_version": version}).encode()

    def _prometheus(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, str, Iterator[bytes]]:
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        view = self._view(query)
        asked = [*query.items(), *form]
        with self._turn:
            status, content = prometheus_response(
                view, path.removeprefix("/api/v1/"), asked, now_us=time.time_ns() // 1000, limits=self._settings.query
            )
        return status, "application/json", iter([content])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS
    server: _Server

    def address_string(self) -> str:
        return "sandbox"

    def log_message(self, *_: Any) -> None:
        """Nothing: what a person asks is his own."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self._fail(TooLarge(f"a body may have {MAX_BODY_BYTES} bytes", where="content-length"))
            return
        self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            status, kind, parts = self.server.answers.answer(self.command, url.path, query, body)
            first = next(parts, b"")
        except WorkbenchError as error:
            self._fail(error)
            return
        except Exception:
            _log.exception("broker failed", path=url.path)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        # In chunks: an answer that breaks off is told from one that ended.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(first)
        for part in parts:
            self._chunk(part)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, part: bytes) -> None:
        if part:
            self.wfile.write(b"%x\r\n" % len(part))
            self.wfile.write(part)
            self.wfile.write(b"\r\n")

    def _fail(self, error: WorkbenchError) -> None:
        content = json.dumps(error.as_dict()).encode()
        self.close_connection = True
        self.send_response(error.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _stream(tables: Any) -> Iterator[bytes]:
    """Tables of one schema as an Arrow stream, about CHUNK_BYTES at a time."""
    sink = io.BytesIO()
    writer = None
    for table in tables:
        writer = writer or pa.ipc.new_stream(sink, table.schema)
        for batch in table.to_batches(max_chunksize=65_536):
            writer.write_batch(batch)
            if sink.tell() >= CHUNK_BYTES:
                yield sink.getvalue()
                sink.seek(0)
                sink.truncate()
    if writer is not None:
        writer.close()
    yield sink.getvalue()


def _span(query: dict[str, str], body: bytes) -> tuple[np.ndarray, int, int]:
    """Series ids, start and end of a question for samples."""
    if len(body) % 8:
        raise InputError("the body must be int64 series ids", where="body")
    start_us, end_us = _number(query, "start"), _number(query, "end")
    if start_us is None or end_us is None:
        raise InputError("needs start and end", where="query")
    return np.frombuffer(body, np.int64), start_us, end_us


def _spans(days: Sequence[int], start_us: int | None, end_us: int | None) -> Iterator[tuple[int | None, int | None]]:
    """The time from start to end (None: without end), cut where each of the days begins."""
    cuts = [day * DAY_US for day in days[1:]]
    cuts = [cut for cut in cuts if (start_us is None or cut > start_us) and (end_us is None or cut <= end_us)]
    yield from zip([start_us, *cuts], [*(cut - 1 for cut in cuts), end_us], strict=True)


def _kind(query: dict[str, str]) -> str:
    kind = query.get("kind", "")
    if kind not in KINDS:
        raise InputError(f"no table {kind!r}", where="kind", hint=f"There are: {', '.join(KINDS)}.")
    return kind


def _number(query: dict[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a number", where=name) from error
