"""A real Prometheus server, fed with the same samples by remote write, to compare with."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

Sample = tuple[Mapping[str, str], int, float]
"""Labels, time in milliseconds, value."""


class Prometheus:
    """Runs `prometheus` on a free port with an empty folder."""

    def __init__(self, folder: Path, config: str = "global: {scrape_interval: 1h}") -> None:
        file = folder / "prometheus.yml"
        file.write_text(config)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                shutil.which("prometheus") or "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
                "--log.level=error",
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

    def write(self, samples: Iterable[Sample]) -> None:
        """Remote write 1.0, in the order of time."""
        ordered = sorted(samples, key=lambda sample: sample[1])
        for start in range(0, len(ordered), 2000):
            body = _snappy(b"".join(_series(*sample) for sample in ordered[start : start + 2000]))
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


def _series(labels: Mapping[str, str], time_ms: int, value: float) -> bytes:
    pairs = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(labels.items())
    )
    sample = b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(time_ms)
    return _field(1, pairs + _field(2, sample))


def _snappy(body: bytes) -> bytes:
    """Snappy's block format with literals only."""
    pieces = [_varint(len(body))]
    for start in range(0, len(body), 60):
        piece = body[start : start + 60]
        pieces += [bytes([(len(piece) - 1) << 2]), piece]
    return b"".join(pieces)
