"""The messages of Prometheus remote write 1.0, built at import time from a table of their fields.

Source: prometheus/prompb/remote.proto and types.proto. The columns of a request are read by `scan`; these
classes serve what is rare: labels seen for the first time, native histograms, odd encodings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "workbench.prometheus"

# message -> field -> (number, type, repeated); a type with a capital is a message, "count/…" names a oneof.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Label": {"name": (1, "string", False), "value": (2, "string", False)},
    "Sample": {"value": (1, "double", False), "timestamp": (2, "int64", False)},
    "Exemplar": {"labels": (1, "Label", True), "value": (2, "double", False), "timestamp": (3, "int64", False)},
    "BucketSpan": {"offset": (1, "sint32", False), "length": (2, "uint32", False)},
    "Histogram": {
        "count_int": (1, "uint64", False),
        "count_float": (2, "double", False),
        "sum": (3, "double", False),
        "schema": (4, "sint32", False),
        "zero_threshold": (5, "double", False),
        "zero_count_int": (6, "uint64", False),
        "zero_count_float": (7, "double", False),
        "negative_spans": (8, "BucketSpan", True),
        "negative_deltas": (9, "sint64", True),
        "negative_counts": (10, "double", True),
        "positive_spans": (11, "BucketSpan", True),
        "positive_deltas": (12, "sint64", True),
        "positive_counts": (13, "double", True),
        "reset_hint": (14, "int32", False),
        "timestamp": (15, "int64", False),
        "custom_values": (16, "double", True),
    },
    "TimeSeries": {
        "labels": (1, "Label", True),
        "samples": (2, "Sample", True),
        "exemplars": (3, "Exemplar", True),
        "histograms": (4, "Histogram", True),
    },
    "MetricMetadata": {
        "type": (1, "int32", False),
        "metric_family_name": (2, "string", False),
        "help": (4, "string", False),
        "unit": (5, "string", False),
    },
    "Telling": {"metadata": (3, "MetricMetadata", True)},
    "WriteRequest": {"timeseries": (1, "TimeSeries", True)},
}
_ONEOFS = {"Histogram": {"count": ("count_int", "count_float"), "zero_count": ("zero_count_int", "zero_count_float")}}


def build_messages(
    package: str,
    messages: Mapping[str, Mapping[str, tuple[int, str, bool]]],
    oneofs: Mapping[str, Mapping[str, tuple[str, ...]]],
) -> dict[str, Any]:
    """The class of each message of a table such as those above."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    types = descriptor_pb2.FieldDescriptorProto
    for message, fields in messages.items():
        body = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            label = types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL
            entry = body.field.add(name=name, number=number, label=label)
            if kind[0].isupper():
                entry.type = types.TYPE_MESSAGE
                entry.type_name = f".{package}.{kind}"
            else:
                entry.type = getattr(types, f"TYPE_{kind.upper()}")
        for index, (oneof, members) in enumerate(oneofs.get(message, {}).items()):
            body.oneof_decl.add(name=oneof)
            for entry in body.field:
                if entry.name in members:
                    entry.oneof_index = index
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = {name: pool.FindMessageTypeByName(f"{package}.{name}") for name in messages}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in names.items()}


_CLASSES = build_messages(_PACKAGE, _MESSAGES, _ONEOFS)
WriteRequest = _CLASSES["WriteRequest"]
Telling = _CLASSES["Telling"]
"""A WriteRequest, of which only the metadata are read."""
TimeSeries = _CLASSES["TimeSeries"]
Sample = _CLASSES["Sample"]
Histogram = _CLASSES["Histogram"]
