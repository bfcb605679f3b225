"""Answers of `workbench query` as a table for people, JSON, CSV or Parquet; times UTC."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.query import Result


def write_answer(answer: Result | pa.Table, form: str, out: BinaryIO) -> None:
    """Write what PromQL (a row a point) or SQL answered. JSON is that of the HTTP API."""
    import pyarrow as pa

    if isinstance(answer, pa.Table):
        _write_table(answer, form, out)
    elif form == "json":
        out.write(json.dumps({"status": "success", "data": answer.to_prometheus()}).encode() + b"\n")
    elif form == "table" and answer.kind == "string":
        out.write(answer.text.encode() + b"\n")
    else:
        _write_table(answer.to_table(), form, out)


def _write_table(table: pa.Table, form: str, out: BinaryIO) -> None:
    from workbench.query import encode_table

    if form == "parquet":
        import pyarrow.parquet as pq

        sink = io.BytesIO()  # Parquet's writer seeks, which a pipe cannot
        pq.write_table(table, sink)
        out.write(sink.getvalue())
    elif form == "table":
        out.write(_as_text(table).encode())
    else:
        out.write(encode_table(table, form))
        out.write(b"\n" if form == "json" else b"")


def _as_text(table: pa.Table) -> str:
    """Columns of text, numbers to the right."""
    import pyarrow as pa

    if not table.num_rows:
        return "(empty result)\n"
    names = table.column_names
    rows = [names] + [[_cell(value) for value in row] for row in zip(*_values(table), strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    numbers = [pa.types.is_integer(field.type) or pa.types.is_floating(field.type) for field in table.schema]
    aligned = [str.rjust if number else str.ljust for number in numbers]
    lines = ("  ".join(align(*at) for align, *at in zip(aligned, row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _values(table: pa.Table) -> list[list[Any]]:
    return [column.to_pylist(maps_as_pydicts="lossy") for column in table.columns]


def _cell(value: Any) -> str:
    if hasattr(value, "isoformat"):
        precise = {"timespec": "milliseconds"} if hasattr(value, "hour") else {}
        return str(value.isoformat(**precise)).replace("+00:00", "Z")
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    return "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)
