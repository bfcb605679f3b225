"""What a chunk file looks like, byte by byte: one per closed block, little-endian. `docs/index.md` explains why.

    header     128 bytes: HEADER
    words      uint64[words]: the blobs of the chunks, times before values
    ids        int64[chunks], ascending: the series of each chunk
    records    RECORD[chunks]

The header's checksum is CRC-32 of header (with the field zero), ids and records; each record has one of its blob.
"""

from __future__ import annotations

import numpy as np

MAGIC = b"WBCHUNK\x01"
"""The last byte is the version of the layout: what we do not know is rebuilt, never guessed."""

HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("start_us", "<i8"),  # of the block, included
        ("end_us", "<i8"),  # excluded
        ("chunks", "<i8"),
        ("samples", "<i8"),
        ("words", "<i8"),
        ("highest", "<i8"),  # sequence (segment << 40 | row) of the newest row in it
        ("crc", "<u4"),
        ("spare", "V68"),
    ]
)
RECORD = np.dtype(
    [
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("step_us", "<i8"),
        ("unit_us", "<i8"),
        ("first", "<f8"),
        ("last", "<f8"),
        ("low", "<f8"),  # of the numbers alone, NaN where there is none
        ("high", "<f8"),
        ("total", "<f8"),
        ("fallen", "<f8"),  # sum of the values before each fall: what a counter lost by its resets
        ("offset", "<i8"),  # in words
        ("n", "<u4"),
        ("stale", "<u4"),  # how many staleness markers
        ("nans", "<u4"),  # how many other NaNs
        ("time_words", "<u4"),
        ("value_bytes", "<u4"),
        ("exceptions", "<u4"),
        ("check", "<u4"),
        ("time_mode", "u1"),
        ("value_mode", "u1"),
        ("digits", "u1"),
        ("spare", "u1"),
    ]
)

MINI = 64
"""Integers in a mini-block."""

REGULAR, TIME_GRID, TIME_STEPS = range(3)
"""Times: first + i x step; first + i x step + stream x unit; first + running sum of the stream x unit."""

CONSTANT, DECIMAL, DECIMAL_STEPS, RAW, PCO = range(5)
"""Values: the first one; stream / 10^digits; its running sum / 10^digits; bits as they are; the library pco."""
