"""Bring payloads to the hub's door: a bounded queue, one thread, one kept connection, retries with back-off.

While the hub is away payloads wait in memory, oldest first out, and are sent when it is back (it takes samples up to
24 h late). Past the bound the oldest are dropped and counted. What the door refuses is dropped and counted too.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from workbench import config, log
from workbench.collect.instruments import Instrument, Observation
from workbench.collect.process import read_up_file
from workbench.collect.system import host_resource

MAX_WAITING_BYTES = 16 * 2**20
"""About half an hour of this host at 1 s: long enough for a restart, a checkpoint or an upgrade of the hub."""
MAX_BODY_BYTES = 2**20
"""Waiting payloads are joined up to this size, so that a backlog is a few requests and not a thousand."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.25, 5.0
"""The hub is on this machine or one like it: it is asked often enough to be found soon after it is back."""
TIMEOUT_SECONDS = 10
METRICS_PATH = "/v1/metrics"

EXPORTED = Instrument(
    "otel.sdk.exporter.metric_data_point.exported",
    "{data_point}",
    "counter",
    "Data points whose export has finished, by error.type",
)

_LOG = log.get(__name__)
_COMPONENT = (("otel.component.name", "workbench_delivery/0"), ("otel.component.type", "otlp_http_exporter"))


@dataclass(frozen=True)
class Answer:
    """What the door said. `status` 0: it could not be reached; `rejected`: data points it did not take."""

    status: int
    retry_after_seconds: float = 0.0
    rejected: int = 0

    @property
    def accepted(self) -> bool:
        """The payload was taken, perhaps without some of its points."""
        return 200 <= self.status < 300

    @property
    def again(self) -> bool:
        """Trying again can help: OTLP's retryable answers, and a token that was just renewed."""
        return self.status in (0, 401, 403, 408, 429, 500, 502, 503, 504)


class Door(Protocol):
    """Where payloads go: one method, which never raises."""

    def post(self, body: bytes) -> Answer:
        """Send one OTLP request."""
        ...


