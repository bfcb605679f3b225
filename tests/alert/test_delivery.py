"""From a change to its receiver: real webhooks, a real mail server, receivers that are down, hang or come back."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from conftest import ROOT

from workbench.alert import Alert, AlertManager, Change, NotificationChannels, channel_id, commit_changes, load_alerts
from workbench.config import Settings
from workbench.errors import QueryError, StoreError
from workbench.store import open_view, open_writer, state

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


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


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


def test_the_webhook_gets_alertmanagers_document(settings, hook):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    queue(settings, engine, change("Hot", host="a"), change("Hot", host="b"))
    assert NotificationChannels(settings, engine).run_once(NOW_US) == 2
    (body,) = hook.bodies
    # The fields of webhook_config's document, as Alertmanager's documentation lists them.
    assert set(body) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    assert (body["version"], body["status"], body["truncatedAlerts"]) == ("4", "firing", 0)
    assert body["commonLabels"] == {"alertname": "Hot", "severity": "critical"}
    for alert in body["alerts"]:
        assert set(alert) == {
            "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint",
        }  # fmt: skip
        assert alert["startsAt"].endswith("Z")
        assert alert["endsAt"] == "0001-01-01T00:00:00Z"


def test_mail_carries_what_one_must_know(settings):
    mails: list = []

    class Mailbox:
        async def handle_DATA(self, _server, _session, envelope) -> str:
            mails.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 kept"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    smtp = Controller(Mailbox(), hostname="127.0.0.1", port=port)
    smtp.start()
    try:
        settings = told_to(settings, f"mailto://127.0.0.1:{port}/?from=workbench@example.org&to=ops@example.org")
        engine = state.engine(settings)
        queue(
            settings, engine, change("Hot", host="evil\r\nBcc: everybody@example.org", note="<script>alert(1)</script>")
        )
        assert NotificationChannels(settings, engine).run_once(NOW_US) == 1
    finally:
        smtp.stop()
    (mail,) = mails
    assert mail["subject"] == "[CRITICAL] Hot"
    assert mail["to"] == "ops@example.org"
    assert mail["bcc"] is None
    text = mail.get_body(("plain",)) or mail.get_body(("html",))
    assert "95.5" in text.get_content()
    assert "Hot is hot" in text.get_content()
    html = mail.get_body(("html",))
    assert html is None or "<script>" not in html.get_content()


def test_a_receiver_that_is_down_gets_it_once_when_it_is_back_begin_before_end(settings, hook):
    port, url = hook.server_port, hook.url
    hook.close()
    settings = told_to(settings, url)
    engine = state.engine(settings)
    channels = NotificationChannels(settings, engine)
    queue(settings, engine, change("Hot"))
    assert channels.run_once(NOW_US) == 0
    queue(settings, engine, change("Hot", "resolved"))
    assert channels.run_once(NOW_US + SECOND // 2) == 0
    back = Hook(port)
    try:
        assert channels.run_once(NOW_US + SECOND // 2) == 0, "it is not yet time"
        assert channels.run_once(NOW_US + 60 * SECOND) == 2
        assert back.told() == [("Hot", "firing"), ("Hot", "resolved")]
        assert channels.run_once(NOW_US + 120 * SECOND) == 0
    finally:
        back.close()


def test_errors_of_the_receiver_are_tried_again(settings):
    flaky = Hook(answers=[500, 404, 429])
    try:
        settings = told_to(settings, flaky.url)
        engine = state.engine(settings)
        channels = NotificationChannels(settings, engine)
        queue(settings, engine, change("Hot"))
        taken = [channels.run_once(NOW_US + round_ * 10 * SECOND) for round_ in range(5)]
        assert taken == [0, 0, 0, 1, 0]
        assert flaky.told() == [("Hot", "firing")]
    finally:
        flaky.close()


def test_a_hanging_receiver_does_not_hold_up_another(settings, hook):
    release = threading.Event()
    hanging = Hook(hang=release)
    settings = told_to(settings, hanging.url, hook.url)
    engine = state.engine(settings)
    channels = NotificationChannels(settings, engine)
    channels.start()
    try:
        queue(settings, engine, change("Hot"))
        channels.wake()
        wait_for(hook.told)
        assert hanging.told() == []
    finally:
        release.set()
        wait_for(hanging.told)
        channels.stop()
        hanging.close()


def test_two_processes_on_one_outbox_tell_each_thing_once(settings, hook):
    settings = told_to(settings, hook.url)
    workers = [NotificationChannels(settings, state.engine(settings)) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        engine = state.engine(settings)
        for number in range(40):
            queue(settings, engine, change(f"Hot{number}"))
            workers[number % 2].wake()
        wait_for(lambda: len(hook.told()) >= 40)
    finally:
        for worker in workers:
            worker.stop()
    assert sorted(hook.told()) == sorted((f"Hot{number}", "firing") for number in range(40))


KILLED = """
import os, signal, sys
from pathlib import Path
from workbench import config
from workbench.alert import channels
from tests.alert.test_delivery import change, queue, told_to
from workbench.store import state

