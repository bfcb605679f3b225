"""A real Prometheus server, fed with the same samples by remote write, to compare with."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.promqltest.histogram import HINTS, Histogram

Sample = tuple[int, float | Histogram]
"""Time in milliseconds, value."""

FEATURES = "exemplar-storage,promql-experimental-functions,promql-binop-fill-modifiers,promql-delayed-name-removal"


def installed() -> str | None:
    """The server to compare with: the one that WORKBENCH_PROMETHEUS names, else the system's."""
    return os.environ.get("WORKBENCH_PROMETHEUS") or shutil.which("prometheus")


class Prometheus:
    """Runs `prometheus` on a free port with an empty folder."""

    def __init__(self, folder: Path, config: str = "global: {scrape_interval: 1h}", binary: str = "") -> None:
        file = folder / "prometheus.yml"
        file.write_text(config)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                binary or installed() or "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
                "--log.level=error",
                f"--enable-feature={FEATURES}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "prometheus.log").open("w"),
        )
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        ready_by = time.monotonic() + 60
        while time.monotonic() < ready_by:
            try:
                self._opener.open(f"{self.url}/-/ready", timeout=1).read()
                return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)  # a server of another make: there is no event to await
        raise RuntimeError((folder / "prometheus.log").read_text())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def write(self, series: Iterable[tuple[Mapping[str, str], Sequence[Sample]]]) -> None:
        """Remote write 1.0, in the order of time."""
        found = [(time, labels, value) for labels, samples in series for time, value in samples]
        ordered = sorted(found, key=lambda one: one[0])
        for start in range(0, len(ordered), 2000):
            self.send(_snappy(b"".join(_series(*one) for one in ordered[start : start + 2000])))

    def send(self, body: bytes) -> None:
        """A remote-write request, compressed already."""
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        self._opener.open(urllib.request.Request(f"{self.url}/api/v1/write", body, headers), timeout=30).read()

    def ask(self, path: str, **parameters: object) -> dict:
        """The JSON that `/api/v1/<path>` answers, errors included."""
        body = urllib.parse.urlencode(parameters).encode()
        try:
            with self._opener.open(f"{self.url}/api/v1/{path}", body, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)


def _varint(number: int) -> bytes:
    number &= 2**64 - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _zigzag(number: int) -> int:
    return number << 1 ^ number >> 63


def _series(time_ms: int, labels: Mapping[str, str], value: float | Histogram) -> bytes:
    pairs = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(labels.items())
    )
    if isinstance(value, Histogram):
        return _field(1, pairs + _field(4, _histogram(value, time_ms)))
    return _field(1, pairs + _field(2, _double(1, value) + b"\x10" + _varint(time_ms)))


def _histogram(value: Histogram, time_ms: int) -> bytes:
    """`prometheus.Histogram` of remote write, with float counts."""
    body = _double(2, value.count) + _double(3, value.sum) + b"\x20" + _varint(_zigzag(value.schema))
    body += _double(5, value.zero_threshold) + _double(7, value.zero_count)
    for spans, counts, buckets in ((8, 10, value.negative), (11, 13, value.positive)):
        after = 0
        for index in sorted(buckets):
            body += _field(spans, b"\x08" + _varint(_zigzag(index - after)) + b"\x10\x01")
            after = index + 1
        body += _field(counts, b"".join(struct.pack("<d", count) for _, count in sorted(buckets.items())))
    body += b"\x70" + _varint(HINTS.index(value.hint or "unknown")) + b"\x78" + _varint(time_ms)
    return body + _field(16, b"".join(struct.pack("<d", bound) for bound in value.custom_values))


def _snappy(body: bytes) -> bytes:
    """Snappy's block format with literals only."""
    pieces = [_varint(len(body))]
    for start in range(0, len(body), 60):
        piece = body[start : start + 60]
        pieces += [bytes([(len(piece) - 1) << 2]), piece]
    return b"".join(pieces)
