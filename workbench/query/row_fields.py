"""Which rows of a table meet label matchers.

A label is looked for under its name in every column of text or whole numbers; as PromQL would name the key in every map
(attributes, resource, labels, tags, extensions, FOCUS columns) and at the top of the JSON in `data` of an event. Also:

| label | stands in |
|---|---|
| `job`, `instance` | the resource of spans and logs (`service.namespace`, `service.name`, `service.instance.id`) |
| `job` | `service_name` of usage, after the attribute `service.namespace`; the tags of costs with these names |
| `gen_ai_provider_name`, `gen_ai_request_model`, … | the columns of usage that hold these attributes |
| `synth_domain`, `synth_role`, … | `domain`, `role`, … of usage and events: CloudEvents allows no dots |

A row is shown if it names every label that the matchers ask for, and all fields of these names meet them. Where a row
does not name one it cannot be told whose row it is, so it is hidden, from negative matchers too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from workbench.query.names import label_name
from workbench.query.promql import Matcher
from workbench.schema import KINDS

_ALIASES = {
    "usage": {
        "gen_ai_provider_name": "provider",
        "gen_ai_request_model": "request_model",
        "gen_ai_response_model": "response_model",
        "gen_ai_operation_name": "operation",
    },
}
_OWN = "synth_"
"""What the platform's own attributes begin with, for PromQL."""
_NAMESPACE, _NAME, _INSTANCE = "service.namespace", "service.name", "service.instance.id"
_DAMAGED = "\0"
"""Stands for a field that is there and cannot be read as one text: no matcher may be met by it."""


def deciding_columns(kind: str) -> list[str]:
    """The columns that `rows_shown` looks at: all but lists and structs."""
    return [field.name for field in KINDS[kind].schema if not pa.types.is_struct(field.type)]


def rows_shown(kind: str, rows: pa.Table, matchers: Sequence[Matcher]) -> np.ndarray:
    """Which rows of a table, with its `deciding_columns`, meet all matchers: bool[rows]."""
    shown = np.ones(rows.num_rows, bool)
    for matcher in matchers:
        named = np.zeros(rows.num_rows, bool)
        for values in _fields(kind, rows, matcher.label):
            present, met = _judge(values, matcher)
            named |= present
            shown &= met | ~present
        shown &= named
    return shown


def _fields(kind: str, rows: pa.Table, label: str) -> Iterator[pa.Array]:
    """The texts of every field that bears a label, null or empty where a row has none."""
    names = _names(kind, label)
    for column in names:
        if column in rows.column_names and _plain(rows.schema.field(column).type):
            yield _whole(rows, column).cast(pa.string())
    for field in rows.schema:
        if pa.types.is_map(field.type):
            yield from _in_map(_whole(rows, field.name), lambda key: label_name(key) in names)
    if kind == "events":
        yield _in_json(_whole(rows, "data"), names)
    if kind in ("spans", "logs") and label in ("job", "instance"):
        resource = _whole(rows, "resource")
        yield _job(_key(resource, _NAMESPACE), _key(resource, _NAME)) if label == "job" else _key(resource, _INSTANCE)
    if kind == "usage" and label == "job":
        yield _job(_key(_whole(rows, "attributes"), _NAMESPACE), _whole(rows, "service_name"))
    if kind == "costs" and label == "job":
        tags = _whole(rows, "tags")
        yield _job(_key(tags, _NAMESPACE), _key(tags, _NAME))


def _names(kind: str, label: str) -> set[str]:
    """The names under which the fields of a kind bear a label."""
    names = {label, _ALIASES.get(kind, {}).get(label, label)}
    if kind in ("usage", "events") and label.startswith(_OWN):
        names.add(label.removeprefix(_OWN))
    return names


def _judge(values: pa.Array, matcher: Matcher) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have a value at all, and whose value meets the matcher."""
    encoded = values.dictionary_encode()
    known = encoded.dictionary.to_pylist()
    met = matcher.matches(known) & np.array([value != _DAMAGED for value in known], bool)
    filled = np.array([value != "" for value in known], bool)
    # One more at the end stands for null.
    places = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.append(filled, False)[places], np.append(met, False)[places]


def _in_map(column: pa.MapArray, wanted: Callable[[str], bool]) -> Iterator[pa.Array]:
    """For each key of a column of maps that is wanted, its texts."""
    keys = pc.unique(column.keys.cast(pa.string())) if len(column) else pa.array([], pa.string())
    for key in keys.to_pylist():
        if key is not None and wanted(key):
            yield _key(column, key)


def _key(column: pa.MapArray, key: str) -> pa.Array:
    """The text under a key in each row, null where it has none; damaged where a row has the key twice."""
    offsets = column.offsets.to_numpy(zero_copy_only=False)
    first, last = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    hits = np.flatnonzero(pc.equal(column.keys, key).fill_null(False).to_numpy(zero_copy_only=False))
    hits = hits[(hits >= first) & (hits < last)]
    owners = np.searchsorted(offsets, hits, side="right") - 1
    places = np.full(len(column), -1)
    places[owners] = hits
    twice = np.bincount(owners, minlength=len(column)) > 1
    found = column.items.take(pa.array(places, pa.int64(), mask=places < 0)).cast(pa.string())
    found = pc.if_else(column.is_valid(), found, pa.scalar(None, pa.string()))
    return pc.if_else(pa.array(twice), _DAMAGED, found)


def _in_json(column: pa.Array, names: set[str]) -> pa.Array:
    return pa.array([_top(text, names) if text else None for text in column.to_pylist()], pa.string())


def _top(text: str, names: set[str]) -> str | None:
    """What JSON text has at its top under the names of a label."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    values = [value for key, value in found.items() if label_name(key) in names]
    if not values:
        return None
    if len(values) > 1 or isinstance(values[0], (dict, list)):
        return _DAMAGED
    return values[0] if isinstance(values[0], str) else orjson.dumps(values[0]).decode()


def _job(namespace: pa.Array, name: pa.Array) -> pa.Array:
    joined = pc.binary_join_element_wise(namespace, name, "/")
    both = pc.and_(pc.not_equal(pc.fill_null(namespace, ""), ""), pc.not_equal(pc.fill_null(name, ""), ""))
    return pc.if_else(both, joined, name)


def _plain(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_integer(type_))


def _whole(rows: pa.Table, name: str) -> pa.Array:
    column = rows.column(name).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
