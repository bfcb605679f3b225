"""The format of the log: every valid record is read, nothing behind a torn one is."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from workbench.errors import LayoutUnknown, LogCorrupt
from workbench.store.wal import HEADER_BYTES, Header, TornRecord, pack_record, read_header, read_records, valid_bytes

HEADER = Header(str(uuid.UUID(int=7)), 3, 64, 1_700_000_000_000_000)
PAYLOADS = st.lists(st.integers(1, 40).map(lambda words: os.urandom(words * 8)), max_size=6)


def write_segment(path: Path, payloads: list[bytes], header: Header = HEADER) -> list[int]:
    """Write a segment; the ends of header and records."""
    content, ends = header.pack(), [HEADER_BYTES]
    for payload in payloads:
        content += b"".join(pack_record(payload, header.seed))
        ends.append(len(content))
    path.write_bytes(content)
    return ends


def read_segment(path: Path, end: int | None = None) -> tuple[list[bytes], int | None]:
    """Payloads, and where the first torn record starts, if one does."""
    found = []
    fd = os.open(path, os.O_RDONLY)
    try:
        for _, _, payload in read_records(fd, read_header(path).seed, HEADER_BYTES, end or path.stat().st_size):
            found += [payload.to_pybytes()]
    except TornRecord as torn:
        return found, torn.offset
    finally:
        os.close(fd)
    return found, None


@given(PAYLOADS)
@hypothesis_settings(max_examples=30)
def test_records_round_trip(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("log") / "3.wal"
    ends = write_segment(path, payloads)
    assert read_header(path) == HEADER
    assert read_segment(path) == (payloads, None)
    assert valid_bytes(path) == ends[-1]


def test_records_longer_than_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.store.wal._CHUNK_BYTES", 100)
    payloads = [os.urandom(size) for size in (8, 80, 88, 96, 104, 400, 8)]
    path = tmp_path / "3.wal"
    write_segment(path, payloads)
    assert read_segment(path) == (payloads, None)


def test_every_torn_length_keeps_exactly_the_whole_records(tmp_path: Path) -> None:
    payloads = [os.urandom(24), os.urandom(8), os.urandom(40)]
    path = tmp_path / "3.wal"
    ends = write_segment(path, payloads)
    content = path.read_bytes()
    for length in range(HEADER_BYTES, len(content)):
        path.write_bytes(content[:length])
        whole = max(end for end in ends if end <= length)
        assert valid_bytes(path) == whole
        assert read_segment(path)[0] == payloads[: ends.index(whole)]


@pytest.mark.parametrize("tail", [bytes(64), b"\xff" * 64, b"\x08\0\0\0" + bytes(20)])
def test_a_tail_of_other_bytes_is_torn(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "3.wal"
    ends = write_segment(path, [os.urandom(16)])
    path.write_bytes(path.read_bytes() + tail)
    assert valid_bytes(path) == ends[-1]


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "3.wal"
    ends = write_segment(path, [os.urandom(16), os.urandom(16)])
    content = path.read_bytes()
    for at in range(ends[0], ends[1]):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        assert read_segment(path) == ([], ends[0])
    for at in range(HEADER_BYTES):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        if at >= 60:  # padding behind the checksum
            continue
        with pytest.raises((LogCorrupt, LayoutUnknown)):
            read_header(path)


def test_a_record_of_another_segment_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "3.wal"
    other = Header(HEADER.log_uuid, 4, 64, HEADER.created_us)
    path.write_bytes(HEADER.pack() + b"".join(pack_record(bytes(16), other.seed)))
    assert valid_bytes(path) == HEADER_BYTES


def test_a_segment_of_an_unknown_layout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "3.wal"
    monkeypatch.setattr("workbench.store.wal.LAYOUT_VERSION", 99)
    path.write_bytes(HEADER.pack())
    monkeypatch.undo()
    with pytest.raises(LayoutUnknown, match="layout 99"):
        read_header(path)
