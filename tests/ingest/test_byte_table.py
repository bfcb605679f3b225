"""The hash table of raw bytes against a dict."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.ingest.byte_table import MISSING, ByteTable


def as_keys(contents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Keys in the form the scanners write: a word with the length, then the bytes, padded."""
    words, starts = [], [0]
    for content in contents:
        words.append(np.frombuffer(len(content).to_bytes(8, "little") + content + bytes(-len(content) % 8), np.uint64))
        starts.append(starts[-1] + len(words[-1]))
    return np.concatenate([*words, np.zeros(0, np.uint64)]), np.array(starts, np.int64)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=60), st.lists(st.binary(max_size=20), max_size=20))
def test_finds_what_was_put_and_nothing_else(put, asked):
    table = ByteTable(max_keys=1000, max_bytes=100_000)
    words, starts = as_keys(put)
    known = {}
    for k, content in enumerate(put):
        assert table.put(words[starts[k] : starts[k + 1]], k)
        known[content] = k
    assert len(table) == len(known)
    found = table.find(*as_keys(put + asked))
    assert found.tolist() == [known.get(content, MISSING) for content in put + asked]


def test_grows_and_stays_exact():
    table = ByteTable(max_keys=50_000, max_bytes=10_000_000)
    contents = [str(n).encode() * 3 for n in range(20_000)]
    words, starts = as_keys(contents)
    for k in range(len(contents)):
        table.put(words[starts[k] : starts[k + 1]], k)
    assert table.find(words, starts).tolist() == list(range(20_000))


def test_memory_is_bounded_by_keys_and_by_bytes():
    words, starts = as_keys([b"a" * 80, b"b" * 80, b"c" * 80])
    for table in (ByteTable(max_keys=2, max_bytes=10_000), ByteTable(max_keys=100, max_bytes=200)):
        kept = [table.put(words[starts[k] : starts[k + 1]], k) for k in range(3)]
        assert kept == [True, True, False]
        assert table.find(words, starts).tolist() == [0, 1, MISSING]
        assert table.crowded
        table.clear()
        assert table.find(words, starts).tolist() == [MISSING] * 3
        assert table.put(words[starts[2] : starts[3]], 2)


def test_zero_bytes_and_lengths_are_told_apart():
    contents = [b"", b"\0", b"\0\0", b"a", b"a\0"]
    words, starts = as_keys(contents)
    table = ByteTable(max_keys=10, max_bytes=1000)
    for k in range(len(contents)):
        table.put(words[starts[k] : starts[k + 1]], k)
    assert table.find(words, starts).tolist() == list(range(len(contents)))
