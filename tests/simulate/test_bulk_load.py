"""The demo process and a hub's socket: all of the history arrives, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from tests.simulate.moments import CELL_US, platform
from workbench import config, store
from workbench.simulate.identity import registration
from workbench.simulate.plan import Plan

DAYS = "3"


class HubSocket:
    """What of a hub a bulk load needs: its socket in front of a writer. `loads` are the numbers that were asked for."""

    def __init__(self, writer: store.Writer, path: Path) -> None:
        self.loads: list[int] = []
        self.changed = threading.Condition()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, content = store.answer(writer, self.path, self.rfile.read(int(self.headers["Content-Length"])))
                with hub.changed:
                    if "number=" in self.path:
                        hub.loads.append(int(self.path.rpartition("=")[2]))
                    hub.changed.notify_all()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except BrokenPipeError:
                    self.close_connection = True  # who asked is dead; that is what this is about

            def address_string(self) -> str:
                return "socket"

            def log_message(self, *_: object) -> None:
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self._server = Server(str(path), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def home(settings: config.Settings) -> Iterator[tuple[store.Writer, HubSocket, dict[str, str]]]:
    config.ensure_private_dir(settings.runtime_dir)
    with store.open_writer(settings) as writer:
        hub = HubSocket(writer, settings.hub_socket)
        environment = {
            **os.environ,
            "WORKBENCH_HOME": str(settings.home),
            "WORKBENCH_DEMO_HISTORY_DAYS": DAYS,
            "WORKBENCH_DEMO_DETAIL_DAYS": "0",
            "PYTHONPATH": str(ROOT),
        }
        yield writer, hub, environment
        hub.close()


def start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "workbench.simulate"], env=environment, stderr=subprocess.DEVNULL)


def test_killed_twice_it_is_all_there_once(settings: config.Settings, home: Any):
    writer, hub, environment = home
    for at_least in (1, 3):
        demo = start(environment)
        with hub.changed:
            assert hub.changed.wait_for(lambda at_least=at_least: len(hub.loads) >= at_least, 180)
        demo.send_signal(signal.SIGKILL)
        demo.wait()
    demo = start(environment)
    (document,) = json.loads((settings.state_dir / "demo.json").read_text())["plans"]
    plan = Plan(**document)
    pieces = len(plan.pieces())
    try:
        with hub.changed:
            assert hub.changed.wait_for(lambda: max(hub.loads) == pieces, 180)
    finally:
        demo.terminate()
        assert demo.wait(30) == 0
    assert hub.loads == sorted(hub.loads), "never back to an earlier piece"
    assert set(hub.loads) == set(range(1, pieces + 1))
    ids = np.array(writer.register([registration(series) for series in platform().series], "load:test"))
    times_us = np.arange(plan.start_us, plan.end_us + 1, CELL_US)
    found = writer.view.samples(np.sort(ids), plan.start_us, plan.end_us)
    np.testing.assert_array_equal(found.times_us.reshape(len(ids), -1), np.tile(times_us, (len(ids), 1)))
    np.testing.assert_array_equal(found.values.reshape(len(ids), -1), platform().values(times_us)[np.argsort(ids)])
