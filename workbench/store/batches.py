"""Arrow batches of several kinds as one block of bytes: the payload of a log record, and the body on the hub's socket.

    payload := u8 layout version, u8 number of batches, u16 0, u32 0, then per batch
    batch   := u8 length of kind, u8[7] 0, u64 columns, u64 rows, u64 raw bytes, u64 packed bytes, kind, message

All little-endian, every part padded to 8 bytes. `message` is an Arrow IPC record batch message (no schema: the layout
version fixes it), compressed as one LZ4 block. `columns` has bit i set where column i of the kind is in the message; a
column that holds nulls alone is left out, as most samples have neither histogram nor exemplar.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from workbench.errors import InputError
from workbench.schema import KINDS, LAYOUT_VERSION

_HEAD = struct.Struct("<BBHI")
_BATCH = struct.Struct("<B7xQQQQ")
_SCHEMAS = {name: kind.schema for name, kind in KINDS.items()}
_CODEC = pa.Codec("lz4_raw")


def check_batch(kind: str, batch: pa.RecordBatch) -> None:
    """Raise InputError unless the batch has exactly the schema of its kind, and no null where none may be."""
    schema = _SCHEMAS.get(kind)
    if schema is None:
        raise InputError(f"no kind {kind!r}", where="batch", hint=f"Kinds: {', '.join(KINDS)}.")
    if not batch.schema.equals(schema):
        wanted = {f.name: str(f.type) for f in schema}
        got = {f.name: str(f.type) for f in batch.schema}
        off = [name for name in {**wanted, **got} if wanted.get(name) != got.get(name)] or ["order or nullability"]
        raise InputError(
            f"columns do not fit the kind: {', '.join(off)}", where=kind, hint="Build it from KINDS[kind].schema."
        )
    for field, column in zip(schema, batch.columns, strict=True):
        if not field.nullable and column.null_count:
            raise InputError(f"column {field.name} has nulls", where=kind)


def encode_batches(batches: Mapping[str, pa.RecordBatch]) -> bytes:
    """Batches of KINDS[kind].schema as bytes. Raises InputError where one does not fit its kind."""
    parts: list[Any] = [_HEAD.pack(LAYOUT_VERSION, len(batches), 0, 0)]
    for kind, batch in batches.items():
        check_batch(kind, batch)
        present = [i for i, column in enumerate(batch.columns) if column.null_count < batch.num_rows]
        raw = batch.select(present).serialize()
        packed = _CODEC.compress(raw, asbytes=True)
        name = kind.encode()
        mask = sum(1 << i for i in present)
        parts += [_BATCH.pack(len(name), mask, batch.num_rows, raw.size, len(packed)), _padded(name), _padded(packed)]
    return b"".join(parts)


def decode_batches(data: bytes | memoryview | pa.Buffer) -> dict[str, pa.RecordBatch]:
    """The batches that `encode_batches` wrote. Raises InputError for anything else."""
    try:
        found = {kind: complete(kind, batch) for kind, batch in decode_present(data)}
        for kind, batch in found.items():
            batch.validate(full=True)
            check_batch(kind, batch)
    except (struct.error, ValueError, KeyError, IndexError, OSError, pa.ArrowException) as error:
        raise InputError(f"not a block of batches: {error}", where="body") from error
    return found


def decode_present(
    data: bytes | memoryview | pa.Buffer, only: str | None = None
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Kind and batch, without the columns that were left out as null; of one kind alone where `only` names it."""
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(data)
    view = memoryview(buffer)
    version, count, _, _ = _HEAD.unpack_from(view, 0)
    if version != LAYOUT_VERSION:
        raise ValueError(f"layout {version}, this version knows {LAYOUT_VERSION}")
    at = _HEAD.size
    for _ in range(count):
        length, mask, rows, raw_size, packed_size = _BATCH.unpack_from(view, at)
        at += _BATCH.size
        kind = bytes(view[at : at + length]).decode()
        at += _round_up(length)
        if at + packed_size > len(view):
            raise ValueError("cut short")
        if only is None or kind == only:
            schema = _present_schema(kind, mask)
            raw = _CODEC.decompress(buffer.slice(at, packed_size), decompressed_size=raw_size)
            batch = pa.ipc.read_record_batch(raw, schema)
            if batch.num_rows != rows:
                raise ValueError(f"{kind}: {batch.num_rows} rows, not {rows}")
            yield kind, batch
        at += _round_up(packed_size)


def row_counts(data: bytes | memoryview | pa.Buffer) -> dict[str, int]:
    """Rows of each kind in a payload, without decoding it."""
    view = memoryview(data)
    at = _HEAD.size
    counts = {}
    for _ in range(view[1]):
        length, _, rows, _, packed_size = _BATCH.unpack_from(view, at)
        at += _BATCH.size
        counts[bytes(view[at : at + length]).decode()] = rows
        at += _round_up(length) + _round_up(packed_size)
    return counts


def complete(kind: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Put back, as nulls, the columns that were left out."""
    schema = _SCHEMAS[kind]
    if batch.num_columns == len(schema):
        return batch
    columns = [
        batch.column(field.name) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _present_schema(kind: str, mask: int) -> pa.Schema:
    return pa.schema([field for i, field in enumerate(_SCHEMAS[kind]) if mask >> i & 1])


def _round_up(size: int) -> int:
    return (size + 7) & ~7


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 8)
