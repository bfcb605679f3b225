"""Files of events: CloudEvents 1.0 as JSON (one, a list), as JSON lines, or as rows of CSV and Parquet.

JSON is held to the specification. In a table the attributes are columns of their own names; `specversion` may be
missing, a row without `source` comes from the file (`import:NAME`), one without `id` is known by its content, and other
columns are extension attributes where their name allows it. `--map COLUMN=FIELD` names another column as an attribute;
`--map COLUMN=data.KEY` puts it into `data`. An event without a time is refused: nobody received it here. Compressed
files (.gz, .bz2, .zst) are read as they are.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from workbench.config import Ingest
from workbench.errors import InputError
from workbench.ingest.events import event_row, events_batch
from workbench.ingest.files.chunks import Chunk, csv_chunks, parquet_chunks
from workbench.ingest.files.columns import assign, moments, texts
from workbench.ingest.files.piece import BadRow, RecordPiece

ROWS = 50_000
MAX_DOCUMENT_BYTES = 256 * 2**20
"""Of a file that is one JSON document, uncompressed; JSON lines have no bound."""

_ATTRIBUTES: Mapping[str, Sequence[str]] = {
    "id": (),
    "source": (),
    "type": ("event_type",),
    "time": ("timestamp",),
    "subject": (),
    "datacontenttype": (),
    "dataschema": (),
    "specversion": (),
    "data": (),
}
_IN_DATA = "data."
_LINES = {".ndjson", ".jsonl"}

Numbered = tuple[int, Any]
"""A line and the event in it; an InputError where the line is no JSON."""


def read_events(path: Path, mapping: Mapping[str, str], limits: Ingest) -> Iterator[RecordPiece]:
    """Pieces of a file of events. Raises InputError."""
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & {".csv", ".parquet", ".pq"}:
        chunks = csv_chunks(path) if ".csv" in suffixes else parquet_chunks(path, ROWS)
        return _from_table(path, chunks, mapping, limits)
    if not suffixes & {*_LINES, ".json"}:
        hint = "Endings: .json, .ndjson or .jsonl, .csv, .parquet, also compressed (.json.gz)."
        raise InputError("not a file of events", where=str(path), hint=hint)
    if mapping:
        raise InputError("CloudEvents say themselves what is what", where=str(path), hint="Leave --map away.")
    return _from_json(path, limits, lines=bool(suffixes & _LINES))


def _from_json(path: Path, limits: Ingest, *, lines: bool) -> Iterator[RecordPiece]:
    size = max(1, path.stat().st_size)
    try:
        with path.open("rb") as raw, pa.input_stream(raw, compression=_compression(path)) as stream:
            reader = io.BufferedReader(stream)  # kept, since it closes the file when it is let go
            numbered = _json_lines(reader) if lines else iter(_document(reader, path))
            while part := list(islice(numbered, ROWS)):
                yield _piece(part, [], limits, min(0.99, raw.tell() / size))
    except OSError as error:
        raise InputError(f"not readable: {error}", where=str(path)) from error


def _compression(path: Path) -> str | None:
    return {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(path.suffix.lower())


def _json_lines(reader: io.BufferedReader) -> Iterator[Numbered]:
    for number, line in enumerate(reader, 1):
        if line.strip():
            yield number, _parsed(line)


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return InputError(f"not valid JSON: {error.msg}", where=line.decode("utf-8", "replace"))


def _document(reader: io.BufferedReader, path: Path) -> list[Numbered]:
    text = reader.read(MAX_DOCUMENT_BYTES + 1)
    if len(text) > MAX_DOCUMENT_BYTES:
        raise InputError(
            f"over {MAX_DOCUMENT_BYTES:,} bytes", where=str(path), hint="Write it as JSON lines (.ndjson)."
        )
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        where = f"{path}:{error.lineno}"
        raise InputError(f"not valid JSON: {error.msg}", where=where, hint="JSON lines end in .ndjson.") from error
    return list(enumerate(found if isinstance(found, list) else [found], 1))


def _from_table(
    path: Path, chunks: Iterable[Chunk], mapping: Mapping[str, str], limits: Ingest
) -> Iterator[RecordPiece]:
    for chunk in chunks:
        events, bad = _events(chunk, mapping, path)
        yield _piece(events, [*chunk.bad, *bad], limits, chunk.share)


def _events(chunk: Chunk, mapping: Mapping[str, str], path: Path) -> tuple[list[Numbered], list[BadRow]]:
    """Each row as an event in JSON's form, with its line; and the rows whose time is none."""
    table = chunk.table
    fields = assign(table.column_names, _ATTRIBUTES, mapping, where=str(path))
    for name in ("type", "time"):
        if name not in fields.known:
            hint = f"Say which: --map COLUMN={name}. Columns: {', '.join(table.column_names)}."
            raise InputError(f"no column is the {name} of the event", where=str(path), hint=hint)
    cells = {name: texts(table[column]) for name, column in fields.known.items() if name != "time"}
    rest = {key: texts(table[column]) for column, key in fields.rest.items()}
    plain = {name: column.to_pylist() for name, column in {**cells, **rest}.items()}
    source = fields.known["time"]
    found, good = moments(table[source], source, where=str(path))
    good = good | texts(table[source]).is_null().to_numpy(zero_copy_only=False)
    times = found.to_pylist()
    events = []
    for row in np.flatnonzero(good).tolist():
        said = {name: values[row] for name, values in plain.items() if values[row] is not None}
        if said:
            events.append((int(chunk.lines[row]), _event(said, times[row], path)))
    return events, chunk.bad_rows(~good, f"{source} is no time")


def _event(said: dict[str, str], time_us: int | None, path: Path) -> dict[str, Any]:
    """An event of what a row says; `time_us` is put in place of the time in words."""
    event: dict[str, Any] = {"specversion": "1.0", "source": f"import:{path.name}"}
    data: dict[str, Any] = {}
    for name, text in said.items():
        if name.startswith(_IN_DATA):
            data[name.removeprefix(_IN_DATA)] = text
        elif name == "data":
            event["data"] = _parsed_or_text(text)
        else:
            event[name] = text
    if data:
        event["data"] = {**event["data"], **data} if isinstance(event.get("data"), dict) else data
    if time_us is not None:
        event["time_us"] = time_us
    if "id" not in event:
        event["id"] = hashlib.blake2b(orjson.dumps(event, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    return event


def _parsed_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _piece(events: Sequence[Numbered], bad: list[BadRow], limits: Ingest, share: float) -> RecordPiece:
    rows: list[dict[str, Any]] = []
    for line, event in events:
        if isinstance(event, InputError):
            bad.append(BadRow(line, event.message, event.where, "bad_event"))
            continue
        time_us = event.pop("time_us", None) if isinstance(event, dict) else None
        row = event_row(event, 0, limits, any_time=True)
        if isinstance(row, dict) and time_us is None and event.get("time") is None:
            row = "time", "is missing: nobody knows when it was received", "no_time"
        if isinstance(row, dict):
            # Not the present as `received`: a piece that is tried again has to have the same rows.
            rows.append({**row, "time": row["time"] if time_us is None else time_us, "received": None})
        else:
            message = f"{row[0]}: {row[1]}" if row[0] else row[1]
            text = orjson.dumps(event, default=str).decode()
            bad.append(BadRow(line, message, text, row[2] if len(row) > 2 else "bad_event"))
    return RecordPiece("events", events_batch(rows), bad, share)
