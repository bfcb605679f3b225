"""CloudEvents 1.0 in JSON: one, a batch, or a plain list of them, as rows of `events`.

Source: CloudEvents 1.0.2, JSON event format 1.0.2 and HTTP protocol binding (structured and batched mode).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from workbench.config import Ingest
from workbench.errors import InputError, UnsupportedMedia
from workbench.ingest.identity_rules import over
from workbench.schema import KINDS

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
PLAIN = "application/json"

MAX_EVENTS = 100_000
MAX_ATTRIBUTES = 64

_REQUIRED = ("id", "source", "type")
_OPTIONAL = ("subject", "datacontenttype", "dataschema")
_KNOWN = {*_REQUIRED, *_OPTIONAL, "specversion", "time", "data", "data_base64"}
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]{1,64}")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class EventFault:
    """Why one event is refused: its 0-based place in the request, the attribute, what is wrong, a stable reason."""

    index: int
    field: str
    message: str
    reason: str = "bad_event"


class DecodedEvents(NamedTuple):
    """Rows of `events`, the faults of those that are none, and the refused ones as JSON by their place."""

    rows: list[dict[str, Any]]
    faults: list[EventFault]
    payloads: dict[int, str]


def decode_events(body: bytes, media: str, now_us: int, limits: Ingest) -> DecodedEvents:
    """Read a body of one of the three media types. Raises InputError when it is not JSON of that shape at all."""
    if media not in (SINGLE, BATCH, PLAIN):
        raise UnsupportedMedia(
            f"events do not come as {media[:80]!r}", where="Content-Type", hint=f"Use {SINGLE}, {BATCH} or {PLAIN}."
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"not valid JSON: {error.msg}", where=f"line {error.lineno} column {error.colno}") from error
    if media == SINGLE and not isinstance(document, dict):
        raise InputError("a structured event is one JSON object", where="body")
    if media == BATCH and not isinstance(document, list):
        raise InputError("a batch is a JSON array of events", where="body")
    events = document if isinstance(document, list) else [document]
    if len(events) > MAX_EVENTS:
        raise InputError(f"{len(events)} events in one request, over {MAX_EVENTS}", where="body")
    found = DecodedEvents([], [], {})
    for index, event in enumerate(events):
        row = event_row(event, now_us, limits)
        if isinstance(row, dict):
            found.rows.append(row)
        else:
            found.faults.append(EventFault(index, *row))
            found.payloads[index] = orjson.dumps(event).decode()
    return found


def events_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """As a batch of `events`."""
    return pa.RecordBatch.from_pylist(rows, schema=KINDS["events"].schema)


def event_row(event: Any, now_us: int, limits: Ingest, *, any_time: bool = False) -> dict[str, Any] | tuple[str, ...]:
    """The row of an event, or (field, message[, reason]) of its first fault; with `any_time` none is too old or new."""
    if not isinstance(event, dict):
        return "", "an event is a JSON object"
    if event.get("specversion") != "1.0":
        return "specversion", f"must be '1.0', not {str(event.get('specversion'))[:40]!r}"
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            return name, "is required: a text that is not empty"
    for name in (*_REQUIRED, *_OPTIONAL):
        value = event.get(name)
        if value is not None and not isinstance(value, str):
            return name, "must be a text"
        if value is not None and over(value, limits.max_label_bytes):
            return name, f"is longer than {limits.max_label_bytes} bytes", "label_too_long"
    if event.get("data") is not None and event.get("data_base64") is not None:
        return "data_base64", "stands beside data; an event has one of them"
    if event.get("data_base64") is not None and not isinstance(event["data_base64"], str):
        return "data_base64", "must be a text"
    extensions = _extensions(event, limits)
    if isinstance(extensions, tuple):
        return extensions
    time_us = now_us if event.get("time") is None else rfc3339_us(event["time"])
    if time_us is None:
        return "time", "must be a time stamp as RFC 3339 has it, e.g. 2026-01-31T12:00:00Z"
    if not any_time and time_us < now_us - limits.accept_past_seconds * 1_000_000:
        return "time", "is older than the door accepts", "too_old"
    if not any_time and time_us > now_us + limits.accept_future_seconds * 1_000_000:
        return "time", "is further in the future than the door accepts", "too_new"
    data = event.get("data_base64", event.get("data"))
    return {
        **{name: event.get(name) for name in (*_REQUIRED, *_OPTIONAL)},
        "time": time_us,
        "data": None if data is None else orjson.dumps(data).decode(),
        "extensions": extensions,
        "received": now_us,
    }


def _extensions(event: dict[str, Any], limits: Ingest) -> list[tuple[str, str]] | tuple[str, ...]:
    """Extension attributes as pairs of text, or the fault of the first bad one."""
    pairs = []
    for name, value in event.items():
        if name in _KNOWN or value is None:
            continue
        if not _ATTRIBUTE_NAME.fullmatch(name):
            return name[:64], "is no attribute name: lower-case letters and digits"
        if not isinstance(value, (str, int)):
            return name, "must be a text, a whole number or a boolean"
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if over(text, limits.max_label_bytes):
            return name, f"is longer than {limits.max_label_bytes} bytes", "label_too_long"
        pairs.append((name, text))
    if len(pairs) > MAX_ATTRIBUTES:
        return "", f"has more than {MAX_ATTRIBUTES} extension attributes"
    if event.get("data_base64") is not None:
        pairs.append(("data_base64", "true"))  # tells the text apart from data that is a JSON string
    return sorted(pairs)


def rfc3339_us(text: Any) -> int | None:
    """Microseconds since 1970 UTC of an RFC 3339 time stamp, None if it is none. Further digits are cut."""
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
        seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return round(seconds) * 1_000_000 + int((fraction or "0").ljust(6, "0")[:6])
