"""The HTTP door from outside: statuses, answers, back-pressure."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import httpx
import pytest
from google.rpc import code_pb2, status_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from tests.ingest.messages import add_attributes, now_ms, otlp_request, second_request, snap, write_request
from workbench.config import Settings
from workbench.errors import Busy, DiskFull, Forbidden, LogSyncError, SignInRequired
from workbench.ingest import Caller, Knock, Receiver, http_app

PROTOBUF = {"content-type": "application/x-protobuf"}
REMOTE_WRITE = {**PROTOBUF, "content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0"}


def let_in(knock: Knock) -> Caller:
    return Caller("token:1", False)


def post(
    receiver: Receiver, path: str, body: Any, headers: dict[str, str], authorize: Callable[[Knock], Caller] = let_in
) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(http_app(receiver, authorize))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318") as client:
            return await client.post(path, content=body, headers=headers)

    return asyncio.run(run())


def gauge(value: float = 1.0, *, delta: int = 0) -> bytes:
    request, metrics = otlp_request()
    point = metrics.add(name="g").gauge.data_points.add(time_unix_nano=now_ms() * 10**6, as_double=value)
    add_attributes(point, a="b")
    for _ in range(delta):
        sum_ = metrics.add(name="d").sum
        sum_.aggregation_temporality = 1
        sum_.data_points.add(time_unix_nano=now_ms() * 10**6, as_int=1)
    return request.SerializeToString()


def sample() -> bytes:
    return snap(write_request([({"__name__": "up", "job": "a"}, [(now_ms(), 1.0)])]))


def test_remote_write_is_answered_204_and_kept(receiver, writer):
    response = post(receiver, "/api/v1/write", sample(), REMOTE_WRITE)
    assert (response.status_code, response.content) == (204, b"")
    assert [value for _, value in writer.found()["up{job=a}"]] == [1.0]


def test_remote_write_keeps_the_good_and_answers_400_for_the_rest(receiver, writer):
    body = snap(write_request([({"__name__": "up"}, [(now_ms(), 1.0), (5, 2.0)])]))
    response = post(receiver, "/api/v1/write", body, REMOTE_WRITE)
    assert response.status_code == 400
    assert "older than the door accepts" in response.json()["message"]
    assert len(writer.found()["up{}"]) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {**REMOTE_WRITE, "content-type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"},
        {**REMOTE_WRITE, "content-type": "text/plain"},
        {**REMOTE_WRITE, "content-encoding": "gzip"},
        {"content-encoding": "snappy"},
    ],
)
def test_remote_write_of_another_form_is_415(receiver, writer, headers):
    response = post(receiver, "/api/v1/write", sample(), headers)
    assert response.status_code == 415
    assert set(response.json()) == {"error", "message", "where", "hint"}
    assert not writer.found()


def test_remote_write_names_its_own_message_type(receiver):
    headers = {**REMOTE_WRITE, "content-type": "application/x-protobuf; proto=prometheus.WriteRequest"}
    assert post(receiver, "/api/v1/write", sample(), headers).status_code == 204


def test_remote_write_2_is_told_how_much_was_written(receiver, writer):
    headers = {**REMOTE_WRITE, "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
    response = post(receiver, "/api/v1/write", snap(second_request(now_ms())), headers)
    assert response.status_code == 204, response.text
    written = [response.headers[f"x-prometheus-remote-write-{sort}-written"] for sort in ("samples", "histograms")]
    assert written == ["2", "1"]
    assert [value for _, value in writer.found()["up{job=a}"]] == [1.0, 2.0]


def test_otlp_success_is_an_empty_message_in_the_form_of_the_request(receiver, writer):
    response = post(receiver, "/v1/metrics", gzip.compress(gauge()), {**PROTOBUF, "content-encoding": "gzip"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/x-protobuf"
    json = {"content-type": "application/json; charset=utf-8"}
    response = post(receiver, "/v1/metrics", b'{"resourceMetrics":[]}', json)
    assert (response.status_code, response.json()) == (200, {})
    assert [value for _, value in writer.found()["g{a=b}"]] == [1.0]


def test_otlp_partial_success_counts_points_and_names_the_setting(receiver):
    response = post(receiver, "/v1/metrics", gauge(delta=2), PROTOBUF)
    assert response.status_code == 200
    answer = ExportMetricsServiceResponse.FromString(response.content)
    assert answer.partial_success.rejected_data_points == 2
    assert "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative" in answer.partial_success.error_message


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\x0a\xff", PROTOBUF, 400),
        (b"\x1f\x8bnot gzip", {**PROTOBUF, "content-encoding": "gzip"}, 400),
        (gzip.compress(gauge())[:-9], {**PROTOBUF, "content-encoding": "gzip"}, 400),
        (gzip.compress(bytes(2**27)), {**PROTOBUF, "content-encoding": "gzip"}, 413),
        (bytes(17 * 2**20), PROTOBUF, 413),
        (gauge(), {**PROTOBUF, "content-encoding": "br"}, 415),
        (gauge(), {}, 415),
        (gauge(), {"content-type": "text/plain"}, 415),
    ],
    ids=["no message", "no gzip", "cut gzip", "bomb", "too long", "brotli", "no type", "text"],
)
def test_otlp_errors_are_a_status_message(receiver, writer, body, headers, status):
    response = post(receiver, "/v1/metrics", body, headers)
    assert response.status_code == status
    if headers.get("content-type") == PROTOBUF["content-type"]:
        assert status_pb2.Status.FromString(response.content).code == code_pb2.INVALID_ARGUMENT
    else:
        assert response.json()["code"] == code_pb2.INVALID_ARGUMENT
    assert not writer.found()


def test_a_body_over_the_bound_is_refused_while_it_streams(receiver):
    async def endless() -> AsyncIterator[bytes]:
        while True:  # only a door that stops reading ends this
            yield bytes(2**20)

    assert post(receiver, "/v1/metrics", endless(), PROTOBUF).status_code == 413


def test_a_body_that_does_not_come_is_given_up(receiver, monkeypatch):
    monkeypatch.setattr("workbench.ingest.http.READ_TIMEOUT_SECONDS", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"\x0a"
        await asyncio.Event().wait()

    assert post(receiver, "/v1/metrics", stalled(), PROTOBUF).status_code == 429
    with receiver.room() as take:  # its room was given back
        take(receiver.limits.queue_bytes)


def test_a_fault_of_ours_is_500_and_tells_no_secrets(receiver, writer):
    writer.fault = RuntimeError("secret")
    response = post(receiver, "/api/v1/write", sample(), REMOTE_WRITE)
    assert (response.status_code, response.json()["error"]) == (500, "WorkbenchError")
    assert "secret" not in response.text
    assert post(receiver, "/v1/metrics", gauge(), PROTOBUF).status_code == 500


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Busy("full", retry_after_seconds=7), 429, code_pb2.RESOURCE_EXHAUSTED),
        (DiskFull("full"), 503, code_pb2.UNAVAILABLE),
        (LogSyncError("lost"), 503, code_pb2.UNAVAILABLE),
    ],
)
def test_what_the_writer_refuses_may_be_sent_again(receiver, writer, fault, status, code):
    writer.fault = fault
    response = post(receiver, "/v1/metrics", gauge(), PROTOBUF)
    assert (response.status_code, status_pb2.Status.FromString(response.content).code) == (status, code)
    assert int(response.headers["retry-after"]) == getattr(fault, "retry_after_seconds", 5)
    response = post(receiver, "/api/v1/write", sample(), REMOTE_WRITE)
    assert response.status_code == status
    assert response.json()["error"] == type(fault).__name__


def test_no_success_where_the_sync_fails_later(receiver, writer):
    writer.late_fault = LogSyncError("the disk is gone")
    assert post(receiver, "/api/v1/write", sample(), REMOTE_WRITE).status_code == 503
    assert post(receiver, "/v1/metrics", gauge(), PROTOBUF).status_code == 503


def test_no_answer_before_the_write_is_durable(receiver, writer):
    writer.hold = Future()

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(http_app(receiver, let_in))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            sending = asyncio.ensure_future(client.post("/api/v1/write", content=sample(), headers=REMOTE_WRITE))
            while not writer.batches:
                await asyncio.sleep(0.005)
            done, _ = await asyncio.wait([sending], timeout=0.2)
            assert not done
            writer.hold.set_result(None)
            return await asyncio.wait_for(sending, 10)

    assert asyncio.run(run()).status_code == 204


def test_bodies_in_flight_are_bounded_by_bytes(writer, settings):
    tight = replace(settings, ingest=replace(settings.ingest, queue_bytes=1000))
    receiver = Receiver(writer, tight)
    try:
        with receiver.room() as take:
            take(990)
            response = post(receiver, "/api/v1/write", sample(), REMOTE_WRITE)
            assert response.status_code == 429
            assert int(response.headers["retry-after"]) >= 1
        assert post(receiver, "/api/v1/write", sample(), REMOTE_WRITE).status_code == 204
    finally:
        receiver.close()


def test_the_caller_is_judged_before_the_body_is_read(receiver, settings: Settings):
    knocks: list[Knock] = []

    def refuse(knock: Knock) -> Caller:
        knocks.append(knock)
        raise SignInRequired("wrong token")

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    response = post(receiver, "/events", unread(), {"content-type": "application/json", "X-Thing": "1"}, refuse)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json()["error"] == "SignInRequired"
    assert (knocks[0].protocol, knocks[0].method, knocks[0].path) == ("http", "POST", "/events")
    assert knocks[0].headers["x-thing"] == "1"

    def forbid(knock: Knock) -> Caller:
        raise Forbidden("not you")

    response = post(receiver, "/v1/metrics", gauge(), PROTOBUF, forbid)
    assert response.status_code == 403
    assert status_pb2.Status.FromString(response.content).code == code_pb2.PERMISSION_DENIED


def test_other_paths_and_methods_have_an_answer(receiver):
    assert post(receiver, "/v1/traces", b"", PROTOBUF).status_code == 501
    assert "not there yet" in post(receiver, "/v1/logs", b"", PROTOBUF).json()["message"]
    assert post(receiver, "/v2/metrics", b"", PROTOBUF).status_code == 404

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(http_app(receiver, let_in))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/events")

    response = asyncio.run(get())
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_empty_bodies(receiver, writer):
    assert post(receiver, "/v1/metrics", b"", PROTOBUF).status_code == 200
    assert post(receiver, "/api/v1/write", snap(b""), REMOTE_WRITE).status_code == 204
    assert post(receiver, "/api/v1/write", b"", REMOTE_WRITE).status_code == 400
    assert post(receiver, "/events", b"", {"content-type": "application/json"}).status_code == 400
    assert not writer.rows("samples")
