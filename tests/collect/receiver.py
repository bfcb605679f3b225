"""A tiny OTLP receiver on real HTTP: keeps what it is sent, and can be told what to answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)


class OtlpReceiver:
    """Listens on a free loopback port; `requests` are decoded bodies, `headers` what came with each."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.changed = threading.Condition()
        self._connections: list[socket.socket] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver._connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.changed:
                    status, headers, content = receiver.answers.pop(0) if receiver.answers else (200, {}, b"")
                    if status == 200:
                        receiver.requests.append(ExportMetricsServiceRequest.FromString(body))
                    receiver.headers.append(
                        {"path": self.path, "status": str(status), **{k.lower(): v for k, v in self.headers.items()}}
                    )
                    receiver.changed.notify_all()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def wait(self, condition: object, timeout_seconds: float = 20.0) -> None:
        """Wait until `condition()` holds; it is asked after every request."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout_seconds), (
                f"{len(self.requests)} requests, {self.headers[-3:]}"
            )  # type: ignore[arg-type]

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        return len(self._connections)

    def close(self) -> None:
        """Be gone, kept connections included."""
        self._server.shutdown()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


def partial_success(rejected: int, message: str) -> bytes:
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = rejected
    answer.partial_success.error_message = message
    return answer.SerializeToString()


def points(
    requests: list[ExportMetricsServiceRequest],
) -> list[tuple[dict[str, str], str, str, dict[str, str], float, int]]:
    """(resource, metric, unit, attributes, value, time_ns) of every number data point."""
    found = []
    for request in requests:
        for block in request.resource_metrics:
            resource = {pair.key: pair.value.string_value for pair in block.resource.attributes}
            for scope in block.scope_metrics:
                for metric in scope.metrics:
                    for point in (metric.gauge if metric.HasField("gauge") else metric.sum).data_points:
                        attributes = {pair.key: pair.value.string_value for pair in point.attributes}
                        value = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
                        found.append((resource, metric.name, metric.unit, attributes, value, point.time_unix_nano))
    return found
