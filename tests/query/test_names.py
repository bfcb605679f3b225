"""OpenTelemetry names become the Prometheus names of the compatibility specification."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.query import prometheus_labels
from workbench.query.names import label_name, metric_name, target_info
from workbench.query.promql.text import format_float, format_floats, format_plain
from workbench.store import Identity, Series

RESOURCE = (
    ("deployment.environment.name", "prod"),
    ("host.name", "h1"),
    ("os.type", "linux"),
    ("service.instance.id", "i-1"),
    ("service.name", "api_gateway"),
    ("service.namespace", "synth"),
    ("service.version", "2.0"),
)
PROMOTED = {
    "job": "synth/api_gateway", "instance": "i-1", "service_version": "2.0", "deployment_environment_name": "prod",
    "host_name": "h1",
}  # fmt: skip


def series(name="m", type_="gauge", unit="", attributes=(), part="", bound=None, resource=RESOURCE, convention="otel"):
    identity = Identity(convention, name, type_, unit, "", resource, attributes, part, bound)
    return Series(1, identity, "", "", "", 0)


@pytest.mark.parametrize(
    ("name", "unit", "type_", "expected"),
    [
        ("system.cpu.time", "s", "counter", "system_cpu_time_seconds_total"),
        ("synth.content.items", "{item}", "counter", "synth_content_items_total"),
        ("system.cpu.utilization", "1", "gauge", "system_cpu_utilization_ratio"),
        ("synth.llm.cost", "{USD}", "counter", "synth_llm_cost_total"),
        ("system.disk.io", "By", "counter", "system_disk_io_bytes_total"),
        ("hw.temperature", "Cel", "gauge", "hw_temperature_celsius"),
        ("synth.gpu.clock", "Hz", "gauge", "synth_gpu_clock_hertz"),
        ("process.thread.count", "{thread}", "updowncounter", "process_thread_count"),
        ("some.share", "1", "updowncounter", "some_share"),
        ("requests.total", "", "counter", "requests_total"),
        ("cpu.ratio.of.all", "1", "gauge", "cpu_of_all_ratio"),
        ("duration.seconds", "s", "histogram", "duration_seconds"),
        ("net.rate", "By/s", "gauge", "net_rate_bytes_per_second"),
        ("errors", "{error}/min", "gauge", "errors_per_minute"),
        ("disk", "%", "gauge", "disk_percent"),
        ("odd..name--x", "", "gauge", "odd_name_x"),
        ("5xx", "", "gauge", "_5xx"),
        ("a:b", "", "gauge", "a:b"),
        ("...", "", "gauge", "_"),
        ("x", "furlong", "gauge", "x_furlong"),
    ],
)
def test_metric_names(name, unit, type_, expected):
    assert metric_name(name, unit, type_) == expected


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [("http.route", "http_route"), ("5xx", "key_5xx"), ("_x", "key_x"), ("__x", "__x"), ("é", "key_"), ("a b", "a_b")],
)
def test_label_names(attribute, expected):
    assert label_name(attribute) == expected


def test_resource_becomes_job_instance_and_promoted_labels():
    found = prometheus_labels(series("http.requests", "counter", "", (("http.route", "/a"), ("empty", ""))))
    assert found == {"__name__": "http_requests_total", "http_route": "/a", **PROMOTED}


def test_without_a_namespace_the_job_is_the_service():
    assert prometheus_labels(series(resource=(("service.name", "x"),))) == {"__name__": "m", "job": "x"}


def test_the_rest_of_the_resource_stands_in_target_info():
    assert dict(target_info(RESOURCE)) == {"__name__": "target_info", "os_type": "linux", **PROMOTED}
    assert target_info((("os.type", "linux"),)) is None
    assert target_info((("service.name", "x"),)) is None


@pytest.mark.parametrize(
    ("part", "bound", "expected"),
    [
        ("bucket", 0.005, {"__name__": "d_seconds_bucket", "le": "0.005"}),
        ("bucket", 1.0, {"__name__": "d_seconds_bucket", "le": "1"}),
        ("bucket", 1e7, {"__name__": "d_seconds_bucket", "le": "10000000"}),
        ("bucket", math.inf, {"__name__": "d_seconds_bucket", "le": "+Inf"}),
        ("sum", None, {"__name__": "d_seconds_sum"}),
        ("count", None, {"__name__": "d_seconds_count"}),
        ("quantile", 0.99, {"__name__": "d_seconds", "quantile": "0.99"}),
    ],
)
def test_parts_of_histograms_and_summaries(part, bound, expected):
    assert prometheus_labels(series("d", "histogram", "s", part=part, bound=bound, resource=())) == expected


def test_attributes_whose_names_become_one_are_joined():
    assert prometheus_labels(series(attributes=(("a.b", "1"), ("a_b", "2")), resource=()))["a_b"] == "1;2"


def test_prometheus_series_keep_their_names():
    found = prometheus_labels(
        series("weird.name", "counter", "s", (("le", "1.0"), ("ü", "x")), convention="prometheus")
    )
    assert found == {"__name__": "weird.name", "le": "1.0", "ü": "x"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (0.1, "0.1"), (1e16, "10000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"), (1e-7, "1e-07"),
        (-1.5e-5, "-0.000015"), (123456789.125, "123456789.125"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (-0.0, "-0"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1.2345e20, "123450000000000000000"),
    ],
)  # fmt: skip
def test_floats_are_written_as_prometheus_writes_them(value, text):
    assert format_float(value) == text
    assert format_floats([value, 1.5]) == [text, "1.5"]


@given(st.lists(st.floats()))
def test_many_floats_are_written_as_one_is(values):
    assert format_floats(values) == [format_float(value) for value in values]


@pytest.mark.parametrize(("value", "text"), [(1e-7, "0.0000001"), (1e22, "10000000000000000000000"), (2.5, "2.5")])
def test_bounds_are_written_without_exponent(value, text):
    assert format_plain(value) == text
    assert float(text) == value
