"""Observations as one OTLP payload (`ExportMetricsServiceRequest`, protobuf).

Encoded with OpenTelemetry's own messages, without its SDK: the SDK knows one resource per pipeline, so host and
processes would be ten pipelines with a thread and a request each. `docs/collect.md` has the measured difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric, ScopeMetrics

from workbench import __version__
from workbench.collect.instruments import Instrument, Observation, Pairs

SCOPE = "workbench.collect"


@lru_cache(maxsize=4096)
def key_values(pairs: Pairs) -> tuple[KeyValue, ...]:
    """Attributes as OTLP messages; built once per set of pairs."""
    return tuple(KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in pairs)


def encode(observations: Iterable[Observation]) -> tuple[bytes, int]:
    """Body of a request to `/v1/metrics`, and the number of data points in it.

    Bodies can be joined: protobuf merges repeated fields, so `a + b` is one valid request with both.
    """
    request = ExportMetricsServiceRequest()
    count = 0
    for observation in observations:
        if not observation.points:
            continue
        block = request.resource_metrics.add()
        block.resource.attributes.extend(key_values(observation.resource))
        scope = block.scope_metrics.add()
        scope.scope.name = SCOPE
        scope.scope.version = __version__
        metrics: dict[str, Metric] = {}
        for instrument, pairs, value in observation.points:
            metric = metrics.get(instrument.name) or metrics.setdefault(instrument.name, _declare(scope, instrument))
            gauge = instrument.kind == "gauge"
            point = (metric.gauge if gauge else metric.sum).data_points.add(time_unix_nano=observation.time_ns)
            if not gauge:
                point.start_time_unix_nano = observation.start_ns
            point.attributes.extend(key_values(pairs))
            if isinstance(value, int):
                point.as_int = value
            else:
                point.as_double = value
        count += len(observation.points)
    return request.SerializeToString(), count


def _declare(scope: ScopeMetrics, instrument: Instrument) -> Metric:
    metric = scope.metrics.add(name=instrument.name, unit=instrument.unit, description=instrument.description)
    if instrument.kind != "gauge":
        metric.sum.is_monotonic = instrument.kind == "counter"
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    return metric
