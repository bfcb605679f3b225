"""The gRPC door: OTLP MetricsService/Export over raw bytes, with the same receiver as the HTTP door."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from workbench.errors import Busy, PortTaken, WorkbenchError
from workbench.ingest.callers import Authorize, Caller, Knock
from workbench.ingest.otlp.answers import RETRY_AFTER_SECONDS, STATUS_CODES, otlp_response
from workbench.ingest.receiver import PROTOBUF, Receiver
from workbench.log import get, request

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
MAX_CONCURRENT_CALLS = 64
"""A message is in memory before its handler is called; this bounds how many, `ingest.max_body_bytes` how large."""

Export = Callable[[bytes, Any], Awaitable[bytes]]

log = get(__name__)


@dataclass(frozen=True)
class GrpcServer:
    """A started gRPC server and the ports it got, in the order of the addresses that were asked for."""

    server: grpc.aio.Server
    ports: list[int]

    async def stop(self, grace_seconds: float = 2.0) -> None:
        """Take no new calls, let running ones end within the grace, then stop."""
        await self.server.stop(grace_seconds)


async def start_grpc(
    receiver: Receiver,
    authorize: Authorize,
    addresses: Sequence[str],
    *,
    secured: Sequence[str] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> GrpcServer:
    """Serve on `host:port` addresses (port 0: any free one); on those `secured` with TLS. Raises PortTaken."""
    server = grpc.aio.server(
        handlers=_handlers(receiver, authorize),
        maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
        options=[
            ("grpc.max_receive_message_length", receiver.limits.max_body_bytes),
            # Else a taken port is shared in silence; beside every address of the machine, those of loopback need it.
            ("grpc.so_reuseport", 1 if secured else 0),
        ],
    )
    ports = []
    for address in (*addresses, *secured):
        try:
            if address in secured and credentials is not None:
                port = server.add_secure_port(address, credentials)
            else:
                port = server.add_insecure_port(address)
        except RuntimeError as error:
            port = 0
            reason: Exception | None = error
        else:
            reason = None
        if port == 0:
            raise PortTaken(f"cannot listen on {address}", where="ingest.grpc_port") from reason
        ports.append(port)
    await server.start()
    return GrpcServer(server, ports)


def _handlers(receiver: Receiver, authorize: Authorize) -> list[grpc.GenericRpcHandler]:
    """Handlers over raw bytes; what is not there yet says so."""
    exports: dict[str, Export] = dict.fromkeys(("logs.v1.LogsService", "trace.v1.TraceService"), _not_there_yet)
    exports["metrics.v1.MetricsService"] = _export_handler(receiver, authorize)
    return [
        grpc.method_handlers_generic_handler(
            f"opentelemetry.proto.collector.{service}", {"Export": grpc.unary_unary_rpc_method_handler(export)}
        )
        for service, export in exports.items()
    ]


def _export_handler(receiver: Receiver, authorize: Authorize) -> Export:
    async def export(body: bytes, context: Any) -> bytes:
        headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        with request(headers.get("x-request-id", "")[:64] or None):
            try:
                caller = authorize(Knock("grpc", "POST", EXPORT, headers, peer_address(context.peer())))
                return await _take(receiver, body, caller)
            except WorkbenchError as error:
                failure = error
            except Exception:
                log.exception("a call failed", path=EXPORT)
                failure = WorkbenchError("the door failed on this request", hint="See the hub's log.")
            return await _abort(context, failure)

    return export


async def _take(receiver: Receiver, body: bytes, caller: Caller) -> bytes:
    with receiver.room() as take:
        take(len(body))
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(receiver.pool, receiver.otlp_metrics, body, PROTOBUF, "", caller)
        if outcome.future is not None:
            await asyncio.wrap_future(outcome.future)
    return otlp_response(outcome).SerializeToString()


async def _not_there_yet(body: bytes, context: Any) -> bytes:
    return await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"not there yet; this version takes {EXPORT}")


async def _abort(context: Any, error: WorkbenchError) -> bytes:
    """End a call with the error's code; what may be sent again carries a RetryInfo, as OTLP asks."""
    number = STATUS_CODES.get(error.status, code_pb2.INTERNAL)
    status = status_pb2.Status(code=number, message=str(error))
    if error.status in (429, 503):
        seconds = error.retry_after_seconds if isinstance(error, Busy) else RETRY_AFTER_SECONDS
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds)))
        status.details.append(detail)
    code = next(code for code in grpc.StatusCode if code.value[0] == number)
    return await context.abort(code, str(error), (("grpc-status-details-bin", status.SerializeToString()),))


def peer_address(peer: str) -> tuple[str, int] | None:
    """(address, port) of gRPC's `ipv4:127.0.0.1:5` or `ipv6:%5B::1%5D:5`; None for other transports."""
    family, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    if family not in ("ipv4", "ipv6") or not port.isdigit():
        return None
    return host.strip("[]"), int(port)
