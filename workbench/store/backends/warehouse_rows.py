"""Rows of a kind as a warehouse keeps them, and back: structs are JSON text there, a map is never null."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from workbench.errors import StoreError
from workbench.schema import KINDS

PLACE = ("segment", "row")
"""Columns beside those of the kind: of rows with one key the highest place stands."""


def columns_of(kind: str, columns: Sequence[str] | None) -> list[str]:
    """The columns that are asked for, checked. Raises StoreError for an unknown kind or column."""
    if kind not in KINDS:
        raise StoreError(f"no kind {kind!r}", hint=f"Kinds: {', '.join(KINDS)}.")
    known = [*KINDS[kind].schema.names, *PLACE]
    names = list(columns) if columns is not None else KINDS[kind].schema.names
    unknown = [name for name in names if name not in known]
    if unknown:
        raise StoreError(f"{kind} has no column {unknown[0]!r}", hint=f"Columns: {', '.join(known)}.")
    return names


def kept_schema(kind: str) -> pa.Schema:
    """Schema of a kind as warehouses keep it, without `segment` and `row`."""
    return pa.schema([_kept(field) for field in KINDS[kind].schema])


def kept(kind: str, rows: pa.Table) -> pa.Table:
    """Rows with `segment` and `row` as a warehouse keeps them."""
    columns = []
    for field in KINDS[kind].schema:
        column = rows.column(field.name).combine_chunks()
        if pa.types.is_struct(field.type):
            column = pa.array(
                [None if one is None else json.dumps(_plain(one)) for one in column.to_pylist()], pa.string()
            )
        elif pa.types.is_map(field.type) and column.null_count:
            column = pa.array([one or [] for one in column.to_pylist()], field.type)
        columns.append(column)
    places = [rows.column(name).combine_chunks() for name in PLACE]
    fields = [*kept_schema(kind), *(pa.field(name, pa.int64(), False) for name in PLACE)]
    return pa.Table.from_arrays([*columns, *places], schema=pa.schema(fields))


def restored(kind: str, rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """What a warehouse answered, as rows of the kind: columns `names`, in the types of its schema."""
    schema = KINDS[kind].schema
    columns, fields = [], []
    for name in names:
        field = schema.field(name) if name in schema.names else pa.field(name, pa.int64(), False)
        column = rows.column(name)
        if pa.types.is_struct(field.type):
            column = pa.array(
                [None if one is None else _nested(json.loads(one)) for one in column.to_pylist()], field.type
            )
        elif pa.types.is_map(field.type) and not pa.types.is_map(column.type):
            column = pa.array(
                [[(pair["key"], pair["value"]) for pair in one] for one in column.to_pylist()], field.type
            )
        columns.append(column.cast(field.type))
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _kept(field: pa.Field) -> pa.Field:
    return pa.field(field.name, pa.string(), True) if pa.types.is_struct(field.type) else field


def _plain(value: Any) -> Any:
    """A struct as JSON can say it: times as microseconds, maps as lists of pairs."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, datetime):
        return round(value.timestamp() * 1e6)
    return value


def _nested(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("attributes") is not None:
        value["attributes"] = [tuple(pair) for pair in value["attributes"]]
    return value
