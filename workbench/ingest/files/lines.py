"""Files of LLM calls (`usage`) and of cost lines (`costs`, FOCUS 1.x): CSV or Parquet, their own names recognised.

A row is known by the client's idempotency key or else by its content, so the same line counts once, however often and
from whatever file it is imported. Columns that the table does not have are kept under their name: usage in
`attributes`, costs in `focus` (FOCUS' own, and those with `x_`). FOCUS: "FinOps Open Cost and Usage Specification",
1.0 to 1.2; column names and the JSON form of `Tags` are its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import InputError
from workbench.ingest.files.chunks import Chunk, csv_chunks, parquet_chunks
from workbench.ingest.files.columns import Fields, assign, maps, moments, numbers, texts
from workbench.ingest.files.piece import RecordPiece
from workbench.schema import KINDS

ROWS = 2**16
"""Rows of a piece of a Parquet file."""


@dataclass(frozen=True)
class LineKind:
    """How files name the fields of a table: field -> further names; which must be there; where the rest is kept."""

    name: str
    names: Mapping[str, Sequence[str]]
    required: tuple[str, ...]
    rest: str
    tags: str = ""
    any_of: tuple[str, ...] = field(default=())


USAGE = LineKind(
    "usage",
    {
        "time": ("timestamp", "end_time", "endTime", "completed_at", "created_at", "date"),
        "service_name": ("service.name", "service", "component"),
        "role": ("synth.role",),
        "provider": ("gen_ai.provider.name", "gen_ai.system", "custom_llm_provider"),
        "request_model": ("gen_ai.request.model", "model", "model_name"),
        "response_model": ("gen_ai.response.model",),
        "operation": ("gen_ai.operation.name", "call_type"),
        "domain": ("synth.domain",),
        "input_tokens": ("gen_ai.usage.input_tokens", "prompt_tokens", "tokens_prompt", "context_tokens"),
        "output_tokens": (
            "gen_ai.usage.output_tokens", "completion_tokens", "tokens_completion", "generated_tokens",
        ),
        "latency_seconds": ("latency_s", "latency", "duration_seconds", "duration_s"),
        "error_type": ("error.type", "error"),
        "cost_usd": ("cost", "spend", "response_cost"),
        "hash": ("idempotency_key",),
    },
    required=("time",),
    rest="attributes",
    any_of=("input_tokens", "output_tokens", "cost_usd"),
)  # fmt: skip

COSTS = LineKind(
    "costs",
    {
        "charge_period_start": (),
        "charge_period_end": (),
        "service_name": (),
        "service_category": (),
        "charge_category": (),
        "billed_cost": (),
        "effective_cost": (),
        "billing_currency": (),
        "tags": (),
        "hash": ("idempotency_key",),
    },
    required=("charge_period_start", "billing_currency"),
    rest="focus",
    tags="tags",
    any_of=("billed_cost", "effective_cost"),
)


def read_lines(path: Path, kind: LineKind, mapping: Mapping[str, str], limit_bytes: int) -> Iterator[RecordPiece]:
    """Pieces of a file of the kind; cells over `limit_bytes` make a row bad. Raises InputError."""
    fields: Fields | None = None
    for chunk in _chunks(path):
        fields = fields or _assigned(chunk.table.column_names, kind, mapping, path)
        yield _piece(chunk, kind, fields, limit_bytes, str(path))


def _chunks(path: Path) -> Iterator[Chunk]:
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & {".parquet", ".pq"}:
        return parquet_chunks(path, ROWS)
    if ".csv" in suffixes:
        return csv_chunks(path)
    raise InputError("not a file of this kind", where=str(path), hint="CSV (also .gz, .bz2, .zst) or Parquet.")


def _assigned(columns: Sequence[str], kind: LineKind, mapping: Mapping[str, str], path: Path) -> Fields:
    fields = assign(columns, kind.names, mapping, where=str(path))
    hint = f"Say which: --map COLUMN=FIELD. Columns: {', '.join(columns)}."
    for name in kind.required:
        if name not in fields.known:
            raise InputError(f"no column is {name}", where=str(path), hint=hint)
    if not any(name in fields.known for name in kind.any_of):
        raise InputError(f"no column is any of {', '.join(kind.any_of)}", where=str(path), hint=hint)
    return fields


def _piece(chunk: Chunk, kind: LineKind, fields: Fields, limit_bytes: int, where: str) -> RecordPiece:
    schema, rows = KINDS[kind.name].schema, chunk.table.num_rows
    good = np.ones(rows, bool)
    bad = list(chunk.bad)
    columns: dict[str, pa.Array] = {}

    def refuse(mask: np.ndarray, message: str, reason: str = "bad_row") -> None:
        """Of several faults of a row the first is told."""
        nonlocal good
        bad.extend(chunk.bad_rows(mask & good, message, reason))
        good &= ~mask

    for name, source in fields.known.items():
        cells, type_ = chunk.table[source], schema.field(name).type
        if name == kind.tags:
            columns[name], readable = _tags(texts(cells))
            refuse(~readable, f"{source} is no JSON object")
        elif pa.types.is_timestamp(type_):
            columns[name], readable = moments(cells, source, where=where)
            empty = texts(cells).is_null().to_numpy(zero_copy_only=False)
            refuse(~readable & (~empty | (name in kind.required)), f"{source} is no time")
        elif pa.types.is_floating(type_) or pa.types.is_integer(type_):
            columns[name], readable = numbers(cells, whole=pa.types.is_integer(type_))
            refuse(~readable, f"{source} is no {'whole ' if pa.types.is_integer(type_) else ''}number")
        else:
            columns[name] = texts(cells)
            missing = columns[name].is_null().to_numpy(zero_copy_only=False)
            refuse(missing & (name in kind.required), f"{source} is empty")
    rest = {key: texts(chunk.table[source]) for source, key in fields.rest.items()}
    for key, cells in {**rest, **{n: c for n, c in columns.items() if pa.types.is_string(c.type)}}.items():
        long = pc.greater(pc.binary_length(cells), limit_bytes).fill_null(False).to_numpy(zero_copy_only=False)
        refuse(long, f"{key} is longer than {limit_bytes} bytes", "label_too_long")
    columns[kind.rest] = maps(rest, rows)
    columns["hash"] = _hashes(columns, rest, columns.get("hash"), kind)
    whole = [columns.get(f.name, pa.nulls(rows, f.type)).cast(f.type) for f in schema]
    kept = pa.array(np.flatnonzero(good))
    batch = pa.RecordBatch.from_arrays([column.take(kept) for column in whole], schema=schema)
    return RecordPiece(kind.name, batch, bad, chunk.share)


def _tags(cells: pa.Array) -> tuple[pa.MapArray, np.ndarray]:
    """Cells of JSON objects as maps of text; and which are such."""
    found: list[list[tuple[str, str]] | None] = []
    readable = np.ones(len(cells), bool)
    for row, cell in enumerate(cells.to_pylist()):
        pairs = [] if cell is None else _pairs(cell)
        found.append(pairs)
        readable[row] = pairs is not None
    return pa.array(found, pa.map_(pa.string(), pa.string())), readable


def _pairs(cell: str) -> list[tuple[str, str]] | None:
    try:
        tags = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(tags, dict):
        return None
    texts_of = {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in tags.items()}
    return sorted(texts_of.items())


def _hashes(
    columns: Mapping[str, pa.Array], rest: Mapping[str, pa.Array], keys: pa.Array | None, kind: LineKind
) -> pa.Array:
    """The client's key of each row where it gave one, else a hash of all that the row says, by field and value."""
    named = sorted(set(columns) - {kind.rest, kind.tags, "hash"})
    parts = [_named(name, columns[name].cast(pa.string())) for name in named]
    parts += [_named(f"{kind.rest}.{key}", cells) for key, cells in sorted(rest.items())]
    if kind.tags in columns:
        tags = [None if not tags else orjson.dumps(tags).decode() for tags in columns[kind.tags].to_pylist()]
        parts.append(_named(kind.tags, pa.array(tags, pa.string())))
    said = pc.binary_join_element_wise(*parts, "").to_pylist()
    own = [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in said]
    return pa.array(own) if keys is None else pc.coalesce(keys, pa.array(own))


def _named(name: str, cells: pa.Array) -> pa.Array:
    """`name=text` and a separator; empty where there is nothing: a column that a file does not have changes no hash."""
    said = pc.binary_join_element_wise(f"{name}=", pc.fill_null(cells, ""), "\x1e", "")
    return pc.if_else(cells.is_valid(), said, "")
