"""Protobuf's wire format: fields of a message read one by one, and written. Source: protobuf.dev, Encoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from workbench.errors import InputError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field of a protobuf message; numbers are signed 64 bit. Raises InputError."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = varint(message, at)
            yield number, value - 2**64 if value >= 2**63 else value
            continue
        size, at = (8, at) if wire == _FIXED64 else (4, at) if wire == _FIXED32 else varint(message, at)
        if wire not in (_FIXED64, _FIXED32, _BYTES) or at + size > len(message):
            raise InputError("the remote-read message is malformed", where=f"byte {at}")
        yield number, message[at : at + size]
        at += size


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, unsigned 64 bit, and where it ends. Raises InputError."""
    found = 0
    for place, byte in enumerate(message[at : at + 10]):
        found |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return found & (2**64 - 1), at + place + 1
    raise InputError("the remote-read message breaks off", where=f"byte {at}")


def field(number: int, content: bytes) -> bytes:
    """A field that bears its length: text, bytes, a message, packed numbers."""
    return encoded(number << 3 | _BYTES) + encoded(len(content)) + content


def double(number: int, value: float) -> bytes:
    """A field of the type double."""
    return encoded(number << 3 | _FIXED64) + struct.pack("<d", value)


def integer(number: int, value: int) -> bytes:
    """A field of the types int32, int64, uint32, uint64, enum."""
    return encoded(number << 3 | _VARINT) + encoded(value)


def zigzag(number: int, value: int) -> bytes:
    """A field of the types sint32, sint64."""
    return integer(number, value << 1 if value >= 0 else (-value << 1) - 1)


def encoded(number: int) -> bytes:
    """A varint; negative numbers as 64 bit two's complement."""
    number &= 2**64 - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
