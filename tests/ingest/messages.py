"""Requests as real senders make them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from workbench.ingest.prometheus.prompb import WriteRequest


def now_ms() -> int:
    """Milliseconds since 1970, as of now."""
    return time.time_ns() // 1_000_000


def write_request(series: list[tuple[Mapping[str, str], list[tuple[int, float]]]]) -> bytes:
    """(labels, [(time in ms, value)]) pairs as a WriteRequest."""
    request = WriteRequest()
    for labels, samples in series:
        one = request.timeseries.add()
        for name, value in labels.items():
            one.labels.add(name=name, value=value)
        for time_ms, value in samples:
            one.samples.add(timestamp=time_ms, value=value)
    return request.SerializeToString()


def snap(message: bytes) -> bytes:
    """As remote write sends it."""
    return pa.compress(message, codec="snappy", asbytes=True)


def otlp_request(resource: Mapping[str, Any] | None = None) -> tuple[ExportMetricsServiceRequest, Any]:
    """An export request of one resource and scope -> (request, its list of metrics)."""
    request = ExportMetricsServiceRequest()
    one = request.resource_metrics.add()
    for key, value in (resource or {"service.name": "api_gateway"}).items():
        one.resource.attributes.add(key=key).value.string_value = value
    scope = one.scope_metrics.add()
    scope.scope.name, scope.scope.version = "meter", "1.2"
    return request, scope.metrics


def add_attributes(point: Any, **attributes: str) -> Any:
    """Set a point's attributes; returns the point."""
    for key, value in attributes.items():
        point.attributes.add(key=key).value.string_value = value
    return point
