"""The bounded scanners against the generated classes: equal where those accept, an error, never a crash, elsewhere."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.ingest.messages import write_request
from workbench.errors import InputError
from workbench.ingest.otlp import scan as otlp_scan
from workbench.ingest.otlp.decode import OtlpDecoder
from workbench.ingest.prometheus.prompb import WriteRequest
from workbench.ingest.prometheus.scan import scan_write
from workbench.ingest.prometheus.write import decode_write

text = st.text(st.characters(codec="utf-8"), max_size=12)
number = st.floats(allow_nan=True, width=64)
uint64 = st.integers(0, 2**64 - 1)


def bits(values: Any) -> list[int]:
    return np.array(list(values), np.float64).view(np.uint64).tolist()


@st.composite
def write_requests(draw: Any) -> bytes:
    labels = st.dictionaries(text, text, max_size=4)
    samples = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), number), max_size=4)
    return write_request(draw(st.lists(st.tuples(labels, samples), max_size=5)))


@st.composite
def otlp_requests(draw: Any) -> bytes:
    """Requests of all kinds of metrics, whatever makes sense or not."""
    request = ExportMetricsServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        resource = request.resource_metrics.add()
        for key, value in draw(st.dictionaries(text, text, max_size=2)).items():
            resource.resource.attributes.add(key=key).value.string_value = value
        for _ in range(draw(st.integers(0, 2))):
            scope = resource.scope_metrics.add()
            scope.scope.name = draw(text)
            for _ in range(draw(st.integers(0, 3))):
                _metric(draw, scope.metrics.add(name=draw(text), unit=draw(text), description=draw(text)))
    return request.SerializeToString()


def _metric(draw: Any, metric: Any) -> None:
    kind = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary", None]))
    if kind is None:
        return
    data = getattr(metric, kind)
    data.SetInParent()
    if kind in ("sum", "histogram", "exponential_histogram"):
        data.aggregation_temporality = draw(st.integers(0, 2))
    if kind == "sum":
        data.is_monotonic = draw(st.booleans())
    for _ in range(draw(st.integers(0, 3))):
        point = data.data_points.add(time_unix_nano=draw(uint64), start_time_unix_nano=draw(uint64))
        point.flags = draw(st.sampled_from([0, 0, 1, 2**32 - 1]))
        for key, value in draw(st.dictionaries(text, text, max_size=2)).items():
            point.attributes.add(key=key).value.string_value = value
        if kind in ("gauge", "sum"):
            name, values = draw(st.sampled_from([("as_int", st.integers(-(2**63), 2**63 - 1)), ("as_double", number)]))
            setattr(point, name, draw(values))
        elif kind == "histogram":
            point.count = draw(uint64)
            if draw(st.booleans()):
                point.sum = draw(number)
            point.explicit_bounds.extend(draw(st.lists(number, max_size=3)))
            point.bucket_counts.extend(draw(st.lists(uint64, max_size=4)))


def or_none(decode: Any, body: bytes) -> Any:
    """What `decode` reads, None where it refuses."""
    try:
        return decode(body)
    except (DecodeError, InputError):
        return None


def wanted_samples(request: Any) -> list[tuple[int, int, int]]:
    """(series, time in ms, bits of the value) as the generated classes read them."""
    found = []
    for index, series in enumerate(request.timeseries):
        found += [(index, sample.timestamp, bits([sample.value])[0]) for sample in series.samples]
    return found


def check_write(body: bytes) -> bool:
    """Compare with the generated class; whether both accepted."""
    wanted = or_none(WriteRequest.FromString, body)
    decoded = or_none(decode_write, body)
    if wanted is None or decoded is None:
        assert wanted is None, f"refused what is valid: {body!r}"
        return False
    columns = scan_write(body) or scan_write(_canonical(wanted))
    assert columns is not None
    got = list(zip(columns.series.tolist(), columns.times_ms.tolist(), columns.bits.tolist(), strict=True))
    assert got == wanted_samples(wanted)
    for index, series in enumerate(wanted.timeseries):
        pairs = [(label.name, label.value) for label in series.labels]
        members = decoded.members(index)
        if isinstance(members, list):
            identity = members[0].identity
            assert {("__name__", identity.name), *identity.attributes} == {pair for pair in pairs if pair[1]}
        else:
            assert not dict(pairs).get("__name__") or len(dict(pairs)) != len(pairs) or "" in dict(pairs)
    return True


def _canonical(message: Any) -> bytes:
    message.DiscardUnknownFields()
    return message.SerializeToString()


def wanted_points(request: Any) -> list[tuple[str, int, int]]:
    """(metric's name, time in µs, bits of the value; 0 where there is no single one) of every point, in order."""
    found = []
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points if kind else ():
                    value = 0
                    form = point.WhichOneof("value") if kind in ("gauge", "sum") else None
                    if form:
                        value = bits([getattr(point, form)])[0]
                    found.append((metric.name, point.time_unix_nano // 1000, value))
    return found


def check_otlp(body: bytes) -> bool:
    """Compare with the generated class; whether both accepted."""
    wanted = or_none(ExportMetricsServiceRequest.FromString, body)
    decoded = or_none(OtlpDecoder().decode, body)
    if wanted is None or decoded is None:
        assert wanted is None, f"refused what is valid: {body!r}"
        return False
    points = wanted_points(wanted)
    assert decoded.times_us.tolist() == [time for _, time, _ in points]
    assert [decoded.describe(i) for i in range(len(points))] == [f"metric {name}" for name, _, _ in points]
    refused = np.zeros(len(points), bool)
    for mask in decoded.refused.values():
        refused |= mask
    single = [i for i, (_, _, value) in enumerate(points) if value and not refused[i] and decoded.groups[i] >= 0]
    rows = decoded.rows(np.array(single, np.int64), np.zeros(len(single), np.int64), np.array([7], np.int64))
    assert rows.bits.tolist() == [points[i][2] for i in single]
    for group in np.flatnonzero(decoded.groups >= 0).tolist():
        decoded.members(group)
    return True


@settings(max_examples=150, deadline=None)
@given(write_requests())
def test_any_write_request_is_read_as_the_generated_class_reads_it(body):
    assert check_write(body)


@settings(max_examples=150, deadline=None)
@given(otlp_requests())
def test_any_otlp_request_is_read_as_the_generated_class_reads_it(body):
    assert check_otlp(body)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_read_or_refused(body):
    check_write(body)
    check_otlp(body)


def mutations(body: bytes, seed: int, count: int) -> list[bytes]:
    """The body with bytes changed, cut, doubled or spliced."""
    source = random.Random(seed)
    found = []
    for _ in range(count):
        changed = bytearray(body)
        for _ in range(source.randint(1, 4)):
            place = source.randrange(len(changed) + 1)
            action = source.randrange(4)
            if action == 0 and place < len(changed):
                changed[place] = source.choice([0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)])
            elif action == 1:
                del changed[place:]
            elif action == 2:
                changed[place:place] = changed[source.randrange(len(changed) + 1) :][: source.randint(1, 30)]
            else:
                del changed[place : place + source.randint(1, 5)]
        found.append(bytes(changed))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_mutated_requests_are_read_or_refused(seed):
    source = random.Random(seed)
    write = write_request([({"__name__": "up", "job": "a"}, [(source.randrange(2**40), 1.5)] * 2)] * 3)
    otlp = ExportMetricsServiceRequest()
    metrics = otlp.resource_metrics.add().scope_metrics.add().metrics
    gauge = metrics.add(name="g").gauge.data_points.add(time_unix_nano=source.randrange(2**60), as_int=-5)
    gauge.attributes.add(key="a").value.string_value = "b"
    histogram = metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(time_unix_nano=1, count=3, sum=2.0, bucket_counts=[1, 2], explicit_bounds=[0.5])
    metrics.add(name="x").exponential_histogram.data_points.add(time_unix_nano=1, count=3)
    both = sum(check_write(body) for body in mutations(write, seed, 1500))
    assert both > 50  # else nothing was compared
    both = sum(check_otlp(body) for body in mutations(otlp.SerializeToString(), seed, 1500))
    assert both > 50


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (b"\x0a\x05\x0a", 1),  # a length past the end
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1),  # a length of 2^64 - 1
        (b"\x80" * 11, 0),  # a varint without end
        (b"\x02\x00", 0),  # field number 0
        (b"\x0e", 0),  # wire type 6
        (b"\x0a\x03\x12\x05\x09", 3),  # a length past the end of what encloses it
    ],
)
def test_the_error_names_the_byte(body, at):
    for decode in (decode_write, OtlpDecoder().decode):
        with pytest.raises(InputError) as caught:
            decode(body)
        assert caught.value.where == f"byte {at}"


def test_numbers_not_packed_and_messages_sent_twice_are_read():
    point = (
        b"\x31" + (3).to_bytes(8, "little") + b"\x31" + (4).to_bytes(8, "little") + b"\x39" + np.float64(0.5).tobytes()
    )
    point += b"\x19" + (5000).to_bytes(8, "little")
    histogram = b"\x0a" + bytes([len(point)]) + point + b"\x10\x02"
    metric = b"\x0a\x01h" + b"\x4a" + bytes([len(histogram)]) + histogram
    scope = b"\x12" + bytes([len(metric)]) + metric
    body = b"\x0a" + bytes([len(scope) + 2]) + b"\x12" + bytes([len(scope)]) + scope
    assert otlp_scan.scan_otlp(body) is None
    decoded = OtlpDecoder().decode(body)
    members = decoded.members(0)
    assert [(m.identity.part, m.identity.bound) for m in members] == [
        ("bucket", 0.5),
        ("bucket", math.inf),
        ("count", None),
    ]
    rows = decoded.rows(np.array([0]), np.array([0]), np.array([1, 2, 3]))
    assert rows.bits.view(np.float64).tolist() == [3.0, 7.0, 0.0]
