"""OTLP metrics: what each kind of point becomes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from google.protobuf import json_format

from tests.ingest.conftest import TOKEN
from tests.ingest.messages import add_attributes, now_ms, otlp_request
from workbench.errors import InputError, TooLarge
from workbench.ingest.otlp.decode import OtlpDecoder
from workbench.ingest.receiver import JSON, PROTOBUF
from workbench.schema import STALE_NAN_BITS


def send(receiver, request, media=PROTOBUF):
    if media == JSON:
        return receiver.otlp_metrics(json_format.MessageToJson(request).encode(), JSON, "", TOKEN)
    return receiver.otlp_metrics(request.SerializeToString(), PROTOBUF, "", TOKEN)


def a_metric(kind: str, **fields):
    """(request, the kind's message) of one metric `m`."""
    request, metrics = otlp_request()
    data = getattr(metrics.add(name="m", unit="s", description="about m"), kind)
    if kind in ("sum", "histogram", "exponential_histogram"):
        data.aggregation_temporality = fields.pop("temporality", 2)
    for name, value in fields.items():
        setattr(data, name, value)
    return request, data


def point(data, **fields):
    return data.data_points.add(time_unix_nano=now_ms() * 10**6, **fields)


def one_series(writer):
    return writer.view.registry.get(1)


@pytest.mark.parametrize(
    ("kind", "fields", "type_", "temporality"),
    [
        ("gauge", {}, "gauge", ""),
        ("sum", {"is_monotonic": True}, "counter", "cumulative"),
        ("sum", {"is_monotonic": False}, "updowncounter", "cumulative"),
        ("histogram", {}, "histogram", "cumulative"),
        ("exponential_histogram", {}, "exponential_histogram", "cumulative"),
        ("summary", {}, "summary", ""),
    ],
)
def test_the_identity_of_each_kind(receiver, writer, kind, fields, type_, temporality):
    request, data = a_metric(kind, **fields)
    p = point(data)
    if kind in ("gauge", "sum"):
        p.as_int = 4
    add_attributes(p, b="2", a="1")
    assert send(receiver, request).accepted == 1
    series = one_series(writer)
    identity = series.identity
    assert (identity.convention, identity.name, identity.unit) == ("otel", "m", "s")
    assert (identity.type, identity.temporality) == (type_, temporality)
    assert identity.resource == (("service.name", "api_gateway"),)
    assert identity.attributes == (("a", "1"), ("b", "2"))
    assert (series.description, series.scope, series.source) == ("about m", "meter@1.2", "token:1")


def test_numbers_keep_their_value_start_and_time(receiver, writer):
    request, data = a_metric("sum", is_monotonic=True)
    start_ns = (now_ms() - 5000) * 10**6
    times = []
    for value in (3, -(2**63), 2.5, math.inf, math.nan):
        name = "as_int" if isinstance(value, int) else "as_double"
        times.append(now_ms() * 1000 + len(times))
        data.data_points.add(time_unix_nano=times[-1] * 1000 + 999, start_time_unix_nano=start_ns, **{name: value})
    assert send(receiver, request).accepted == 5
    batch = writer.batches[0]["samples"]
    np.testing.assert_array_equal(batch["value"].to_numpy(), [3.0, -(2.0**63), 2.5, math.inf, math.nan])
    assert batch["time"].view("int64").to_pylist() == times
    assert set(batch["start_time"].view("int64").to_pylist()) == {start_ns // 1000}


def test_histograms_become_cumulative_buckets_count_and_sum(receiver, writer):
    request, data = a_metric("histogram")
    p = point(data, count=6, sum=9.5, bucket_counts=[1, 2, 3], explicit_bounds=[0.5, 1.0], min=0.1, max=5.0)
    exemplar = p.exemplars.add(as_double=0.7, time_unix_nano=now_ms() * 10**6)
    p.exemplars.add().CopyFrom(exemplar)
    p.exemplars[1].as_double, p.exemplars[1].trace_id, p.exemplars[1].span_id = 0.8, bytes(range(16)), bytes(range(8))
    point(data, count=4)
    assert send(receiver, request).accepted == 2
    values = {name: [value for _, value in samples] for name, samples in writer.found().items()}
    assert values == {
        "m{}[bucket 0.5]": [1.0],
        "m{}[bucket 1]": [3.0],
        "m{}[bucket inf]": [6.0, 4.0],
        "m{}[count]": [6.0, 4.0],
        "m{}[sum]": [9.5],
    }
    carried = [(row["series"], row["exemplar"]) for row in writer.rows("samples") if row["exemplar"]]
    assert [writer.text(series) for series, _ in carried] == ["m{}[bucket 1]"]
    assert (carried[0][1]["value"], carried[0][1]["trace_id"]) == (0.8, bytes(range(16)).hex())


@pytest.mark.parametrize(
    ("counts", "bounds"),
    [([1], [1.0]), ([1, 2], []), ([], [1.0]), ([1, 2, 3], [2.0, 1.0]), ([1, 2, 3], [1.0, 1.0]), ([1, 2], [math.nan])],
)
def test_histograms_that_do_not_fit_are_refused(receiver, writer, counts, bounds):
    request, data = a_metric("histogram")
    point(data, count=6, bucket_counts=counts, explicit_bounds=bounds)
    point(data, count=1, bucket_counts=[1, 0], explicit_bounds=[1.0])
    outcome = send(receiver, request)
    assert (outcome.accepted, outcome.rejected) == (1, 1)
    assert writer.rows("dead_letter")[0]["reason"] == "bad_histogram"


def test_exponential_histograms_stay_whole(receiver, writer):
    request, data = a_metric("exponential_histogram")
    p = point(data, count=9, sum=4.5, scale=3, zero_count=2, zero_threshold=1e-9)
    p.positive.offset = -4
    p.positive.bucket_counts.extend([1, 0, 3])
    p.negative.bucket_counts.extend([3])
    p.exemplars.add(as_int=7, time_unix_nano=1000)
    assert send(receiver, request).accepted == 1
    row = writer.rows("samples")[0]
    assert (row["type"], row["value"], row["stale"]) == (1, None, False)
    assert row["histogram"] == {
        "schema": 3, "reset_hint": 0, "count": 9, "sum": 4.5, "zero_threshold": 1e-9, "zero_count": 2,
        "positive_indexes": [-3, -1], "positive_counts": [1, 3], "negative_indexes": [1], "negative_counts": [3],
        "custom_bounds": [],
    }  # fmt: skip
    assert row["exemplar"]["value"] == 7.0


def test_summaries_become_quantiles_count_and_sum(receiver, writer):
    request, data = a_metric("summary")
    p = point(data, count=10, sum=25.0)
    for quantile, value in ((0.5, 2.0), (0.99, 7.0)):
        p.quantile_values.add(quantile=quantile, value=value)
    assert send(receiver, request).accepted == 1
    values = {name: [value for _, value in samples] for name, samples in writer.found().items()}
    assert values == {"m{}[quantile 0.5]": [2.0], "m{}[quantile 0.99]": [7.0], "m{}[count]": [10.0], "m{}[sum]": [25.0]}


@pytest.mark.parametrize("kind", ["gauge", "sum", "histogram", "exponential_histogram", "summary"])
def test_no_recorded_value_is_a_staleness_marker(receiver, writer, kind):
    request, data = a_metric(kind)
    point(data, flags=1)
    assert send(receiver, request).accepted == 1
    batch = writer.batches[0]["samples"]
    assert batch["stale"].to_pylist() == [True] * batch.num_rows
    floats = batch["value"].drop_null().to_numpy()
    assert set(floats.view(np.uint64).tolist()) <= {STALE_NAN_BITS}
    assert len(floats) == (0 if kind == "exponential_histogram" else batch.num_rows)


@pytest.mark.parametrize("kind", ["sum", "histogram", "exponential_histogram"])
@pytest.mark.parametrize(("temporality", "reason"), [(1, "delta_temporality"), (0, "no_temporality")])
def test_only_cumulative_is_taken(receiver, writer, kind, temporality, reason):
    request, data = a_metric(kind, temporality=temporality)
    point(data, **({"as_int": 1} if kind == "sum" else {}))
    outcome = send(receiver, request)
    assert (outcome.accepted, outcome.rejected) == (0, 1)
    assert writer.rows("dead_letter")[0]["reason"] == reason
    assert ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative" in outcome.message) == (temporality == 1)


def test_a_point_without_value_or_time_is_refused(receiver, writer):
    request, data = a_metric("gauge")
    point(data)
    data.data_points.add(as_int=1)
    assert send(receiver, request).rejected == 2
    assert {row["reason"] for row in writer.rows("dead_letter")} == {"no_value", "no_time"}


def test_attribute_values_as_text(receiver, writer):
    request, data = a_metric("gauge")
    p = point(data, as_int=1)
    value = {
        key: p.attributes.add(key=key).value for key in ("s", "b", "i", "d", "whole", "bytes", "list", "map", "none")
    }
    value["s"].string_value, value["b"].bool_value, value["i"].int_value = "é", True, -7
    value["d"].double_value, value["whole"].double_value, value["bytes"].bytes_value = 0.25, 3.0, b"\0\1"
    value["list"].array_value.values.add().int_value = 1
    value["list"].array_value.values.add().string_value = "x"
    value["map"].kvlist_value.values.add(key="k").value.double_value = math.nan
    assert send(receiver, request).accepted == 1
    assert dict(one_series(writer).identity.attributes) == {
        "s": "é", "b": "true", "i": "-7", "d": "0.25", "whole": "3", "bytes": "AAE=", "list": '[1,"x"]',
        "map": '{"k":"NaN"}', "none": "",
    }  # fmt: skip


def test_scope_is_no_part_of_the_identity(receiver, writer):
    request, metrics = otlp_request()
    other = request.resource_metrics[0].scope_metrics.add()
    other.scope.name = "another"
    for one in (metrics, other.metrics):
        point(one.add(name="m").gauge, as_int=1)
    assert send(receiver, request).accepted == 2
    assert len(writer.view.registry) == 1


def test_json_says_the_same_as_protobuf(receiver, writer):
    request, data = a_metric("histogram")
    p = point(data, count=2**53 + 1, sum=1.5, bucket_counts=[2**53, 1], explicit_bounds=[0.5])
    add_attributes(p, a="b")
    request.resource_metrics[0].scope_metrics[0].metrics.add(name="g").gauge.data_points.add(
        time_unix_nano=now_ms() * 10**6, as_double=math.inf
    )
    send(receiver, request)
    wanted, writer.batches[:] = writer.rows("samples"), []
    assert send(receiver, request, JSON).accepted == 2
    assert writer.rows("samples") == wanted


def test_json_as_the_specification_writes_it(receiver, writer):
    body = {
        "resourceMetrics": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "x"}}]},
            "scopeMetrics": [{
                "scope": {"name": "s"},
                "unknownField": {"traceId": "00"},
                "metrics": [{
                    "name": "requests", "unit": "1",
                    "sum": {
                        "aggregationTemporality": 2, "isMonotonic": True,
                        "dataPoints": [{
                            "asInt": "5", "timeUnixNano": str(now_ms() * 10**6),
                            "exemplars": [{
                                "asDouble": 1.0, "traceId": "5B8EFFF798038103D269B633813FC60C",
                                "spanId": "eee19b7ec3c1b173",
                            }],
                        }],
                    },
                }],
            }],
        }]
    }  # fmt: skip
    assert receiver.otlp_metrics(json.dumps(body).encode(), "application/json", "", TOKEN).accepted == 1
    row = writer.rows("samples")[0]
    assert row["value"] == 5.0
    assert row["exemplar"]["trace_id"] == "5b8efff798038103d269b633813fc60c"
    assert row["exemplar"]["span_id"] == "eee19b7ec3c1b173"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"x"',
        b'{"resourceMetrics": 5}',
        b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asInt": "x"}]}}]}]}]}',
        b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {}, "sum": {}}]}]}]}',
        b'{"resourceMetrics": [{"x": {"traceId": "not hex"}}]}',
        b'{"resourceMetrics": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_json_that_is_no_request_is_refused(receiver, body):
    with pytest.raises(InputError):
        receiver.otlp_metrics(body, JSON, "", TOKEN)


