"""Attributes, resources and exemplars of OTLP as text, one by one: what is read when it is seen for the first time."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from typing import Any

import orjson

Pairs = tuple[tuple[str, str], ...]


def attribute_pairs(attributes: Iterable[Any]) -> Pairs:
    """KeyValue messages as sorted pairs of text; of a key sent twice the last value counts."""
    return tuple(sorted({entry.key: value_text(entry.value) for entry in attributes}.items()))


def value_text(value: Any) -> str:
    """An AnyValue as text: strings as they are, numbers and booleans as JSON has them, lists and maps as JSON text."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind is None:
        return ""
    plain = _plain(value)
    return plain if isinstance(plain, str) else orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(entry) for entry in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: _plain(entry.value) for entry in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "double_value":
        number = value.double_value
        if not math.isfinite(number):
            return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return getattr(value, kind) if kind else None


def scope_text(scope: Any) -> str:
    """`name@version` of an InstrumentationScope."""
    return f"{scope.name}@{scope.version}" if scope.version else scope.name


def exemplar_dict(exemplar: Any) -> dict[str, Any]:
    """An Exemplar as the schema's struct."""
    number = exemplar.as_int if exemplar.WhichOneof("value") == "as_int" else exemplar.as_double
    return {
        "time": exemplar.time_unix_nano // 1000,
        "value": float(number),
        "trace_id": exemplar.trace_id.hex(),
        "span_id": exemplar.span_id.hex(),
        "attributes": attribute_pairs(exemplar.filtered_attributes),
    }
