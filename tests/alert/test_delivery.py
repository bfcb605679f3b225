"""From a change to its receiver: real webhooks, a real mail server, receivers that are down, hang or come back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from conftest import ROOT

from alert.receivers import NOW_US, SECOND, Hook, change, queue, told_to, wait_for
from workbench.alert import NotificationChannels
from workbench.alert import channels as channels_module
from workbench.alert.channels import channel_name, subject, text_body
from workbench.errors import DeliveryError
from workbench.store import state


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
from tests.alert.receivers import change, queue, told_to
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


def test_a_storm_is_few_messages(settings, hook):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    queue(settings, engine, *(change("Hot", host=str(number)) for number in range(500)))
    channels = NotificationChannels(settings, engine)
    while channels.run_once(NOW_US):
        pass
    assert len(hook.told()) == 500
    assert len(hook.bodies) <= 10


def test_a_fault_in_a_channels_code_is_a_failed_attempt_and_no_end(settings, monkeypatch):
    settings = told_to(settings, "json://example.invalid")
    engine = state.engine(settings)
    queue(settings, engine, change("Hot"))
    faults = [KeyError("x")]
    told: list = []

    def deliver(_url: str, payloads, *, external_url: str) -> None:
        if faults:
            raise faults.pop()
        told.extend(payloads)

    monkeypatch.setattr("workbench.alert.notification.deliver", deliver)
    channels = NotificationChannels(settings, engine)
    channels.start()
    try:
        wait_for(lambda: told)
    finally:
        channels.stop()


def test_what_is_too_large_for_a_receiver_gets_through_in_parts(settings, monkeypatch):
    settings = told_to(settings, "json://example.invalid")
    engine = state.engine(settings)
    queue(settings, engine, *(change(f"Hot{number}") for number in range(100)))
    taken: list[str] = []

    def deliver(_url: str, payloads, *, external_url: str) -> None:
        if len(payloads) > 10:
            raise DeliveryError("too large", retry=True)
        taken.extend(payload["labels"]["alertname"] for payload in payloads)

    monkeypatch.setattr("workbench.alert.notification.deliver", deliver)
    channels = NotificationChannels(settings, engine)
    for attempt in range(200):
        channels.run_once(NOW_US + attempt * 2 * SECOND)
    assert taken == [f"Hot{number}" for number in range(100)], "all, once, in their order"


@pytest.mark.parametrize(
    "url",
    [
        "slack://SECRET/b/c",
        "pagerduty://a@SECRET",
        "tgram://SECRET:abc/5",
        "https://u:SECRET@h/SECRET",
        "mailto://[SECRET",
    ],
)
def test_the_name_of_a_channel_holds_no_secret(url: str):
    assert "secret" not in channel_name(url).lower()
    assert channel_name(url).startswith(url.partition(":")[0])


def test_no_label_breaks_out_of_its_line():
    evil = "x\r\nBcc: everybody@example.org\u2028\x00" + "y" * 1_000_000
    payload = {
        "state": "firing",
        "labels": {"alertname": evil, "severity": evil, "host": evil},
        "annotations": {"a": evil},
        "value": 1.0,
        "fired_us": NOW_US,
        "time_us": NOW_US,
    }
    assert len(subject([payload]).splitlines()) == 1
    assert len(subject([payload])) <= channels_module.SUBJECT_CHARACTERS
    text = text_body([payload], "")
    (host,) = [line for line in text.splitlines() if line.startswith("- host: ")]
    assert len(host) < 600
    assert len(text_body([payload] * 5000, "")) < 200_000
