"""The peers: Prometheus and VictoriaMetrics, each started for the run and fed by remote write."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.load import MEDIA_TYPE, field_bytes
from benchmarks.machine import free_port, get, until
from benchmarks.tsbs.data import Load, labels, slices

_SAMPLE = np.frombuffer(b"\x12\x10\x09" + bytes(8) + b"\x10" + bytes(6), np.uint8)
_SERIES_A_BODY = 2000


@dataclass
class Peer:
    """A server that answers PromQL, and where it keeps its data."""

    name: str
    version: str
    port: int
    folder: Path
    pid: int
    token: str = ""

    def cpu_seconds(self) -> float:
        """Seconds that all its threads have computed; finer than the system's ticks, and the same on a busy machine."""
        spent_ns = 0
        for path in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # a thread that ended
                spent_ns += int(path.read_text().split()[0])
        return spent_ns / 1e9


def binaries() -> dict[str, str]:
    """Name -> program of the peers that are there: PROMETHEUS and VICTORIAMETRICS name other ones."""
    wanted = {"Prometheus": ("PROMETHEUS", "prometheus"), "VictoriaMetrics": ("VICTORIAMETRICS", "victoria-metrics")}
    found = {name: shutil.which(os.environ.get(variable, usual)) for name, (variable, usual) in wanted.items()}
    return {name: path for name, path in found.items() if path}


@contextlib.contextmanager
def started(name: str, binary: str) -> Iterator[Peer]:
    """A peer on a new folder, ready."""
    folder, port = Path(tempfile.mkdtemp(prefix="tsbs-peer-")), free_port()
    if name == "Prometheus":
        (folder / "prometheus.yml").write_text("global: {}\n")
        command = [
            binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
            "--storage.tsdb.retention.time=90d", "--query.max-samples=500000000",
        ]  # fmt: skip
        ready = f"http://127.0.0.1:{port}/-/ready"
    else:
        # Without its cache of results: every round would otherwise be answered from the first.
        command = [
            binary, f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=90d",
            "-search.disableCache", "-search.latencyOffset=0s", "-search.maxUniqueTimeseries=1000000",
        ]  # fmt: skip
        ready = f"http://127.0.0.1:{port}/health"
    flag = "--version" if name == "Prometheus" else "-version"
    told = subprocess.run([binary, flag], capture_output=True, text=True, check=False)
    words = (told.stdout + told.stderr).replace("-", " ").split()
    version = next((word for word in words if word.lstrip("v")[:1].isdigit()), "")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: get(ready)[0] == 200, 60)
        yield Peer(name, version, port, folder / "data", process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def feed(peers: list[Peer], load: Load) -> None:
    """Write the data set to every peer, in the order of time, as their doors want it."""
    heads = [[_labels(name, host) for host in range(load.hosts)] for name in load.names]
    connections = [http.client.HTTPConnection("127.0.0.1", peer.port, timeout=300) for peer in peers]
    for part in slices(load, minutes=20):
        entries: list[bytes] = []
        for metric, hosts in enumerate(heads):
            for host, head in enumerate(hosts):
                there = part.present[host]
                if there.any():
                    samples = _samples(part.times_us[host, there] // 1000, part.values[metric, host, there])
                    entries.append(field_bytes(1, head + samples))
        for at in range(0, len(entries), _SERIES_A_BODY):
            body = pa.compress(b"".join(entries[at : at + _SERIES_A_BODY]), codec="snappy", asbytes=True)
            for connection in connections:
                _post(connection, body)


def _post(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/api/v1/write", body, MEDIA_TYPE)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"answered {answer.status}: {text[:200]!r}")


def _labels(name: str, host: int) -> bytes:
    pairs = sorted({"__name__": name, **labels(host)}.items())
    return b"".join(field_bytes(1, field_bytes(1, k.encode()) + field_bytes(2, v.encode())) for k, v in pairs)


def _samples(times_ms: np.ndarray, values: np.ndarray) -> bytes:
    """The samples of one series as protobuf: 18 bytes each, since the times of our days take six."""
    out = np.tile(_SAMPLE, (len(values), 1))
    out[:, 3:11] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
    for byte in range(6):
        out[:, 12 + byte] = (times_ms >> 7 * byte) & 0x7F | (0x80 if byte < 5 else 0)
    return out.tobytes()


def bytes_a_sample(peer: Peer) -> float | None:
    """Bytes on disk for each sample: of Prometheus' finished blocks, of all of VictoriaMetrics once merged."""
    if peer.name == "Prometheus":
        found = [json.loads(path.read_text()) | {"path": path.parent} for path in peer.folder.glob("*/meta.json")]
        samples = sum(meta["stats"]["numSamples"] for meta in found)
        return sum(_size(meta["path"]) for meta in found) / samples if samples else None
    get(f"http://127.0.0.1:{peer.port}/internal/force_flush")
    get(f"http://127.0.0.1:{peer.port}/internal/force_merge")
    time.sleep(5)
    until(lambda: b'vm_active_merges{type="storage/small"} 0' in _metrics(peer), 120)
    rows = sum(float(line.rpartition(b" ")[2]) for line in _metrics(peer).splitlines() if line.startswith(b"vm_rows{"))
    return _size(peer.folder) / rows if rows else None


def _metrics(peer: Peer) -> bytes:
    return get(f"http://127.0.0.1:{peer.port}/metrics")[1]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
