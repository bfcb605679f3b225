"""Requests as real senders make them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from workbench.ingest.prometheus.prompb import Histogram, Sample, WriteRequest


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


def second_request(time_ms: int) -> bytes:
    """A remote write 2.0 request: two samples of up{job="a"} and a native histogram h{job="a"}, by hand."""
    made = Histogram(timestamp=time_ms, schema=1, count_int=2, sum=3.0)
    made.positive_spans.add(offset=1, length=1)
    made.positive_deltas.append(2)
    histogram = made.SerializeToString()
    samples = [Sample(timestamp=time_ms + n, value=1.0 + n).SerializeToString() for n in range(2)]
    symbols = [b"", b"__name__", b"up", b"job", b"a", b"h"]
    up = _part(1, bytes((1, 2, 3, 4))) + b"".join(_part(2, sample) for sample in samples)
    native = _part(1, bytes((1, 5, 3, 4))) + _part(3, histogram)
    return b"".join(_part(4, symbol) for symbol in symbols) + _part(5, up) + _part(5, native)


def _part(field: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes((field << 3 | 2, len(content))) + content


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
