"""What remote write tells of metrics beside their samples: type, unit and help, by the name that a family shares."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from workbench.errors import InputError, TooLarge
from workbench.ingest.points import Told
from workbench.ingest.prometheus.prompb import Telling
from workbench.ingest.wire import MAX_PARSED_BYTES

MAX_TEXT = 4096
"""Characters of a help text that are kept."""

_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")


def metadata_of(message: bytes) -> list[Told]:
    """The metadata of a WriteRequest. Raises InputError where it is malformed, TooLarge."""
    if len(message) > MAX_PARSED_BYTES:
        raise TooLarge(f"metadata beside over {MAX_PARSED_BYTES} bytes", hint="Send metadata in requests of their own.")
    try:
        found = Telling.FromString(message).metadata
    except DecodeError as error:
        raise InputError("the metadata of the remote-write message is malformed") from error
    return [
        Told(
            one.metric_family_name,
            _TYPES[one.type] if one.type < len(_TYPES) else "unknown",
            one.unit,
            one.help[:MAX_TEXT],
        )
        for one in found
        if one.metric_family_name
    ]
