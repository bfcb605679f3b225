"""Bodies of requests: content encodings, bounded against bombs, and media types."""

from __future__ import annotations

import zlib

from workbench.errors import InputError, TooLarge, UnsupportedMedia

_GZIP = 31  # window bits that make zlib expect gzip's header


def media_type(header: str) -> str:
    """The media type of a Content-Type header, lower-case, without its parameters."""
    return header.partition(";")[0].strip().lower()


def expand(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a Content-Encoding of identity or gzip.

    Raises UnsupportedMedia for another encoding, InputError for a body that is not what it says, TooLarge past
    `max_bytes`.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding == "gzip":
        return gunzip(body, max_bytes)
    message = f"unknown content encoding {encoding[:40]!r}"
    raise UnsupportedMedia(message, where="Content-Encoding", hint="Use gzip or none.")


def gunzip(body: bytes, max_bytes: int) -> bytes:
    """Expand gzip (one member or several), never past `max_bytes`."""
    parts: list[bytes] = []
    room = max_bytes
    rest = body
    while rest or not parts:
        stream = zlib.decompressobj(_GZIP)
        try:
            part = stream.decompress(rest, room + 1)
        except zlib.error as error:
            raise InputError("the body is not gzip", where="body", hint="Check Content-Encoding.") from error
        if len(part) > room:
            raise TooLarge(f"the body expands over {max_bytes} bytes", hint="Send less per request.")
        if not stream.eof:
            raise InputError("the gzip body breaks off", where=f"byte {len(body)}")
        room -= len(part)
        parts.append(part)
        rest = stream.unused_data
    return b"".join(parts)
