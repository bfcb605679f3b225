"""What tests of alerts share: a webhook that keeps what it gets, and changes that ask to be told."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import sqlalchemy as sa

from workbench.alert import Alert, Change, channel_id, commit_changes
from workbench.config import Settings

NOW_US = time.time_ns() // 1000
SECOND = 1_000_000


class Hook(ThreadingHTTPServer):
    """A webhook that keeps what it gets and answers with the next of `answers`, 200 in the end."""

    daemon_threads = True

    def __init__(self, port: int = 0, answers: list[int] | None = None, hang: threading.Event | None = None) -> None:
        self.bodies: list[dict] = []
        hook, left = self, list(answers or [])

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hang is not None:
                    hang.wait(20)
                status = left.pop(0) if left else 200
                if status == 200:
                    hook.bodies.append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def told(self) -> list[tuple[str, str]]:
        return [(alert["labels"]["alertname"], alert["status"]) for body in self.bodies for alert in body["alerts"]]

    def close(self) -> None:
        self.shutdown()
        self.server_close()


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def told_to(settings: Settings, *urls: str, retry_max_seconds: int = 1) -> Settings:
    alert = dataclasses.replace(settings.alert, notify=urls, retry_max_seconds=retry_max_seconds)
    return dataclasses.replace(settings, alert=alert)


def change(name: str, status: str = "firing", *, at_us: int = NOW_US, **labels: str) -> Change:
    pairs = tuple(sorted({"alertname": name, "severity": "critical", **labels}.items()))
    summary = (("summary", f"{name} is hot"),)
    alert = Alert(f"{name}{labels}", "test/a/b/0", pairs, summary, 95.5, "firing", at_us, at_us, at_us)
    return Change(alert, status, at_us, "condition_began")


def queue(settings: Settings, engine: sa.Engine, *changes: Change) -> None:
    commit_changes(engine, changes, [channel_id(url) for url in settings.alert.notify])
