"""SQL over HTTP as a pure function: parameters in; status, media type and body out. `serve` mounts it.

`application/json` (the default), `text/csv` or `application/vnd.apache.arrow.stream`, by `Accept` or `format=`.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.csv as pv

from workbench import config
from workbench.errors import InputError, QuerySyntaxError, UnsupportedMedia, WorkbenchError
from workbench.query.api import error_response
from workbench.query.relational.statement import sql
from workbench.query.times import duration_us

if TYPE_CHECKING:
    from workbench.store import View

MEDIA = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}
"""Media type of each `format`."""


def sql_response(
    view: View,
    parameters: Mapping[str, str],
    accept: str,
    *,
    now_us: int,
    limits: config.Query,
    without: Collection[str] = (),
    cancel: threading.Event | None = None,
) -> tuple[int, str, bytes]:
    """Answer `query` (and `timeout`, `format`): HTTP status, media type, body. Never raises for what can be sent.

    JSON is `{"status": "success", "data": {"columns": [{"name", "type"}], "rows": [[…]]}}` with times in RFC 3339;
    errors have the shape of Prometheus' API, whatever was accepted.
    """
    try:
        form = _form(parameters.get("format", ""), accept)
        text = parameters.get("query", "")
        if not text.strip():
            raise QuerySyntaxError("no statement found in input", position=0)
        if parameters.get("timeout"):
            asked_seconds = math.ceil(duration_us(parameters["timeout"], name="timeout") / 1e6)
            limits = replace(limits, timeout_seconds=min(limits.timeout_seconds, asked_seconds))
        table = sql(view, text, now_us=now_us, limits=limits, without=without, cancel=cancel)
    except WorkbenchError as error:
        status, body = error_response(error)
        return status, MEDIA["json"], body
    return 200, MEDIA[form], encode_table(table, form)


def encode_table(table: pa.Table, form: str) -> bytes:
    """A table as `json`, `csv` or `arrow`."""
    encode = {"json": _to_json, "csv": _to_csv, "arrow": _to_arrow}[form]
    return encode(table)


def _form(asked: str, accept: str) -> str:
    if asked:
        if asked not in MEDIA:
            raise InputError(f"there is no format {asked!r}", where="format", hint=f"There are: {', '.join(MEDIA)}.")
        return asked
    accepted = [part.split(";")[0].strip().lower() for part in accept.split(",") if part.strip()]
    for media in accepted:
        for form, own in MEDIA.items():
            if media in (own, "*/*", own.split("/")[0] + "/*"):
                return form
    if accepted:
        raise UnsupportedMedia("none of the media types accepted", where="Accept", hint=f"{', '.join(MEDIA.values())}.")
    return "json"


def _to_json(table: pa.Table) -> bytes:
    """Columns with their Arrow types, and rows; maps are objects, NaN and infinities are null."""
    columns = [{"name": field.name, "type": str(field.type)} for field in table.schema]
    values = [_plain_values(column) for column in table.columns]
    rows = list(zip(*values, strict=True)) if values else []
    answer = {"status": "success", "data": {"columns": columns, "rows": rows}}
    return orjson.dumps(answer, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _to_csv(table: pa.Table) -> bytes:
    """A header and a line a row; what is nested (labels, attributes) as JSON text."""
    for at, field in enumerate(table.schema):
        if _is_plain(field.type):
            continue
        values = [None if value is None else _text(value) for value in _plain_values(table.column(at))]
        table = table.set_column(at, field.name, pa.array(values, pa.string()))
    sink = io.BytesIO()
    pv.write_csv(table, sink)
    return sink.getvalue()


def _to_arrow(table: pa.Table) -> bytes:
    """An Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _is_plain(type_: pa.DataType) -> bool:
    return (
        pa.types.is_primitive(type_) and not pa.types.is_interval(type_) and not pa.types.is_duration(type_)
    ) or pa.types.is_string(type_)


def _plain_values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_nested(column.type):
        return column.to_pylist(maps_as_pydicts="lossy")
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's datetime ends at microseconds
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    return column.to_pylist()


def _text(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return value if isinstance(value, str) else value.hex()
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode().strip('"')


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
