"""What OTLP answers: partial success and google.rpc.Status, in protobuf or JSON as the request was.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from starlette.responses import Response

from workbench.errors import WorkbenchError
from workbench.ingest.receiver import JSON, PROTOBUF, Outcome

RETRY_AFTER_SECONDS = 5
"""What a sender is told to wait where the store cannot serve."""

STATUS_CODES = {
    400: code_pb2.INVALID_ARGUMENT,
    401: code_pb2.UNAUTHENTICATED,
    403: code_pb2.PERMISSION_DENIED,
    413: code_pb2.INVALID_ARGUMENT,
    415: code_pb2.INVALID_ARGUMENT,
    429: code_pb2.RESOURCE_EXHAUSTED,
    503: code_pb2.UNAVAILABLE,
}
"""HTTP status of an error -> its code in google.rpc.Status, and so in gRPC."""


def otlp_response(outcome: Outcome) -> Any:
    """ExportMetricsServiceResponse; without `partial_success` where all was accepted."""
    response = ExportMetricsServiceResponse()
    if outcome.rejected:
        response.partial_success.rejected_data_points = outcome.rejected
        response.partial_success.error_message = outcome.message
    return response


def otlp_answer(outcome: Outcome, media: str) -> Response:
    """200 with an ExportMetricsServiceResponse."""
    return _encode(otlp_response(outcome), media, 200, {})


def otlp_error(error: WorkbenchError, media: str, headers: dict[str, str]) -> Response:
    """The error as google.rpc.Status, under the status of its kind."""
    status = status_pb2.Status(code=STATUS_CODES.get(error.status, code_pb2.INTERNAL), message=str(error))
    return _encode(status, media, error.status, headers)


def _encode(message: Any, media: str, status: int, headers: dict[str, str]) -> Response:
    if media == PROTOBUF:
        return Response(message.SerializeToString(), status, headers, PROTOBUF)
    return Response(json_format.MessageToJson(message, indent=None), status, headers, JSON)
