"""Which share of the series `limit_ratio` takes: decided by a hash of the labels, so the same ones every time.

The hash is xxHash64 (https://github.com/Cyan4973/xxHash, XXH64) over names and values, each behind its length, as
Prometheus hashes labels: it picks the same series.
"""

from __future__ import annotations

from collections.abc import Iterator

from workbench.query.names import Labels

_MASK = 2**64 - 1
_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip


def place(labels: Labels) -> float:
    """Where a series stands between 0 and 1."""
    return xxhash64(b"".join(_encoded(labels))) / float(_MASK)


def _encoded(labels: Labels) -> Iterator[bytes]:
    for pair in labels:
        for text in pair:
            body = text.encode()
            size = len(body)
            yield bytes([size]) if size < 255 else b"\xff" + size.to_bytes(3, "little")
            yield body


def xxhash64(data: bytes) -> int:
    """XXH64 with seed 0."""
    at = 0
    if len(data) >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while at + 32 <= len(data):
            lanes = [_round(lane, _word(data, at + 8 * number)) for number, lane in enumerate(lanes)]
            at += 32
        found = sum(_rotated(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            found = ((found ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        found = _P5
    found = (found + len(data)) & _MASK
    while at + 8 <= len(data):
        found = (_rotated(found ^ _round(0, _word(data, at)), 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= len(data):
        word = int.from_bytes(data[at : at + 4], "little")
        found = (_rotated(found ^ (word * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        found = _rotated(found ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    found = (found ^ found >> 33) * _P2 & _MASK
    found = (found ^ found >> 29) * _P3 & _MASK
    return found ^ found >> 32


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * _P2) & _MASK, 31) * _P1 & _MASK
