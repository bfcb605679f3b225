"""Payloads reach the door: at once, after it was away, and not more than fit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.collect.receiver import OtlpReceiver, partial_success, points
from workbench.collect import Answer, Delivery, HttpDoor, Instrument, Observation, delivery, encode

GAUGE = Instrument("test.number", "1", "gauge", "")


def payload(number: int) -> tuple[bytes, int]:
    return encode([Observation((("service.name", "test"),), 0, number, [(GAUGE, (), number)])])


def numbers(receiver: OtlpReceiver) -> list[float]:
    return [value for *_, value, _ in points(receiver.requests)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(delivery, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(delivery, "LAST_RETRY_SECONDS", 0.05)


class ScriptedDoor:
    """Answers as told, keeps what it was given; an answer may be a function that is called while the post waits."""

    def __init__(self, *answers: Answer | Callable[[], Answer]) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.changed = threading.Condition()

    def post(self, body: bytes) -> Answer:
        with self.changed:
            self.bodies.append(body)
            self.changed.notify_all()
            answer = self.answers.pop(0) if self.answers else Answer(200)
        return answer() if callable(answer) else answer

    def wait(self, condition: Callable[[], Any]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 20), self.bodies


def settled(found: Delivery, expected: dict[str, int]) -> None:
    """Wait until that became of the points that were put."""
    ready = threading.Event()
    for _ in range(400):
        if found.finished() == expected:
            return
        ready.wait(0.05)
    assert found.finished() == expected


def test_payloads_arrive_in_order_on_one_connection_with_the_token(receiver):
    one = Delivery(HttpDoor(lambda: (receiver.url, "secret")))
    for number in range(1, 6):
        one.put(*payload(number))
        receiver.wait(lambda number=number: numbers(receiver)[-1:] == [number])
    settled(one, {"": 5})
    assert one.idle
    one.close()
    assert numbers(receiver) == [1, 2, 3, 4, 5]
    assert receiver.connections == 1
    for headers in receiver.headers:
        assert headers["path"] == "/v1/metrics"
        assert headers["authorization"] == "Bearer secret"
        assert headers["content-type"] == "application/x-protobuf"
        assert "origin" not in headers


def test_what_was_measured_while_the_hub_was_away_arrives_when_it_is_back(receiver):
    one = Delivery(HttpDoor(lambda: (receiver.url, "")))
    one.put(*payload(1))
    receiver.wait(lambda: len(receiver.requests) == 1)
    receiver.close()
    for number in range(2, 50):
        one.put(*payload(number))
    assert not one.idle
    back = OtlpReceiver(receiver.port)
    try:
        back.wait(lambda: len(numbers(back)) == 48)
        settled(one, {"": 49})
        assert numbers(back) == list(range(2, 50))
        assert len(back.requests) < 10, "a backlog is joined"
        assert "authorization" not in back.headers[-1]
    finally:
        one.close()
        back.close()


def test_an_address_and_a_token_that_changed_are_read_again(receiver):
    receiver.answers = [(401, {}, b"")]
    tokens = iter(["old", "new"])
    one = Delivery(HttpDoor(lambda: (receiver.url, next(tokens))))
    one.put(*payload(1))
    receiver.wait(lambda: len(receiver.requests) == 1)
    one.close()
    assert [headers["authorization"] for headers in receiver.headers] == ["Bearer old", "Bearer new"]


def test_it_waits_for_an_address(receiver):
    known = threading.Event()
    asked = threading.Event()

    def address() -> tuple[str, str] | None:
        asked.set()
        return (receiver.url, "") if known.is_set() else None

    one = Delivery(HttpDoor(address))
    one.put(*payload(1))
    assert asked.wait(20)
    assert not receiver.requests
    known.set()
    receiver.wait(lambda: len(receiver.requests) == 1)
    one.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:notaport", "http://127.0.0.1:1", "nonsense", "http://[::1"])
def test_an_address_that_leads_nowhere_is_no_answer(url):
    assert HttpDoor(lambda: (url, "tökén ✓")).post(b"").status == 0


def test_points_that_the_door_rejects_are_counted(receiver):
    receiver.answers = [(200, {}, partial_success(1, "too old"))]
    one = Delivery(HttpDoor(lambda: (receiver.url, "")))
    one.put(*encode([Observation((), 0, 0, [(GAUGE, (), 1), (GAUGE, (("a", "b"),), 2)])]))
    settled(one, {"": 1, "rejected": 1})
    one.close()


def test_a_body_of_nonsense_in_the_answer_is_an_answer(receiver):
    receiver.answers = [(200, {}, b"\xff\xff\xff")]
    one = Delivery(HttpDoor(lambda: (receiver.url, "")))
    one.put(*payload(1))
    settled(one, {"": 1})
    one.close()


def test_one_that_is_refused_takes_no_other_with_it():
    bad = payload(2)[0]
    hold = threading.Event()

    def busy() -> Answer:
        hold.wait(20)
        return Answer(503)

    class Picky(ScriptedDoor):
        def post(self, body: bytes) -> Answer:
            return super().post(body) if self.answers or bad not in body else Answer(400)

    door = Picky(busy)
    one = Delivery(door)
    one.put(*payload(1))
    door.wait(lambda: door.bodies)
    for number in (2, 3, 4):
        one.put(*payload(number))
    hold.set()
    settled(one, {"": 3, "http_400": 1})
    one.close()
    assert b"".join(door.bodies[1:]) == b"".join(payload(n)[0] for n in (1, 3, 4))


@pytest.mark.parametrize("status", [0, 401, 403, 408, 429, 500, 502, 503, 504])
def test_what_can_help_is_tried_again(status):
    door = ScriptedDoor(Answer(status), Answer(status, retry_after_seconds=0.01))
    one = Delivery(door)
    one.put(*payload(1))
    settled(one, {"": 1})
    one.close()
    assert door.bodies == [payload(1)[0]] * 3


def test_past_the_bound_the_oldest_are_dropped_and_counted():
    gone = threading.Event()

    def away() -> Answer:
        gone.wait(20)
        return Answer(0)

    door = ScriptedDoor(away)
    size = len(payload(1)[0])
    one = Delivery(door, max_waiting_bytes=3 * size)
    one.put(*payload(1))
    door.wait(lambda: door.bodies)
    for number in range(2, 7):
        one.put(*payload(number))
    gone.set()
    settled(one, {"": 3, "buffer_full": 3})
    one.close()
    assert b"".join(door.bodies[1:]) == b"".join(payload(n)[0] for n in (4, 5, 6))


def test_its_own_figures_say_what_became_of_the_points():
    door = ScriptedDoor(Answer(200, rejected=1))
    one = Delivery(door, instance="agent")
    one.put(*payload(1))
    settled(one, {"rejected": 1})
    one.put(*payload(2))
    settled(one, {"rejected": 1, "": 1})
    (observation,) = one.collect(99)
    one.close()
    assert dict(observation.resource)["service.instance.id"] == "agent"
    assert {dict(pairs).get("error.type", ""): value for _, pairs, value in observation.points} == {
        "": 1,
        "rejected": 1,
    }


def test_closing_does_not_wait_for_a_door_that_is_away():
    door = ScriptedDoor(*[Answer(0, retry_after_seconds=60)] * 99)
    one = Delivery(door)
    one.put(*payload(1))
    door.wait(lambda: door.bodies)
    one.close(timeout_seconds=20)
    assert not one._thread.is_alive()
    assert one.finished() == {}


def test_closing_sends_what_waits(receiver):
    one = Delivery(HttpDoor(lambda: (receiver.url, "")))
    for number in range(20):
        one.put(*payload(number))
    one.close(timeout_seconds=20)
    assert len(numbers(receiver)) == 20
