"""The protobuf format of a scrape: length-delimited `MetricFamily` messages, the only one with native histograms.

Source: prometheus/client_model `io/prometheus/client/metrics.proto` (field names and numbers), and
https://prometheus.io/docs/specs/native_histograms/. Each metric becomes the samples that the text format would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from workbench.errors import InputError
from workbench.ingest.prometheus.histogram import native_histogram
from workbench.ingest.prometheus.prompb import Histogram, build_messages
from workbench.ingest.refusals import Refusal
from workbench.ingest.scrape.exposition import Families, Sample

TYPES = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")
"""By the number of `MetricType`."""

_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Timestamp": {"seconds": (1, "int64", False), "nanos": (2, "int32", False)},
    "LabelPair": {"name": (1, "string", False), "value": (2, "string", False)},
    "Exemplar": {"label": (1, "LabelPair", True), "value": (2, "double", False), "timestamp": (3, "Timestamp", False)},
    "Value": {"value": (1, "double", False), "exemplar": (2, "Exemplar", False), "created": (3, "Timestamp", False)},
    "Quantile": {"quantile": (1, "double", False), "value": (2, "double", False)},
    "Summary": {
        "sample_count": (1, "uint64", False),
        "sample_sum": (2, "double", False),
        "quantile": (3, "Quantile", True),
        "created": (4, "Timestamp", False),
    },
    "Bucket": {
        "cumulative_count": (1, "uint64", False),
        "upper_bound": (2, "double", False),
        "exemplar": (3, "Exemplar", False),
        "cumulative_count_float": (4, "double", False),
    },
    "BucketSpan": {"offset": (1, "sint32", False), "length": (2, "uint32", False)},
    "Histogram": {
        "sample_count": (1, "uint64", False),
        "sample_sum": (2, "double", False),
        "bucket": (3, "Bucket", True),
        "sample_count_float": (4, "double", False),
        "schema": (5, "sint32", False),
        "zero_threshold": (6, "double", False),
        "zero_count": (7, "uint64", False),
        "zero_count_float": (8, "double", False),
        "negative_span": (9, "BucketSpan", True),
        "negative_delta": (10, "sint64", True),
        "negative_count": (11, "double", True),
        "positive_span": (12, "BucketSpan", True),
        "positive_delta": (13, "sint64", True),
        "positive_count": (14, "double", True),
        "created": (15, "Timestamp", False),
        "exemplars": (16, "Exemplar", True),
    },
    "Metric": {
        "label": (1, "LabelPair", True),
        "gauge": (2, "Value", False),
        "counter": (3, "Value", False),
        "summary": (4, "Summary", False),
        "untyped": (5, "Value", False),
        "timestamp_ms": (6, "int64", False),
        "histogram": (7, "Histogram", False),
    },
    "MetricFamily": {
        "name": (1, "string", False),
        "help": (2, "string", False),
        "type": (3, "int32", False),
        "metric": (4, "Metric", True),
        "unit": (5, "string", False),
    },
}
MetricFamily = build_messages("workbench.exposition", _MESSAGES, {})["MetricFamily"]


def read_protobuf(body: bytes, families: Families, *, native: bool, classic: bool) -> Iterator[Sample]:
    """The samples of a body. `native`: take native histograms, and with `classic` their classic buckets beside.

    Raises InputError that names the byte.
    """
    at = 0
    while at < len(body):
        size, start = _length(body, at)
        if start + size > len(body):
            raise InputError("a message is cut off", where=f"byte {at}")
        try:
            family = MetricFamily.FromString(body[start : start + size])
        except DecodeError as error:
            raise InputError("not a MetricFamily message", where=f"byte {at}") from error
        at = start + size
        type_ = TYPES[family.type] if 0 <= family.type < len(TYPES) else "unknown"
        families.type[family.name], families.help[family.name] = type_, family.help
        if family.unit:
            families.unit[family.name] = family.unit
        for metric in family.metric:
            if abs(metric.timestamp_ms) >= 2**43:
                raise InputError(f"{family.name}: its time is out of range")
            for sample in _samples(family.name, type_, metric, native=native, classic=classic):
                yield sample._replace(time_us=metric.timestamp_ms * 1000)


def _samples(name: str, type_: str, metric: Any, *, native: bool, classic: bool) -> Iterator[Sample]:
    labels = [(label.name, label.value) for label in metric.label]
    if type_ in ("histogram", "gaugehistogram"):
        histogram = metric.histogram
        own = native and _is_native(histogram)
        if own:
            yield _native(name, labels, histogram)
        if not own or (classic and histogram.bucket):
            yield from _classic(name, labels, histogram, gauge=type_ == "gaugehistogram")
    elif type_ == "summary":
        start_us = _time_us(metric.summary, "created") or 0
        for one in metric.summary.quantile:
            yield Sample(_text(name, [*labels, ("quantile", repr(one.quantile))]), one.value)
        yield Sample(_text(f"{name}_sum", labels), metric.summary.sample_sum, start_us=start_us)
        yield Sample(_text(f"{name}_count", labels), float(metric.summary.sample_count), start_us=start_us)
    else:
        given = getattr(metric, {"unknown": "untyped"}.get(type_, type_))
        start_us = (_time_us(given, "created") or 0) if type_ == "counter" else 0
        yield Sample(_text(name, labels), given.value, exemplar=_exemplar(given), start_us=start_us)


def _classic(name: str, labels: list[tuple[str, str]], histogram: Any, *, gauge: bool) -> Iterator[Sample]:
    start_us = _time_us(histogram, "created") or 0
    count = histogram.sample_count_float or float(histogram.sample_count)
    unbounded = False
    for bucket in histogram.bucket:
        unbounded |= bucket.upper_bound == math.inf
        series = _text(f"{name}_bucket", [*labels, ("le", _bound(bucket.upper_bound))])
        value = bucket.cumulative_count_float or float(bucket.cumulative_count)
        yield Sample(series, value, exemplar=_exemplar(bucket), start_us=start_us)
    if not unbounded:
        yield Sample(_text(f"{name}_bucket", [*labels, ("le", "+Inf")]), count, start_us=start_us)
    marks = ("_gsum", "_gcount") if gauge else ("_sum", "_count")
    yield Sample(_text(name + marks[0], labels), histogram.sample_sum, start_us=start_us)
    yield Sample(_text(name + marks[1], labels), count, start_us=start_us)


def _is_native(histogram: Any) -> bool:
    """Native histograms without observations say so by a span of no length or a zero threshold."""
    spans = len(histogram.positive_span) + len(histogram.negative_span)
    return bool(spans or histogram.zero_threshold or histogram.zero_count or histogram.zero_count_float)


def _native(name: str, labels: list[tuple[str, str]], histogram: Any) -> Sample:
    message = Histogram(
        sum=histogram.sample_sum,
        schema=histogram.schema,
        zero_threshold=histogram.zero_threshold,
        positive_deltas=histogram.positive_delta,
        negative_deltas=histogram.negative_delta,
        positive_counts=histogram.positive_count,
        negative_counts=histogram.negative_count,
    )
    for side in ("positive", "negative"):
        for span in getattr(histogram, f"{side}_span"):
            getattr(message, f"{side}_spans").add(offset=span.offset, length=span.length)
    if histogram.sample_count_float or histogram.zero_count_float:
        message.count_float, message.zero_count_float = histogram.sample_count_float, histogram.zero_count_float
    else:
        message.count_int, message.zero_count_int = histogram.sample_count, histogram.zero_count
    value = native_histogram(message)
    if isinstance(value, Refusal):
        raise InputError(f"{name}: {value.reason}, {value.where}")
    exemplar = next((found for one in histogram.exemplars if (found := _exemplar_value(one))), None)
    start_us = _time_us(histogram, "created") or 0
    return Sample(_text(name, labels), 0.0, exemplar=exemplar, start_us=start_us, histogram=value)


def _text(name: str, labels: list[tuple[str, str]]) -> str:
    """The series as the text format names it, with its name in quotes so that it may be any."""
    pairs = "".join(f',"{_escape(key)}"="{_escape(value)}"' for key, value in labels)
    return f'{{"{_escape(name)}"{pairs}}}'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _bound(value: float) -> str:
    return "+Inf" if value == math.inf else repr(value)


def _exemplar(holder: Any) -> dict[str, Any] | None:
    return _exemplar_value(holder.exemplar) if holder.HasField("exemplar") else None


def _exemplar_value(exemplar: Any) -> dict[str, Any]:
    labels = {label.name: label.value for label in exemplar.label}
    return {
        "time": _time_us(exemplar, "timestamp"),
        "value": exemplar.value,
        "trace_id": labels.pop("trace_id", None),
        "span_id": labels.pop("span_id", None),
        "attributes": sorted(labels.items()),
    }


def _time_us(message: Any, field: str) -> int | None:
    if not message.HasField(field):
        return None
    time = getattr(message, field)
    us = time.seconds * 1_000_000 + time.nanos // 1000
    return us if 0 < us < 2**53 else None


def _length(body: bytes, at: int) -> tuple[int, int]:
    """A varint, and where what it measures begins."""
    value = shift = 0
    for place in range(at, min(at + 5, len(body))):
        value |= (body[place] & 0x7F) << shift
        shift += 7
        if body[place] < 0x80:
            return value, place + 1
    raise InputError("the length of a message is not readable", where=f"byte {at}")
