"""What is sent live says what the platform measured, and is marked as simulated."""

from __future__ import annotations

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.simulate.moments import CELL_US, platform, us
from workbench.simulate.metric import HOST_AGENT, HOSTS
from workbench.simulate.otlp import Payload

NOW = us("2026-10-02T10:00:10")


def pairs(attributes: object) -> tuple[tuple[str, str], ...]:
    return tuple((entry.key, entry.value.string_value) for entry in attributes)  # type: ignore[attr-defined]


def test_every_value_is_in_the_request_and_a_second_request_is_fresh():
    payload = Payload(platform())
    payload.at(NOW)
    later = NOW + CELL_US
    body, count = payload.at(later)
    expected = {}
    for series, value in zip(platform().series, platform().values(np.array([later]))[:, 0], strict=True):
        expected[series.metric.service, series.metric.name, series.metric.attributes, series.part, series.bound] = value
    found = {}
    total = 0
    for block in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        service = dict(pairs(block.resource.attributes))["service.name"]
        for metric in block.scope_metrics[0].metrics:
            data = getattr(metric, metric.WhichOneof("data"))
            for point in data.data_points:
                total += 1
                assert point.time_unix_nano == later * 1000
                assert point.start_time_unix_nano == (0 if metric.HasField("gauge") else us("2026-10-01") * 1000)
                key = (service, metric.name, pairs(point.attributes))
                if not metric.HasField("histogram"):
                    found[*key, "", None] = point.as_double
                    continue
                for bound, reached in zip(
                    [*point.explicit_bounds, float("inf")], np.cumsum(point.bucket_counts), strict=True
                ):
                    found[*key, "bucket", bound] = reached
                found[*key, "count", None], found[*key, "sum", None] = point.count, point.sum
    assert found == expected
    assert total == count == len(platform().metrics)


def test_every_resource_is_marked_and_names_its_host():
    body, _ = Payload(platform()).at(NOW)
    resources = [
        dict(pairs(block.resource.attributes))
        for block in ExportMetricsServiceRequest.FromString(body).resource_metrics
    ]
    assert {one["service.name"] for one in resources} == {*HOSTS, HOST_AGENT}
    for one in resources:
        assert one["deployment.environment.name"] == "simulated"
        assert one["host.name"] in {"sim-1", "sim-2", "sim-3"}
        assert one["service.instance.id"]
        assert one["service.version"]


def test_types_and_units_are_declared():
    body, _ = Payload(platform()).at(NOW)
    declared = {
        metric.name: (metric.WhichOneof("data"), metric.unit, metric.sum.is_monotonic)
        for block in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for metric in block.scope_metrics[0].metrics
    }
    assert declared["http.server.request.duration"] == ("histogram", "s", False)
    assert declared["synth.content.items"] == ("sum", "{item}", True)
    assert declared["synth.queue.depth"] == ("sum", "{item}", False)
    assert declared["synth.quality.accuracy"] == ("gauge", "1", False)
    assert declared["synth.llm.cost"] == ("sum", "{USD}", True)