def test_a_crowd_of_empty_items_is_refused_before_it_takes_memory():
    def wrapped(tag: bytes, content: bytes) -> bytes:
        size = len(content)
        return tag + bytes([size >> shift & 0x7F | 0x80 for shift in (0, 7, 14)]) + bytes([size >> 21]) + content

    crowd = b"\x0a\x00" * (2**20 + 1)
    scopes = wrapped(b"\x0a", wrapped(b"\x12", crowd.replace(b"\x0a", b"\x12")))
    points = wrapped(b"\x0a", wrapped(b"\x12", wrapped(b"\x12", wrapped(b"\x2a", crowd))))
    for body in (crowd, scopes, points):  # resources, metrics, points
        with pytest.raises(TooLarge):
            OtlpDecoder().decode(body)


def test_a_huge_point_of_a_rare_kind_is_refused(receiver, writer):
    request, data = a_metric("exponential_histogram")
    point(data, count=1).positive.bucket_counts.extend([0] * 300_000)
    outcome = send(receiver, request)
    assert (outcome.accepted, outcome.rejected) == (0, 1)


def test_known_metrics_are_forgotten_and_found_again(receiver, writer, monkeypatch):
    monkeypatch.setattr("workbench.ingest.otlp.decode.MAX_CONTEXTS", 4)
    decoder = OtlpDecoder()
    for _ in range(3):
        request, metrics = otlp_request()
        for number in range(10):
            point(metrics.add(name=f"m{number}").gauge, as_int=1)
        decoded = decoder.decode(request.SerializeToString())
        assert [decoded.members(n)[0].identity.name for n in range(10)] == [f"m{n}" for n in range(10)]
