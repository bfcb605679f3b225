"""The view of a process that owns nothing: everything is asked of a broker, over the one socket it has.

The broker answers with the rows of its person. What is computed over them is computed here, by the same code as
anywhere, so a notebook gives the same figures inside a sandbox and outside.

    GET  /state?version=                                      -> JSON: lake_version, latest_us, time_us; book and
                                                                 generation of the series
    GET  /version?time=                                       -> JSON: lake_version that was the newest then
    GET  /series?version=&since=N                             -> Arrow stream of the kind `series`
    GET  /days?version=&kind=                                 -> JSON: days since 1970 of which the lake has rows
    GET  /table?version=&kind=&columns=&start=&end=           -> Arrow stream
    POST /samples?version=&start=&end=    int64 series ids    -> two Arrow streams: offsets; times and values
    POST /histograms?version=&start=&end=                     -> four Arrow streams: of series, samples, buckets, bounds
    POST /rollups?version=&kind=&start=&end=&columns=   ids   -> Arrow stream
    POST /exemplars?version=&start=&end=                      -> Arrow stream: series, time, exemplar
    POST /seal                                                -> JSON: lake_version

Times are microseconds since 1970 UTC. An error is the JSON of all doors. PromQL's API is there too, below `/api/v1/`.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa

from workbench.errors import Forbidden, StoreError, raised_again
from workbench.store import (
    HistogramSamples,
    RolledUp,
    Samples,
    SeriesRegistry,
    View,
    histograms_from_tables,
    series_rows,
)

TIMEOUT_SECONDS = 120.0


class BrokerView(View):
    """Log and lake as a broker tells of them. Thread-safe; `version` names a lake version, "" the newest with the log.

    Every method raises StoreError where the broker does not answer, and otherwise what the view behind it raised.
    """

    def __init__(self, path: Path, version: str = "") -> None:
        # Not View.__init__: nothing is held here but the names of the series.
        self._path = path
        self._version = version
        self._asking = threading.Lock()
        self._book = ""
        self._known = SeriesRegistry()
        self._seen = 0
        self._state: dict[str, Any] = {}
        self.refresh()

    @property
    def registry(self) -> SeriesRegistry:
        """The series that there were at the last `refresh`."""
        return self._known

    @property
    def latest_us(self) -> int:
        """Time of the newest sample, 0 if there is none."""
        return int(self._state["latest_us"])

    @property
    def lake_version(self) -> str:
        """Id of the manifest that is read."""
        return str(self._state["lake_version"])

    @property
    def version_time_us(self) -> int:
        """When that manifest was written, 0 before the first."""
        return int(self._state["time_us"])

    def version_at(self, time_us: int) -> str:
        """Id of the manifest that was the newest at a time. Raises VersionGone."""
        return str(self._json("GET", "/version", time=time_us)["lake_version"])

    def refresh(self) -> bool:
        """Ask what is new, and learn the series that are; True if anything was."""
        with self._asking:
            before, self._state = self._state, self._json("GET", "/state")
            if self._state["book"] != self._book:
                # Another book: the broker started again, or its person may see other rows.
                self._book, self._known, self._seen = self._state["book"], SeriesRegistry(), 0
            if self._state["generation"] != self._seen:
                self._known.add(series_rows(self._table("/series", since=self._seen)))
                self._seen = self._state["generation"]
            return before != self._state

    def samples(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> Samples:
        """As any view: float samples with start <= time <= end, series after series."""
        wanted = np.unique(np.asarray(ids, np.int64))
        with self._ask("POST", "/samples", wanted.tobytes(), version=version, start=start_us, end=end_us) as reply:
            offsets, points = _whole(reply), _whole(reply)
        columns = (offsets["offset"], points["time"], points["value"])
        return Samples(wanted, *(column.to_numpy() for column in columns))

    def histograms(
        self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None
    ) -> HistogramSamples:
        """As any view: native histograms with start <= time <= end, series after series."""
        wanted = np.unique(np.asarray(ids, np.int64))
        body = wanted.tobytes()
        with self._ask("POST", "/histograms", body, version=version, start=start_us, end=end_us) as reply:
            return histograms_from_tables(wanted, [_whole(reply) for _ in range(4)])

    def rolled(self) -> RolledUp:
        """How far roll-ups can stand for samples, as of the last `refresh`."""
        return RolledUp(int(self._state["exact_us"]), dict(self._state["let_go_us"]))

    def rollups(self, name: str, ids: np.ndarray, start_us: int, end_us: int, columns: Sequence[str]) -> pa.Table:
        """As any view: buckets of series that end from start to end."""
        wanted = np.unique(np.asarray(ids, np.int64))
        asked = {"kind": name, "start": start_us, "end": end_us, "columns": list(columns)}
        with self._ask("POST", "/rollups", wanted.tobytes(), **asked) as reply:
            return _whole(reply)

    def exemplars(self, ids: np.ndarray, start_us: int, end_us: int, *, version: str | None = None) -> pa.Table:
        """As any view: exemplars that samples with start <= time <= end bear."""
        body = np.unique(np.asarray(ids, np.int64)).tobytes()
        with self._ask("POST", "/exemplars", body, version=version, start=start_us, end=end_us) as reply:
            return _whole(reply)

    def table(
        self,
        kind: str,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        columns: Sequence[str] | None = None,
        version: str | None = None,
    ) -> pa.Table:
        """As any view: rows from log and lake, one per key, the newest."""
        names = list(columns) if columns is not None else None
        return self._table("/table", kind=kind, start=start_us, end=end_us, columns=names, version=version)

    def days(self, kind: str, *, version: str | None = None) -> list[int]:
        """As any view: days since 1970 of which the lake has rows."""
        return list(self._json("GET", "/days", kind=kind, version=version)["days"])

    def files(self, kind: str, *, version: str | None = None) -> list[str]:
        """Refused: files lie outside. Raises Forbidden."""
        raise Forbidden("files lie outside of the sandbox", where=kind, hint="Ask for the table, in PromQL or in SQL.")

    def close(self) -> None:
        """Nothing: no connection stays open."""

    def __reduce__(self) -> tuple[Any, ...]:
        return BrokerView, (self._path, self._version)

    def _json(self, method: str, path: str, **query: Any) -> dict[str, Any]:
        with self._ask(method, path, **query) as reply:
            return dict(json.loads(reply.read()))

    def _table(self, path: str, **query: Any) -> pa.Table:
        with self._ask("GET", path, **query) as reply:
            return _whole(reply)

    def _ask(self, method: str, path: str, body: bytes = b"", **query: Any) -> http.client.HTTPResponse:
        version = query.pop("version", None) or self._version
        given = {"version": version, **{name: value for name, value in query.items() if value is not None}}
        try:
            connection = _SocketConnection(str(self._path), TIMEOUT_SECONDS)
            # The answer keeps the socket open until it is read or closed.
            connection.request(method, f"{path}?{urlencode(_texts(given))}", body, {"Connection": "close"})
            reply = connection.getresponse()
            if reply.status == 200:
                return reply
            raise raised_again(reply.read(), StoreError(f"the broker answered {reply.status}"))
        except (OSError, http.client.HTTPException) as error:
            hint = "It is there while the workbench runs."
            raise StoreError(f"the broker does not answer: {error}", where=str(self._path), hint=hint) from error


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _whole(reply: http.client.HTTPResponse) -> pa.Table:
    try:
        return pa.ipc.open_stream(reply).read_all()
    except (OSError, http.client.HTTPException, pa.ArrowInvalid) as error:
        raise StoreError(f"the broker's answer broke off: {error!r}") from error


def _texts(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in query.items()}
