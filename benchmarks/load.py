"""A client that writes samples by Prometheus remote write 1.0, and remembers what was acknowledged.

A body is encoded once; for each further write only the bytes of values and times are replaced, so that the load costs
next to nothing beside what it measures.
"""

from __future__ import annotations

import http.client
import struct
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

MEDIA_TYPE = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def varint(number: int) -> bytes:
    """Protobuf's variable-length integer."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field_bytes(number: int, body: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(body)) + body


class Body:
    """A WriteRequest of `series` time series with one sample each, whose values and time can be replaced."""

    def __init__(self, name: str, series: int, labels: dict[str, str], time_ms: int) -> None:
        self.time_bytes = len(varint(time_ms))
        parts, value_at, position = [], [], 0
        for index in range(series):
            pairs = {"__name__": name, **labels, "index": f"{index:05d}"}
            encoded = b"".join(
                field_bytes(1, field_bytes(1, key.encode()) + field_bytes(2, value.encode()))
                for key, value in sorted(pairs.items())
            )
            sample = b"\x09" + struct.pack("<d", 0.0) + b"\x10" + varint(time_ms)
            entry = field_bytes(1, encoded + field_bytes(2, sample))
            value_at.append(position + len(entry) - len(sample) + 1)
            parts.append(entry)
            position += len(entry)
        self.buffer = np.frombuffer(b"".join(parts), np.uint8).copy()
        self.values = np.array(value_at)[:, None] + np.arange(8)
        self.times = np.array(value_at)[:, None] + 9 + np.arange(self.time_bytes)

    def at(self, time_ms: int, values: np.ndarray) -> bytes:
        """The compressed body with these values (float64, one per series), all at one time."""
        stamp = varint(time_ms)
        if len(stamp) != self.time_bytes:
            raise ValueError("the time needs another number of bytes")
        self.buffer[self.values] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
        self.buffer[self.times] = np.frombuffer(stamp, np.uint8)
        return pa.compress(self.buffer.tobytes(), codec="snappy", asbytes=True)


@dataclass
class Client:
    """One writer: sends a body every `period_seconds`, each until it is acknowledged; keeps count of what was."""

    address: tuple[str, int]
    token: str
    number: int
    series: int
    period_seconds: float
    name: str = "load_samples"
    path: str = "/api/v1/write"
    acknowledged: int = 0
    retries: int = 0
    latencies_seconds: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Write until `stop`; what is under way then is still brought to its acknowledgement."""
        time_ms = time.time_ns() // 1_000_000
        body = Body(self.name, self.series, {"client": str(self.number)}, time_ms)
        connection: http.client.HTTPConnection | None = None
        turn = time.monotonic()
        while not stop.is_set():
            time_ms = max(time_ms + 1, time.time_ns() // 1_000_000)
            payload = body.at(time_ms, np.full(self.series, float(self.acknowledged)))
            begun = time.monotonic()
            while True:
                try:
                    connection = connection or http.client.HTTPConnection(*self.address, timeout=30)
                    connection.request(
                        "POST", self.path, payload, {**MEDIA_TYPE, "Authorization": f"Bearer {self.token}"}
                    )
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status < 300:
                        break
                    self._note(str(answer.status))
                except OSError as error:
                    connection = None
                    self._note(type(error).__name__)
                except http.client.HTTPException as error:
                    connection = None
                    self._note(type(error).__name__)
                self.retries += 1
                time.sleep(0.05)
            self.acknowledged += 1
            self.latencies_seconds.append(time.monotonic() - begun)
            turn += self.period_seconds
            stop.wait(max(0.0, turn - time.monotonic()))

    def _note(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


def run_clients(clients: list[Client], stop: threading.Event) -> list[threading.Thread]:
    """Start every client in a thread of its own."""
    threads = [threading.Thread(target=client.run, args=(stop,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    return threads