settings = told_to(config.load(Path(sys.argv[1]), environ={}), sys.argv[2])
queue(settings, state.engine(settings), change("Hot"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_down_before_a_kill_is_told_after_it(settings, hook):
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(settings.home), hook.url],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == -signal.SIGKILL, run.stderr
    settings = told_to(settings, hook.url)
    assert NotificationChannels(settings, state.engine(settings)).run_once(NOW_US) == 1
    assert hook.told() == [("Hot", "firing")]


def test_a_claim_of_a_process_that_died_ends(settings, hook):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    queue(settings, engine, change("Hot"))
    with engine.begin() as connection:
        connection.execute(sa.update(state.outbox).values(claimed_until_us=NOW_US + 60 * SECOND))
    channels = NotificationChannels(settings, engine)
    assert channels.run_once(NOW_US) == 0
    assert channels.run_once(NOW_US + 61 * SECOND) == 1


def test_a_storm_is_few_messages(settings, hook):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    queue(settings, engine, *(change("Hot", host=str(number)) for number in range(500)))
    channels = NotificationChannels(settings, engine)
    while channels.run_once(NOW_US):
        pass
    assert len(hook.told()) == 500
    assert len(hook.bodies) <= 10


RULES = """
groups:
  - name: prompt
    interval: 1s
    rules: [{alert: Hot, expr: heat > 90}, {alert: Broken, expr: broken}]
  - name: slow
    interval: 15s
    rules: [{alert: Slow, expr: slow}]
"""


def test_the_manager_obeys_intervals_survives_bad_rules_and_keeps_history(settings, hook):
    settings = told_to(settings, hook.url)
    (settings.home / "rules").mkdir(parents=True)
    for name in ("host.yaml", "platform.yaml"):
        (settings.home / "rules" / name).write_text("groups: []")
    (settings.home / "rules" / "own.yaml").write_text(RULES)
    asked: list[str] = []
    hot = [({"host": "a"}, 95.0)]
    lake_is_full = [True]

    def evaluate(query: object, _time_us: int):
        asked.append(str(query))
        if str(query) == "broken":
            raise QueryError("no such thing")
        return hot if str(query) == "heat > 90" else []

    with open_writer(settings) as writer:

        def record(batch) -> None:
            if lake_is_full[0]:
                raise StoreError("full")
            writer.append({"alerts": batch}).result()

        engine = state.engine(settings)
        manager = AlertManager(evaluate, engine, settings, record)
        for second in range(31):
            manager.tick(NOW_US // SECOND * SECOND + second * SECOND)
        assert asked.count("heat > 90") == 31
        assert asked.count("slow") in (2, 3)
        assert any("Broken" in trouble.where for trouble in manager.health())
        with engine.connect() as connection:
            writes = connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar()
        assert writes == 2, "one for the channel, one for the lake, and nothing while nothing changes"
        # A set-back clock must not silence the slow group.
        before = asked.count("slow")
        manager.tick(NOW_US - 3600 * SECOND)
        assert asked.count("slow") == before + 1
        lake_is_full[0] = False
        hot.clear()
        for second in range(31, 60):
            manager.tick(NOW_US // SECOND * SECOND + second * SECOND)
        rows = writer.view.table("alerts").to_pylist()
        assert [(row["alertname"], row["state"]) for row in rows] == [("Hot", "firing"), ("Hot", "resolved")]
        assert load_alerts(engine, owner="") == []
        NotificationChannels(settings, engine).run_once(NOW_US + 100 * SECOND)
        assert hook.told() == [("Hot", "firing"), ("Hot", "resolved")]
    view = open_view(settings)
    assert view.table("alerts").num_rows == 2
    view.close()


def test_a_file_with_faults_keeps_its_old_rules(settings):
    (settings.home / "rules").mkdir(parents=True)
    file = settings.home / "rules" / "own.yaml"
    file.write_text("groups: [{name: a, interval: 1s, rules: [{alert: Hot, expr: heat}]}]")
    asked: list[str] = []

    def evaluate(query: object, _time_us: int) -> list:
        asked.append(str(query))
        return []

    manager = AlertManager(evaluate, state.engine(settings), settings, lambda _: None)
    manager.tick(NOW_US)
    file.write_text("groups: [{name: a, rules: [{alert: Hot, expr: 'heat >'}]}]")
    asked.clear()
    manager.tick(NOW_US + 6 * SECOND)
    assert "heat" in asked
    assert any("own.yaml" in trouble.where and "expr" in trouble.message for trouble in manager.health())
    file.write_text("groups: [{name: a, interval: 1s, rules: [{alert: Hot, expr: heat * 2}]}]")
    manager.tick(NOW_US + 12 * SECOND)
    assert "heat * 2" in asked
    assert manager.health() == []
