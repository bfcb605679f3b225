"""The gRPC door from outside, with a raw channel and with the SDK's own exporter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from tests.ingest.test_http import gauge, let_in
from workbench.errors import Busy, DiskFull, Forbidden, PortTaken, SignInRequired
from workbench.ingest import Caller, Knock, Receiver, start_grpc
from workbench.ingest.grpc import EXPORT, peer_address


def serve(
    receiver: Receiver,
    use: Callable[[int], Any],
    authorize: Callable[[Knock], Caller] = let_in,
    host: str = "127.0.0.1",
) -> Any:
    """Run the door, call `use(port)` in a thread, and return its answer."""

    async def run() -> Any:
        server = await start_grpc(receiver, authorize, [f"{host}:0"])
        try:
            return await asyncio.wait_for(asyncio.to_thread(use, server.ports[0]), 60)
        finally:
            await server.stop(0)

    return asyncio.run(run())


def export(body: bytes, *, method: str = EXPORT, host: str = "127.0.0.1", **options: Any) -> Callable[[int], bytes]:
    def call(port: int) -> bytes:
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            return channel.unary_unary(method)(body, timeout=30, **options)

    return call


def test_export_is_kept_and_answered(receiver, writer):
    answer = serve(receiver, export(gauge(delta=1), compression=grpc.Compression.Gzip))
    response = ExportMetricsServiceResponse.FromString(answer)
    assert response.partial_success.rejected_data_points == 1
    assert [value for _, value in writer.found()["g{a=b}"]] == [1.0]


def test_the_sdk_delivers_with_default_settings(receiver, writer):
    def run(port: int) -> None:
        exporter = OTLPMetricExporter(endpoint=f"http://127.0.0.1:{port}", insecure=True)
        provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)])
        meter = provider.get_meter("test")
        meter.create_counter("requests", unit="{request}").add(3, {"route": "/x"})
        meter.create_histogram("latency", unit="s").record(0.03)
        assert provider.force_flush(30_000)
        provider.shutdown()

    serve(receiver, run)
    found = writer.found()
    assert {value for _, value in found["requests{route=/x}"]} == {3.0}
    assert found["latency{}[count]"][-1][1] == 1.0
    assert found["latency{}[bucket inf]"][-1][1] == 1.0


@pytest.mark.parametrize(
    ("fault", "code", "seconds"),
    [
        (Busy("full", retry_after_seconds=7), grpc.StatusCode.RESOURCE_EXHAUSTED, 7),
        (DiskFull("full"), grpc.StatusCode.UNAVAILABLE, 5),
    ],
)
def test_what_the_writer_refuses_may_be_sent_again(receiver, writer, fault, code, seconds):
    writer.fault = fault
    with pytest.raises(grpc.RpcError) as caught:
        serve(receiver, export(gauge()))
    assert caught.value.code() == code
    trailing = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.seconds == seconds


def test_errors_have_their_codes(receiver, writer):
    def refuse(error: Exception) -> Callable[[Knock], Caller]:
        def authorize(knock: Knock) -> Caller:
            raise error

        return authorize

    cases = [
        (export(b"\x0a\xff"), let_in, grpc.StatusCode.INVALID_ARGUMENT),
        (export(gauge()), refuse(SignInRequired("who?")), grpc.StatusCode.UNAUTHENTICATED),
        (export(gauge()), refuse(Forbidden("no")), grpc.StatusCode.PERMISSION_DENIED),
        (export(gauge()), refuse(RuntimeError("a fault of ours")), grpc.StatusCode.INTERNAL),
        (export(bytes(17 * 2**20)), let_in, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (
            export(b"", method="/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
            let_in,
            grpc.StatusCode.UNIMPLEMENTED,
        ),
    ]
    for use, authorize, code in cases:
        with pytest.raises(grpc.RpcError) as caught:
            serve(receiver, use, authorize)
        assert caught.value.code() == code, caught.value.details()
    assert not writer.found()


def test_a_bomb_is_refused(receiver, writer):
    with pytest.raises(grpc.RpcError) as caught:
        serve(receiver, export(bytes(64 * 2**20), compression=grpc.Compression.Gzip))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_knock_carries_metadata_and_peer(receiver, host):
    knocks: list[Knock] = []

    def note(knock: Knock) -> Caller:
        knocks.append(knock)
        return Caller("token:1", False)

    serve(receiver, export(gauge(), host=host, metadata=(("authorization", "Bearer x"),)), note, host)
    assert (knocks[0].protocol, knocks[0].path, knocks[0].headers["authorization"]) == ("grpc", EXPORT, "Bearer x")
    assert knocks[0].peer is not None
    assert knocks[0].peer[0] == host.strip("[]")
    assert knocks[0].peer[1] > 0


def test_a_taken_port_is_an_error(receiver):
    async def run() -> None:
        first = await start_grpc(receiver, let_in, ["127.0.0.1:0"])
        try:
            with pytest.raises(PortTaken):
                await start_grpc(receiver, let_in, [f"127.0.0.1:{first.ports[0]}"])
        finally:
            await first.stop(0)

    asyncio.run(run())


def test_peers_without_an_address():
    assert peer_address("unix:/tmp/x") is None
    assert peer_address("ipv6:%5B::1%5D:123") == ("::1", 123)