class HttpDoor:
    """HTTP to the address that `address` gives: (URL of the ingest port, token), or None where no hub runs.

    What is posted are OTLP metrics, unless `path` and `media_type` say otherwise. The connection is kept, never goes
    through a proxy, and is opened anew with a fresh address after any failure.
    """

    def __init__(
        self,
        address: Callable[[], tuple[str, str] | None],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        path: str = METRICS_PATH,
        media_type: str = "application/x-protobuf",
    ) -> None:
        self._door = path
        self._media_type = media_type
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._path = ""
        self._headers: dict[str, str] = {}

    def post(self, body: bytes) -> Answer:
        """Send one request. A kept connection that the server has closed meanwhile is replaced at once."""
        kept = self._connection is not None
        try:
            return self._exchange(body)
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
            self.close()
            if not kept:
                _LOG.debug("door_unreachable", error=repr(error))
                return Answer(0)
        return self.post(body)

    def close(self) -> None:
        """Give the connection back; the next post opens a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _exchange(self, body: bytes) -> Answer:
        connection = self._connection or self._open()
        if connection is None:
            return Answer(0)
        connection.request("POST", self._path, body, self._headers)
        response = connection.getresponse()
        content = response.read()
        if response.will_close or response.status != 200:
            self.close()
        rejected = _rejected(content) if response.status == 200 and self._door == METRICS_PATH else 0
        return Answer(response.status, _seconds(response.getheader("Retry-After")), rejected)

    def _open(self) -> http.client.HTTPConnection | None:
        found = self._address()
        if found is None:
            return None
        url, token = found
        parts = urlsplit(url)
        maker = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = maker(parts.hostname or "127.0.0.1", parts.port, timeout=self._timeout_seconds)
        self._path = parts.path.rstrip("/") + self._door
        self._headers = {"Content-Type": self._media_type, "User-Agent": "workbench-collect"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        return self._connection


def ingest_address(settings: config.Settings) -> tuple[str, str] | None:
    """(ingest URL, internal token) of the running workbench, or None where none runs yet."""
    url = read_up_file(settings.up_file).get("ingest_url")
    if not url:
        return None
    try:
        token = (settings.runtime_dir / "ingest.token").read_text(encoding="utf-8").strip()
    except OSError:
        token = ""
    return str(url), token


class Delivery:
    """The queue before a door, emptied by a thread of its own. It is a collector too: of what became of its points."""

    def __init__(self, door: Door, *, instance: str = "agent", max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._door = door
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self._in_flight = False
        self._finished: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closing = False
        self._resource = host_resource("workbench", instance)
        self._start_ns = time.time_ns()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def put(self, body: bytes, points: int) -> None:
        """Queue one payload; never blocks. Over the bound the oldest are dropped as `buffer_full`."""
        with self._changed:
            self._waiting.append((body, points))
            self._waiting_bytes += len(body)
            self._trim()
            self._changed.notify()

    def finished(self) -> dict[str, int]:
        """Data points by what became of them: "" delivered, else the reason (`rejected`, `buffer_full`, `http_400`)."""
        with self._changed:
            return dict(self._finished)

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is under way: all that was put has been answered, or dropped."""
        with self._changed:
            return not self._waiting and not self._in_flight

    def collect(self, time_ns: int) -> list[Observation]:
        """Its own figures, as OpenTelemetry names them for an exporter."""
        points = []
        for reason, count in self.finished().items():
            pairs = tuple(sorted((*_COMPONENT, ("error.type", reason)))) if reason else _COMPONENT
            points.append((EXPORTED, pairs, count))
        return [Observation(self._resource, self._start_ns, time_ns, list(points))]

    def close(self, timeout_seconds: float = 0.5) -> None:
        """Try once to send what waits, and stop; does not wait longer than `timeout_seconds`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_seconds)

    def _trim(self) -> None:
        while self._waiting_bytes > self._max_waiting_bytes and len(self._waiting) > 1:
            body, points = self._waiting.popleft()
            self._waiting_bytes -= len(body)
            self._finished["buffer_full"] += points

    def _take(self, most_bytes: int) -> list[tuple[bytes, int]]:
        """The oldest payloads that fit together; at least one. Waits for one, empty only when closing."""
        with self._changed:
            self._in_flight = False
            while not self._waiting and not self._closing:
                self._changed.wait()
            taken: list[tuple[bytes, int]] = []
            size = 0
            while self._waiting and (not taken or size + len(self._waiting[0][0]) <= most_bytes):
                taken.append(self._waiting.popleft())
                size += len(taken[-1][0])
            self._waiting_bytes -= size
            self._in_flight = bool(taken)
            return taken

    def _return(self, taken: list[tuple[bytes, int]]) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(taken))
            self._waiting_bytes += sum(len(body) for body, _ in taken)
            self._trim()

    def _run(self) -> None:
        failures = 0
        most_bytes = MAX_BODY_BYTES
        while taken := self._take(most_bytes):
            answer = self._door.post(b"".join(body for body, _ in taken))
            points = sum(count for _, count in taken)
            if answer.accepted:
                self._finish({"": points - answer.rejected, "rejected": answer.rejected})
                if failures:
                    _LOG.info("delivered_again", after_failures=failures)
                failures, most_bytes = 0, MAX_BODY_BYTES
            elif answer.again:
                self._return(taken)
                failures += 1
                if failures == 1:
                    _LOG.warning("delivery_waits", status=answer.status)
                if self._pause(failures, answer.retry_after_seconds):
                    return
            elif len(taken) > 1:
                # One of them is not to the door's liking: alone, so that it takes no good one down with it.
                self._return(taken)
                most_bytes = 0
            else:
                self._finish({f"http_{answer.status}": points})
                _LOG.error("payload_refused", status=answer.status, points=points)

    def _finish(self, outcome: dict[str, int]) -> None:
        with self._changed:
            self._finished.update({reason: count for reason, count in outcome.items() if count})

    def _pause(self, failures: int, asked_seconds: float) -> bool:
        """Wait before the next try; True when closing. New payloads do not shorten it."""
        grown = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 10))
        until = time.monotonic() + max(min(asked_seconds, 60.0), grown * random.uniform(0.5, 1.0))
        with self._changed:
            while not self._closing and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._closing


def _rejected(content: bytes) -> int:
    """Data points of a partial success that were not taken (OTLP `ExportMetricsServiceResponse`)."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    try:
        return (
            int(ExportMetricsServiceResponse.FromString(content).partial_success.rejected_data_points) if content else 0
        )
    except DecodeError:
        return 0


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:  # an HTTP date: our own back-off is good enough
        return 0.0
