"""The front's pages and API behind its gate, on a port of its own, over a home that the test writes."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from workbench import config
from workbench.schema import KINDS, STALE_NAN_BITS
from workbench.serve.access import policy
from workbench.serve.access.gate import Address, Gate
from workbench.serve.access.origins import local_origins
from workbench.serve.front import Front
from workbench.serve.identity import people
from workbench.serve.identity.signin import SignIn
from workbench.serve.running.listen import Listener, listen
from workbench.store import Identity, open_view, open_writer, state

PROMETHEUS = next((found for name in ("prometheus3", "prometheus") if (found := shutil.which(name))), None)
PROMTOOL = next((found for name in ("promtool3", "promtool") if (found := shutil.which(name))), None)
STALE = struct.unpack("<d", struct.pack("<Q", STALE_NAN_BITS))[0]


class Served:
    """A running front. `put` writes samples as remote write would; close it in the end."""

    def __init__(self, home: Path, **flags: Any) -> None:
        self.settings = config.load(home, environ={}, flags=flags)
        self.writer = open_writer(self.settings)
        self.engine = state.engine(self.settings)
        self.view = open_view(self.settings)
        self.front = Front(self.settings, self.view, self.engine)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.tokens = {role: people.create_token(self.engine, role) for role in ("viewer", "operator", "admin")}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self._thread.start()

    def _run(self, listening: socket.socket) -> None:
        origins = local_origins(self.port, self.port + 1)
        resolver = people.Resolver(self.engine)
        address = Address(hosts=origins.main_hosts, rules=policy.MAIN, session=resolver.session)
        gate = Gate(self.front.app(origins), resolver, address, SignIn(self.engine, resolver, origins))
        self._loop.run_until_complete(listen([Listener(gate, [listening])], self._stop))

    def put(
        self, name: str, labels: Mapping[str, str], times_s: Sequence[float], values: Sequence[float], type_: str = ""
    ) -> None:
        """Samples of one series; after it returns, every question sees them."""
        identity = Identity("prometheus", name, type_ or "unknown", "", "", (), tuple(sorted(labels.items())))
        (number,) = self.writer.register([(identity, "", "")], "token:1")
        times = (np.asarray(times_s, float) * 1e6).round().astype(np.int64)
        rows = {
            "series": pa.array(np.full(len(times), number)),
            "time": pa.array(times, pa.timestamp("us", tz="UTC")),
            "type": pa.array(np.zeros(len(times), np.int8)),
            "value": pa.array(np.asarray(values, float)),
        }
        schema = KINDS["samples"].schema
        columns = [rows.get(field.name, pa.nulls(len(times), field.type)) for field in schema]
        self.writer.append({"samples": pa.RecordBatch.from_arrays(columns, schema=schema)}).result(30)
        self.view.refresh()

    def headers(self, role: str = "viewer") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    def client(self, role: str = "viewer") -> httpx.Client:
        """An HTTP client with a token of that role."""
        return httpx.Client(base_url=self.url, headers=self.headers(role), trust_env=False, timeout=30)

    def get(self, path: str, role: str = "viewer", **parameters: Any) -> httpx.Response:
        with self.client(role) as client:
            return client.get(path, params=parameters)

    def data(self, path: str, role: str = "viewer", **parameters: Any) -> Any:
        """`data` of an answer that succeeded."""
        answer = self.get(path, role, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self.view.close()
        self.writer.close()
        self.engine.dispose()


def until(condition: Any, what: str, seconds: float = 30) -> Any:
    """What a condition gives once it holds: for servers of other make, which have no event to await."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")
