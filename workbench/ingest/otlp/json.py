"""OTLP in JSON: protobuf's JSON mapping with the exceptions that OTLP makes to it.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Trace and span ids are hexadecimal there,
base64 in protobuf's mapping; unknown fields are ignored.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from workbench.errors import InputError

_IDS = ("traceId", "spanId")


def otlp_json_to_protobuf(body: bytes) -> bytes:
    """An ExportMetricsServiceRequest in JSON as protobuf bytes; raises InputError that says where it breaks."""
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InputError(f"not valid JSON: {error.msg}", where=f"line {error.lineno} column {error.colno}") from error
    if not isinstance(document, dict):
        raise InputError("an export request is a JSON object", where="body")
    try:
        _ids_to_base64(document)
        request = json_format.ParseDict(document, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
        return request.SerializeToString()
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"not an OTLP export request: {str(error)[:300]}", where="body") from error


def _ids_to_base64(document: Any) -> None:
    """Rewrite the ids of all exemplars in place; a walk with a list, as nesting is the sender's to choose."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in _IDS and isinstance(value, str):
                    node[key] = _base64(value, key)
                elif isinstance(value, (dict, list)):
                    waiting.append(value)


def _base64(text: str, field: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(text)).decode()
    except (ValueError, binascii.Error) as error:
        raise InputError(f"{field} is hexadecimal in OTLP, not {text[:40]!r}", where=field) from error
