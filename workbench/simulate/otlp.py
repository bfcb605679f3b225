"""The platform at one moment as one OTLP request: a message made once, whose values are filled in each time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from workbench import __version__
from workbench.simulate.metric import Metric, Pairs, parts, resource
from workbench.simulate.platform import Platform

SCOPE = "workbench.simulate"

DataPoint = metrics_pb2.NumberDataPoint | metrics_pb2.HistogramDataPoint


class Payload:
    """Makes requests for the moments of one platform; one resource per instance."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._request = ExportMetricsServiceRequest()
        self._points: list[tuple[Metric, DataPoint]] = []
        for pairs, metrics in groupby(platform.metrics, resource):
            block = self._request.resource_metrics.add()
            block.resource.attributes.extend(_key_values(pairs))
            scope = block.scope_metrics.add()
            scope.scope.name, scope.scope.version = SCOPE, __version__
            for _, same in groupby(metrics, lambda metric: metric.name):
                self._points += _declare(scope, list(same))

    def at(self, time_us: int) -> tuple[bytes, int]:
        """Body of a request to `/v1/metrics` for a moment of the 10 s grid, and its number of data points."""
        values = self._platform.values(np.array([time_us]))[:, 0].tolist()
        start_us = self._platform.start_us(time_us)
        row = 0
        for metric, point in self._points:
            width = len(parts(metric))
            _fill(point, values[row : row + width])
            row += width
            point.time_unix_nano = time_us * 1000
            if metric.type != "gauge":
                point.start_time_unix_nano = start_us * 1000
        return self._request.SerializeToString(), len(self._points)


def _key_values(pairs: Pairs) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in pairs]


def _declare(scope: metrics_pb2.ScopeMetrics, metrics: list[Metric]) -> Iterator[tuple[Metric, DataPoint]]:
    first = metrics[0]
    declared = scope.metrics.add(name=first.name, unit=first.unit, description=first.description)
    if first.type == "histogram":
        data = declared.histogram
        data.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    elif first.type == "gauge":
        data = declared.gauge
    else:
        data = declared.sum
        data.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
        data.is_monotonic = first.type == "counter"
    for metric in metrics:
        point = data.data_points.add(attributes=_key_values(metric.attributes))
        if metric.type == "histogram":
            point.explicit_bounds.extend(metric.bounds)
        yield metric, point


def _fill(point: DataPoint, values: list[float]) -> None:
    if isinstance(point, metrics_pb2.NumberDataPoint):
        point.as_double = values[0]
        return
    *cumulative, count, total = values
    point.count, point.sum = int(count), total
    point.bucket_counts[:] = [int(b - a) for a, b in zip([0.0, *cumulative[:-1]], cumulative, strict=True)]
